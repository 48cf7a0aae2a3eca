package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Client speaks to one server with one credential.
type Client struct {
	Keys          Keys
	Organizations Directory[Organization, NewOrganization, OrganizationPatch]
	Projects      Directory[Project, NewProject, ProjectPatch]
	Users         Directory[User, NewUser, UserPatch]
	Roles         Directory[Role, NewRole, RolePatch]
	Gateways      Gateways
	Issuers       Issuers
	Events        Events
	Keyring       Keyring
	Tokens        Tokens
	Nodes         Nodes

	base      url.URL
	http      *http.Client
	authorize func(http.Header) // a function, so that printing a Client cannot show the token
	options   Options
	pause     func(context.Context, time.Duration) error
}

// Options adjust a Client. The zero value is what most want.
type Options struct {
	// Organization is the org_… in which calls act; "" for the credential's
	// own. Only the operator may name another.
	Organization string

	// Wait is how long the answers of changes may wait until every node knows of
	// them, 0 to 30 s; not set: 2 s. What is not everywhere by then is answered
	// as pending.
	Wait Field[time.Duration]

	// Waiting is called when such a call begins, and what it returns at its end;
	// nil: nobody is told.
	Waiting func() (done func())

	// Attempts is how often a call that is safe to repeat is made before its
	// failure is told; 0 is 4, 1 never repeats.
	Attempts int

	// Timeout bounds one attempt, but for following events; 0 is a minute,
	// which is longer than the server ever waits.
	Timeout time.Duration

	// MaxAnswer is the longest answer that is read, in bytes; 0 is 32 MiB.
	MaxAnswer int64

	// AllowPlaintext lets a token go over plain HTTP to another machine, where
	// everyone on the way can read it.
	AllowPlaintext bool

	// UserAgent names the caller in the server's log; "" is latchkey-go.
	UserAgent string

	// Transport makes the exchanges; nil is one of the client's own. Unix
	// ignores it.
	Transport http.RoundTripper
}

const (
	defaultAttempts  = 4
	defaultTimeout   = time.Minute
	defaultMaxAnswer = 32 << 20
	connectTimeout   = 10 * time.Second
)

// New makes a client of the server at baseURL (https://keys.example.com, with
// a path if the server stands behind one). token is a key with management
// permissions or a token of the server's; the zero Secret sends none. It does not connect.
func New(baseURL string, token Secret, options Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("latchkey: the server's address is not an http or https URL, like https://keys.example.com")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("latchkey: the server's address has a user, a query or a fragment; give scheme, host and path alone")
	case token.Expose() != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) && !options.AllowPlaintext:
		return nil, ErrPlaintext
	}
	if strings.ContainsFunc(token.Expose(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("latchkey: the token has spaces or characters that no token has; was something else pasted?")
	}
	transport := options.Transport
	if transport == nil {
		transport = newTransport((&net.Dialer{Timeout: connectTimeout}).DialContext, http.ProxyFromEnvironment)
	}
	return newClient(*base, token, transport, options), nil
}

// ErrPlaintext says that a token would have gone over plain HTTP to another
// machine.
var ErrPlaintext = errors.New("latchkey: refusing to send a token over plain HTTP to another machine; use https, or allow it expressly")

// Unix makes a client of the server whose socket is at path. Whoever can open
// it is the operator, so there is no token. It does not connect.
func Unix(path string, options Options) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "unix", path)
	}
	return newClient(url.URL{Scheme: "http", Host: "localhost"}, Secret{}, newTransport(dial, nil), options)
}

func newTransport(dial func(context.Context, string, string) (net.Conn, error), proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		DialContext: dial, Proxy: proxy, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: connectTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func newClient(base url.URL, token Secret, transport http.RoundTripper, options Options) *Client {
	orDefault(&options.Attempts, defaultAttempts)
	orDefault(&options.Timeout, defaultTimeout)
	orDefault(&options.MaxAnswer, defaultMaxAnswer)
	orDefault(&options.UserAgent, "latchkey-go")
	c := &Client{
		base: base, options: options, pause: pause,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		authorize: func(h http.Header) {
			if token.Expose() != "" {
				h.Set("Authorization", "Bearer "+token.Expose())
			}
		},
	}
	c.Keys = Keys{c}
	c.Organizations = Directory[Organization, NewOrganization, OrganizationPatch]{c, "/v1/organizations"}
	c.Projects = Directory[Project, NewProject, ProjectPatch]{c, "/v1/projects"}
	c.Users = Directory[User, NewUser, UserPatch]{c, "/v1/users"}
	c.Roles = Directory[Role, NewRole, RolePatch]{c, "/v1/roles"}
	c.Gateways = Gateways{Directory[Gateway, NewGateway, GatewayPatch]{c, "/v1/gateways"}}
	c.Issuers = Issuers{Directory[Issuer, NewIssuer, IssuerPatch]{c, "/v1/issuers"}}
	c.Events = Events{c}
	c.Keyring = Keyring{c}
	c.Tokens = Tokens{c}
	c.Nodes = Nodes{c}
	return c
}

// String names the server.
func (c *Client) String() string { return "client of " + c.base.String() }

func orDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// pause waits, or gives up with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
