package authority

import (
	"context"
	"net/url"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// NewManagement is how a broker's management API is to be reached. This server
// calls that URL by itself, so where it may go is the operator's alone to say.
type NewManagement struct {
	URL          string
	Username     string
	Password     latchkey.Plaintext
	DeleteVHosts bool // a revoked key's virtual host goes, with everything in it
}

// kept is what is stored of it, but for the password, which is sealed for one
// gateway.
func (m *NewManagement) kept() latchkey.Management {
	if m == nil {
		return latchkey.Management{}
	}
	return latchkey.Management{URL: m.URL, Username: m.Username, DeleteVHosts: m.DeleteVHosts}
}

// Bounds of a management API.
const (
	maxURLLen      = 1_024 // bytes
	maxPasswordLen = 1_024 // bytes
)

// broker checks that a broker has nothing but what is a broker's, and others do not.
func (p *problems) broker(g *latchkey.Gateway) {
	if g.Profile != latchkey.ProfileRabbitMQ {
		if g.Management.Set() {
			p.add("/management", "not_allowed", "Only a broker, which has the profile rabbitmq, has a management API.")
		}
		return
	}
	if len(g.Routes) > 0 {
		p.add("/routes", "not_allowed", "A broker has no routes: what a key may do there is said by its scopes, amqp:read:<queues> and so on.")
	}
	if len(g.KeyHeaders) > 0 {
		p.add("/key_headers", "not_allowed", "A broker sends no headers.")
	}
	if g.Place != latchkey.TokenInPath {
		p.add("/credential", "not_allowed", "A broker shows its token in the path: it cannot send headers.")
	}
	if len(g.Trust.Entries()) > 0 {
		p.add("/trusted_proxies", "not_allowed", "A broker tells the client's address itself.")
	}
	if g.Audience != "" {
		p.add("/assertion_audience", "not_allowed", "A broker cannot be told an assertion.")
	}
}

// management checks how a broker's management API is reached.
func (p *problems) management(m *NewManagement) {
	if m == nil {
		return
	}
	if !isServerURL(m.URL) {
		p.add("/management/url", "format", "This is http or https, a host and perhaps a path, such as https://rabbitmq.internal:15671, without user, query, fragment or a slash at the end.")
	}
	p.text("/management/username", m.Username, 1, latchkey.MaxNameLen)
	if n := len(m.Password.Expose()); n < 1 || n > maxPasswordLen {
		p.add("/management/password", "length", "A password is 1 to 1,024 bytes.")
	}
}

func isServerURL(given string) bool {
	u, err := url.Parse(given)
	return err == nil && len(given) <= maxURLLen && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(given, "?#\\ ") && !strings.HasSuffix(given, "/") && u.String() == given
}

// mayManage refuses to let anybody but the operator say where this server sends
// requests.
func (c *Caller) mayManage(m *NewManagement) error {
	if m != nil && !c.Operator {
		return latchkey.Errorf(latchkey.CodeCeiling, "Only the operator's owner and admin may say where a broker's management API is.")
	}
	return nil
}

// sealManagement prepares what puts the management API's password into a gateway
// of the caller's organization, who must still be allowed to then.
func (a *Authority) sealManagement(ctx context.Context, call *Call, m *NewManagement) (func(*txn, *latchkey.Gateway) error, error) {
	if m == nil {
		return func(*txn, *latchkey.Gateway) error { return nil }, nil
	}
	if err := call.mayManage(m); err != nil {
		return nil, err
	}
	dataKey, err := a.dataKey(ctx, call.Organization)
	if err != nil {
		return nil, err
	}
	return func(t *txn, g *latchkey.Gateway) error {
		if err := t.caller.mayManage(m); err != nil {
			return err
		}
		var err error
		g.Management.Sealed, err = a.Ring.Seal(dataKey, keyring.OfManagement(g), m.Password)
		return err
	}, nil
}

// staysBroker refuses to make a broker of another gateway, or the reverse: what
// they are told is too different.
func staysBroker(was latchkey.Profile, g *latchkey.Gateway) error {
	if (was == latchkey.ProfileRabbitMQ) != (g.Profile == latchkey.ProfileRabbitMQ) {
		return latchkey.Invalid("/profile", "not_allowed", "A broker stays one, and no other gateway becomes one; make a new one.")
	}
	return nil
}

// tellManagement is empty where there is none.
func tellManagement(m *latchkey.Management) map[string]any {
	if !m.Set() {
		return map[string]any{}
	}
	return map[string]any{"url": m.URL, "username": m.Username, "delete_vhosts": m.DeleteVHosts}
}
