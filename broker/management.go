package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// Bounds of what is asked of a broker.
const (
	callTimeout = 10 * time.Second
	maxAnswer   = 8 << 20 // bytes
	pageSize    = 500
)

// management is RabbitMQ's management API.
type management struct {
	url, username string
	password      latchkey.Plaintext
	client        *http.Client
}

// reach opens the way to a broker's management API.
func (w *Worker) reach(ctx context.Context, g *latchkey.Gateway) (*management, error) {
	d, err := w.Store.DataKey(ctx, g.Organization)
	if err != nil {
		return nil, err
	}
	dataKey := keyring.WrappedKey{ID: d.ID, Organization: d.Organization, Version: d.Version, Wrapped: d.Wrapped}
	password, err := w.Ring.Open(dataKey, keyring.OfManagement(g), g.Management.Sealed)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: callTimeout, Control: guard}
	return &management{
		url: g.Management.URL, username: g.Management.Username, password: password,
		client: &http.Client{
			Timeout:       callTimeout,
			Transport:     &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: callTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (m *management) leave() { m.client.CloseIdleConnections() }

var errAddress = errors.New("link-local, multicast and unspecified addresses are no broker's")

// guard refuses addresses at which machines and clouds keep what is nobody's to
// ask for. It looks at the address that the name became, so that no name gets
// around it.
func guard(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := at.Addr().WithZone("").Unmap()
	metadata := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x00, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54}) // of one cloud, in unique local space
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == metadata {
		return errAddress
	}
	return nil
}

// call asks for one thing, and reads the answer into out unless that is nil.
// Where nothing is there, nothing is read, and that is no fault.
func (m *management) call(ctx context.Context, method, path string, body []byte, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, m.url+"/api/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth(m.username, m.password.Expose())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Reason", "what the key may do has changed")
	answer, err := m.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusNotFound:
		return nil
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return fmt.Errorf("the management API answered %s %s with status %d", method, r.URL.Redacted(), answer.StatusCode)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// connection is one that is open.
type connection struct {
	Name  string `json:"name"`
	User  string `json:"user"`
	VHost string `json:"vhost"`
}

// tracked asks for what the broker keeps of connections from their first moment.
// Its statistics, which it tells otherwise, come seconds later.
const tracked = "disable_stats=true"

// connections are all of them. One that opens or closes meanwhile may be missed
// or told twice.
func (m *management) connections(ctx context.Context) ([]connection, error) {
	return paged[connection](ctx, m, "connections", tracked+"&columns=name,user,vhost")
}

// vhosts are the names of those that are there.
func (m *management) vhosts(ctx context.Context) (map[string]bool, error) {
	type vhost struct {
		Name string `json:"name"`
	}
	all, err := paged[vhost](ctx, m, "vhosts", "columns=name")
	there := make(map[string]bool, len(all))
	for _, v := range all {
		there[v.Name] = true
	}
	return there, err
}

func paged[T any](ctx context.Context, m *management, path, columns string) (all []T, err error) {
	for n := 1; ; n++ {
		var page struct {
			Items []T `json:"items"`
			Pages int `json:"page_count"`
		}
		query := "?" + columns + "&page_size=" + strconv.Itoa(pageSize) + "&page=" + strconv.Itoa(n)
		if err := m.call(ctx, http.MethodGet, path+query, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if n >= page.Pages {
			return all, nil
		}
	}
}

func (m *management) close(ctx context.Context, c *connection) error {
	return m.call(ctx, http.MethodDelete, "connections/"+url.PathEscape(c.Name)+"?"+tracked, nil, nil)
}

func (m *management) makeVHost(ctx context.Context, key latchkey.ID) error {
	body := []byte(`{"description":"of ` + key.Native(latchkey.KindKey) + `"}`)
	return m.call(ctx, http.MethodPut, "vhosts/"+latchkey.VHost(key), body, nil)
}

func (m *management) deleteVHost(ctx context.Context, key latchkey.ID) error {
	return m.call(ctx, http.MethodDelete, "vhosts/"+latchkey.VHost(key), nil, nil)
}
