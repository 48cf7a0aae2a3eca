package openid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of what a provider may answer, in bytes.
const (
	maxMetadata = 64 << 10
	maxKeySet   = 256 << 10
)

// read gets an issuer's keys (OpenID Connect Discovery 1.0, sections 4 and 4.3).
func (s *Service) read(ctx context.Context, issuer string) (map[string]*webKey, error) {
	text, err := s.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", maxMetadata)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		KeySet string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &metadata); err != nil {
		return nil, fmt.Errorf("the metadata cannot be read: %w", err)
	}
	if metadata.Issuer != issuer {
		return nil, errors.New("the metadata is another issuer's")
	}
	if text, err = s.get(ctx, metadata.KeySet, maxKeySet); err != nil {
		return nil, err
	}
	return parseKeys(text)
}

// get reads a document. It goes where the address says and nowhere else.
func (s *Service) get(ctx context.Context, url string, most int64) ([]byte, error) {
	client := s.secure
	if scheme, _, _ := strings.Cut(url, ":"); !strings.EqualFold(scheme, "https") {
		client = s.plain
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("an address that is none")
	}
	if r.URL.Scheme != "https" && r.URL.Scheme != "http" || r.URL.User != nil {
		return nil, errors.New("an address that is not of the web")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "latchkey")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", r.URL.Host, answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s answers more than %d bytes", r.URL.Host, most)
	}
	return text, err
}

// newClient makes a client that connects to allowed addresses alone: they are
// looked at when a connection is made, after the name was resolved. It follows no
// redirect, and no proxy of the environment stands between.
func newClient(allowed func(netip.Addr) bool) *http.Client {
	dialer := &net.Dialer{Timeout: atMost, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(at.Addr()) {
			return errors.New("the address is not public; the operator may name its network (issuer-networks)")
		}
		return nil
	}}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: atMost, ResponseHeaderTimeout: atMost, MaxResponseHeaderBytes: 32 << 10, IdleConnTimeout: time.Second,
		},
	}
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// reserved are the networks that are not public though their addresses look it
// (IANA's registries of special-purpose addresses, RFC 6890), and those that lead
// to addresses of the other family.
func reserved() []string {
	return []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	}
}

// public reports whether an address is on the internet for everyone.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, text := range reserved() {
		if netip.MustParsePrefix(text).Contains(a) {
			return false
		}
	}
	return true
}
