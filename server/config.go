package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// What Config's zero values stand for.
const (
	DefaultData        = "./latchkey-data"
	DefaultListen      = "127.0.0.1:8080"
	DefaultStopTimeout = 30 * time.Second
)

// Config is what a server is made of. OpenStore is required; every other field
// has a useful zero value.
type Config struct {
	// OpenStore opens the store that belongs to the data folder and takes
	// possession of it. The server closes it.
	OpenStore func(ctx context.Context, data string) (store.Store, error)

	// Shared says that the store is elsewhere and has other nodes, of which
	// some may use the same data folder.
	Shared bool

	Data  string       // the folder of the key ring, the socket and an embedded store; "" is DefaultData. It is made with mode 0700
	Email string       // of the first user, used by the first start alone; "" is authority.DefaultEmail
	Log   *slog.Logger // nil: nobody is told

	Version string // of the program, for the API's description

	Listen         string // host:port of the API; "" is DefaultListen, port 0 picks a free one
	MetricsListen  string // host:port of /metrics; "" serves none
	ExtAuthzListen string // host:port of Envoy's external authorization over gRPC; "" serves none
	PublicURL      string // where clients reach the API, such as https://keys.example.com; "": documents stay relative
	TLSCert        string // path of a PEM certificate chain; with TLSKey. "": plain HTTP
	TLSKey         string // path of its PEM private key

	IssuerNetworks []string // networks or addresses of OpenID providers that are not on the internet; none by default

	TrustedProxies []string             // networks or addresses whose ProxyHeader is believed; none by default
	ProxyHeader    latchkey.ProxyHeader // goes with TrustedProxies

	Dialects []string // which foreign APIs are served beside the native one, of Dialects(); nil: all, "none" alone: none

	KeyringFile string             // path of the key ring; "" is keyring.json in Data
	KeyringText latchkey.Plaintext // the text of a key ring, which then has no file

	// ForbidRetrievable keeps the value of every key from being stored,
	// whatever its project allows.
	ForbidRetrievable bool

	// Staleness is how long a node of a shared store answers verifications after
	// it last knew that it was current; 0 is verify.DefaultStaleness.
	Staleness time.Duration

	// StopTimeout is how long a stop waits for what was accepted; 0 is
	// DefaultStopTimeout.
	StopTimeout time.Duration
}

// Problem is why a server does not start, or did not end well.
type Problem struct {
	What  string // one sentence on what happened
	Do    string // one sentence on what to do about it
	Cause error  // for errors.Is; What tells it where it helps
}

// Error implements error: a line for What and one for Do.
func (p *Problem) Error() string { return p.What + "\n" + p.Do }

// Unwrap gives the cause to errors.Is and errors.As.
func (p *Problem) Unwrap() error { return p.Cause }

// settings is a Config that was checked, with its zero values filled in.
type settings struct {
	Config
	proxies latchkey.ProxyTrust
	issuers []netip.Prefix
}

// resolve checks a Config as far as that goes without touching anything.
func (c Config) resolve() (*settings, error) {
	s := &settings{Config: c}
	fill(&s.Data, DefaultData)
	fill(&s.Listen, DefaultListen)
	fill(&s.Email, authority.DefaultEmail)
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.StopTimeout == 0 {
		s.StopTimeout = DefaultStopTimeout
	}
	if s.Staleness == 0 {
		s.Staleness = verify.DefaultStaleness
	}
	for _, check := range []func() error{s.checkAddresses, s.checkPublicURL, s.checkTLS, s.checkProxies, s.checkIssuers, s.checkRing, s.checkSocket, s.checkDialects, s.checkRest} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func (s *settings) checkAddresses() error {
	for setting, address := range map[string]string{"listen": s.Listen, "metrics-listen": s.MetricsListen, "extauthz-listen": s.ExtAuthzListen} {
		if address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return &Problem{
				What: "The setting " + setting + " is not an address to listen on.",
				Do:   "Write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :8080 for every address of this machine; port 0 picks a free one.", Cause: err,
			}
		}
	}
	return nil
}

func (s *settings) checkPublicURL() error {
	if s.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return &Problem{
			What: "The setting public-url is not the URL of a server.",
			Do:   "Write scheme and host alone, such as https://keys.example.com.", Cause: err,
		}
	}
	s.PublicURL = u.Scheme + "://" + u.Host
	return nil
}

func (s *settings) checkTLS() error {
	if (s.TLSCert == "") == (s.TLSKey == "") {
		return nil
	}
	return &Problem{
		What: "Of tls-cert and tls-key only one is set, so nothing can be served over TLS.",
		Do:   "Set both, or neither for plain HTTP.",
	}
}

func (s *settings) checkProxies() error {
	networks, err := networksOf(s.TrustedProxies, " of trusted-proxies is neither a network nor an address.")
	if err != nil {
		return err
	}
	trust, err := latchkey.NewProxyTrust(networks, s.ProxyHeader)
	if err != nil {
		return &Problem{
			What:  "The settings trusted-proxies and proxy-header do not go together.",
			Do:    latchkey.AsError(err).Detail,
			Cause: err,
		}
	}
	s.proxies = trust
	return nil
}

func (s *settings) checkIssuers() (err error) {
	s.issuers, err = networksOf(s.IssuerNetworks, " of issuer-networks is neither a network nor an address.")
	return err
}

// networksOf reads networks and addresses; complaint says what is wrong with an
// entry that is neither.
func networksOf(given []string, complaint string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for i, text := range given {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				network, err = address.Prefix(address.BitLen())
			}
		}
		if err != nil {
			return nil, &Problem{
				What: "Entry " + strconv.Itoa(i+1) + complaint,
				Do:   "Write networks such as 10.0.0.0/8 or addresses such as 10.1.2.3, with commas between them.", Cause: err,
			}
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func (s *settings) checkRing() error {
	if s.KeyringFile != "" && !s.KeyringText.Empty() {
		return &Problem{
			What: "There are two key rings: a file is named, and the environment holds one.",
			Do:   "Keep one: unset either keyring-file or LATCHKEY_KEYRING.",
		}
	}
	fill(&s.KeyringFile, filepath.Join(s.Data, "keyring.json"))
	return nil
}

// maxSocketPath is how long the path of a Unix socket may be: sun_path of
// unix(7) less its closing zero, and less on macOS and the BSDs.
const maxSocketPath = 103

func (s *settings) checkSocket() error { return CheckSocket(s.socket()) }

// CheckSocket refuses a path that is too long for a socket.
func CheckSocket(path string) error {
	if len(path) <= maxSocketPath {
		return nil
	}
	return &Problem{
		What: "The path of the socket, " + path + ", is longer than the " + strconv.Itoa(maxSocketPath) + " bytes that a socket's may have.",
		Do:   "Name a data folder with a shorter path; one relative to the working directory will do.",
	}
}

func (s *settings) checkRest() error {
	switch {
	case s.OpenStore == nil:
		return &Problem{What: "No store is named.", Do: "Set OpenStore."}
	case s.StopTimeout < 0:
		return &Problem{What: "The setting stop-timeout is below zero.", Do: "Write a duration such as 30s."}
	case s.Staleness < verify.MinStaleness || s.Staleness > verify.MaxStaleness:
		return &Problem{
			What: "The setting staleness is no time for which a node may answer.",
			Do:   fmt.Sprintf("Write strict (%v), available (%v), or a duration from %v to %v.", verify.StrictStaleness, verify.DefaultStaleness, verify.MinStaleness, verify.MaxStaleness),
		}
	}
	return nil
}

// socket is where the operator's command line finds the server.
func (s *settings) socket() string { return filepath.Join(s.Data, "latchkey.sock") }
