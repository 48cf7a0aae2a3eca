package rabbitmq

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// Bounds of a form. A password may be a token, which has 8 KiB; names in AMQP
// have 255 bytes (AMQP 0-9-1, section 4.2.5.3).
const (
	maxForm   = 16 << 10
	maxFields = 64
	maxName   = 255
)

// form is what a broker says, each thing once.
type form map[string]string

// read reads a form; nil for one that cannot be told for sure.
func read(w http.ResponseWriter, r *http.Request) form {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" || r.Header.Get("Content-Encoding") != "" {
		return nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil
	}
	return parse(string(text))
}

func parse(text string) form {
	values, err := url.ParseQuery(text)
	if err != nil || len(values) > maxFields {
		return nil
	}
	f := form{}
	for name, given := range values {
		if len(given) > 1 || !utf8.ValidString(given[0]) {
			return nil
		}
		f[name] = given[0]
	}
	return f
}

// name is a field that has to be there and be no longer than a name.
func (f form) name(field string) (string, bool) {
	s, ok := f[field]
	return s, ok && len(s) <= maxName
}

func (api *API) user(ctx context.Context, g *latchkey.Gateway, f form) latchkey.Code {
	user, ok := f.name("username")
	if !ok || f["password"] == "" {
		return latchkey.CodeMalformed
	}
	return api.Named.Login(ctx, g, user, latchkey.NewPlaintext(f["password"]))
}

func (api *API) vhost(ctx context.Context, g *latchkey.Gateway, f form) latchkey.Code {
	user, ok := f.name("username")
	vhost, there := f.name("vhost")
	if !ok || !there {
		return latchkey.CodeMalformed
	}
	return api.Named.Enter(ctx, g, user, vhost, address(f["ip"]))
}

// address is the client's, as the broker tells it; the zero value if it does not.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

func (api *API) resource(ctx context.Context, g *latchkey.Gateway, f form) latchkey.Code {
	if kind := f["resource"]; kind != "queue" && kind != "exchange" && kind != "topic" {
		return latchkey.CodeMalformed
	}
	user, ok := f.name("username")
	vhost, there := f.name("vhost")
	thing, named := f.name("name")
	if !ok || !there || !named {
		return latchkey.CodeMalformed
	}
	return api.Named.Use(ctx, g, user, vhost, latchkey.BrokerAction(f["permission"]), thing)
}

// topic is about a message's routing key at an exchange that resource was asked
// about. What a key may do is said of queues and exchanges, so the exchange
// decides.
func (api *API) topic(ctx context.Context, g *latchkey.Gateway, f form) latchkey.Code {
	if _, ok := f.name("routing_key"); !ok || f["resource"] != "topic" {
		return latchkey.CodeMalformed
	}
	return api.resource(ctx, g, f)
}
