package broker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/latchkeytest"
)

var longFlag = flag.Bool("long", false, "revoke as often as is worth believing")

const example = "../examples/rabbitmq"

type object = map[string]any

// house is a Latchkey and the RabbitMQ that asks it, both as users run them.
type house struct {
	*latchkeytest.Authority
	t       *testing.T
	between *httptest.Server // what RabbitMQ takes for Latchkey
	gateway string           // path of the broker in the native API
	token   string
	amqp    string // host:port
	manage  string // URL of RabbitMQ's management API
	asked   *sync.WaitGroup
}

const managementPassword = "the-password-of-the-management-api"

func startHouse(t *testing.T) *house {
	h := &house{Authority: latchkeytest.Start(t, latchkeytest.Options{}), t: t, asked: &sync.WaitGroup{}}
	at, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.between = httptest.NewServer(httputil.NewSingleHostReverseProxy(at))
	t.Cleanup(h.between.Close)
	made := h.call("POST", "/v1/gateways", object{"name": "rabbit", "profile": "rabbitmq"}, 201)
	h.token, h.gateway = made["token"].(string), "/v1/gateways/"+made["gateway"].(object)["id"].(string)
	ports := h.startRabbitMQ(h.configure())
	h.amqp, h.manage = "127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	h.call("PATCH", h.gateway, object{"management": object{"url": h.manage, "username": "latchkey", "password": managementPassword}}, 200)
	return h
}

// configure is the example as it is, with the addresses filled in.
func (h *house) configure() string {
	folder := h.t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(example)); err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(folder, "conf.d", "10-latchkey.conf")
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	filled := strings.NewReplacer("http://LATCHKEY:8080", h.between.URL, "TOKEN", h.token, "PASSWORD", managementPassword).Replace(string(text))
	if err := os.WriteFile(path, []byte(filled), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return folder
}

// startRabbitMQ gives the ports of AMQP and of the management API.
func (h *house) startRabbitMQ(folder string) (ports []string) {
	c := exec.Command("../scripts/with-rabbitmq", folder, "sh", "-c", `echo "$AMQP_PORT $MANAGEMENT_PORT"; exec cat`)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	in, err := c.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			h.t.Errorf("RabbitMQ: %v\n%s", err, &complaint)
		}
	})
	var amqpPort, managementPort string
	if _, err := fmt.Fscanln(out, &amqpPort, &managementPort); err != nil {
		h.t.Fatalf("RabbitMQ did not start: %v\n%s", err, &complaint)
	}
	return []string{amqpPort, managementPort}
}

func (h *house) call(method, path string, in any, want int) object {
	h.t.Helper()
	return h.callAs(h.AdminKey, method, path, in, want)
}

func (h *house) callAs(key, method, path string, in any, want int) object {
	h.t.Helper()
	payload, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	if in == nil {
		payload = nil
	}
	status, text := fetch(h.t, method, h.URL+path, payload, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) })
	if status != want {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func fetch(t *testing.T, method, at string, payload []byte, adjust func(*http.Request)) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	adjust(r)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, text
}

// partner is a key that was made through the Voke dialect.
type partner struct {
	id     latchkey.ID
	native string // its path in the native API
	secret string
	vhost  string
}

// partner makes one, and waits until its virtual host is there.
func (h *house) partner(scopes ...string) *partner {
	h.t.Helper()
	made := h.call("POST", "/api/v1/partner/api-keys", object{"name": "plant", "partnerId": "ACME", "scopes": scopes}, 201)
	shown := made["apiKey"].(object)
	id, _, err := latchkey.ParseUUID(shown["id"].(string))
	if err != nil {
		h.t.Fatal(err)
	}
	p := &partner{id: id, native: "/v1/keys/" + id.Native(latchkey.KindKey), secret: made["key"].(string), vhost: shown["vhost"].(string)}
	h.until("the virtual host is there", func() bool {
		var at struct {
			Nodes map[string]string `json:"cluster_state"`
		}
		status := h.broker("/api/vhosts/"+p.vhost, &at)
		for _, state := range at.Nodes {
			return status == 200 && state == "running"
		}
		return false
	})
	return p
}

// broker reads from RabbitMQ's management API.
func (h *house) broker(path string, out any) int {
	h.t.Helper()
	status, text := fetch(h.t, "GET", h.manage+path, nil, func(r *http.Request) { r.SetBasicAuth("latchkey", managementPassword) })
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			h.t.Fatal(err)
		}
	}
	return status
}

func (h *house) until(what string, done func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			h.t.Fatalf("it does not come about that %s\n%s", what, h.Log())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (h *house) dial(user, password, vhost string) (*amqp.Connection, error) {
	return amqp.DialConfig("amqp://"+h.amqp, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}, Vhost: vhost, Heartbeat: 10 * time.Second, Locale: "en_US",
	})
}

func (h *house) open(user, password, vhost string) *amqp.Connection {
	h.t.Helper()
	c, err := h.dial(user, password, vhost)
	if err != nil {
		h.t.Fatalf("%s: %v", user, err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// refuses wants a login to fail because it is not allowed. RabbitMQ takes its time
// to say so, so it does not wait: refused does.
func (h *house) refuses(what, user, password, vhost string) {
	h.asked.Go(func() { h.refusal(what, user, password, vhost) })
}

func (h *house) refused() { h.asked.Wait() }

func (h *house) refusal(what, user, password, vhost string) {
	c, err := h.dial(user, password, vhost)
	if err == nil {
		_ = c.Close()
		h.t.Errorf("%s: let in", what)
		return
	}
	refusal, ok := errors.AsType[*amqp.Error](err)
	if !ok || refusal.Code != amqp.AccessRefused && refusal.Code != amqp.NotAllowed {
		h.t.Errorf("%s: %v", what, err)
	}
}

// tries opens a channel for one thing, which may cost it.
func tries(t *testing.T, c *amqp.Connection, do func(*amqp.Channel) error) error {
	t.Helper()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ch.Close() }()
	return do(ch)
}

func denied(err error) bool {
	refusal, ok := errors.AsType[*amqp.Error](err)
	return ok && refusal.Code == amqp.AccessRefused
}

func declare(name string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, false, false, false, false, nil)
		return err
	}
}

// TestRabbitMQ takes a partner's key through all that the broker can be asked.
func TestRabbitMQ(t *testing.T) {
	h := startHouse(t)
	t.Run("publishes and consumes", func(t *testing.T) { h.in(t).publishes() })
	t.Run("is refused elsewhere", func(t *testing.T) { h.in(t).refusesElsewhere() })
	t.Run("scopes", func(t *testing.T) { h.in(t).scopes() })
	t.Run("tokens", func(t *testing.T) { h.in(t).tokens() })
	t.Run("rotation", func(t *testing.T) { h.in(t).rotation() })
	t.Run("narrowed", func(t *testing.T) { h.in(t).narrowed() })
	t.Run("revoked", func(t *testing.T) { h.in(t).revoked() })
	t.Run("secrets", func(t *testing.T) { h.in(t).secrets() })
	t.Run("without the authority", func(t *testing.T) { h.in(t).away() }) // the last one: it does not come back
}

func (h *house) in(t *testing.T) *house {
	other := *h
	other.t, other.asked = t, &sync.WaitGroup{}
	t.Cleanup(other.refused)
	return &other
}

func (h *house) publishes() {
	p := h.partner("amqp:configure:*", "amqp:write:*", "amqp:read:*")
	c := h.open(p.id.UUID(), p.secret, p.vhost)
	ch, err := c.Channel()
	if err != nil {
		h.t.Fatal(err)
	}
	q, err := ch.QueueDeclare("readings", false, false, false, false, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("plants", "topic", false, false, false, false, nil); err != nil {
		h.t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, "plant.*", "plants", false, nil); err != nil {
		h.t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		h.t.Fatal(err)
	}
	got, err := ch.Consume(q.Name, "", true, false, false, false, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	sent, err := ch.PublishWithDeferredConfirm("plants", "plant.7", false, false, amqp.Publishing{Body: []byte("21.5 kW")})
	if err != nil || !sent.Wait() {
		h.t.Fatalf("published: %v", err)
	}
	if m := <-got; string(m.Body) != "21.5 kW" {
		h.t.Errorf("consumed %q", m.Body)
	}
}

// refusesElsewhere tries every name that is not the key's own, and all that are.
func (h *house) refusesElsewhere() {
	a, b := h.partner("amqp:read:*"), h.partner("amqp:read:*")
	kid := strings.Split(a.secret, "_")[2]
	for _, user := range []string{a.id.UUID(), strings.ToUpper(a.id.UUID()), a.id.Hex(), a.id.Native(latchkey.KindKey), a.vhost, kid} {
		_ = h.open(user, a.secret, a.vhost).Close()
		h.refuses(user+" in another's virtual host", user, a.secret, b.vhost)
		h.refuses(user+" in the default virtual host", user, a.secret, "/")
		h.refuses(user+" with another key's password", user, b.secret, a.vhost)
	}
	for what, user := range map[string]string{
		"another key's id": b.id.UUID(), "another key's virtual host": b.vhost, "another key's kid": strings.Split(b.secret, "_")[2],
		"an organization": h.Organization.UUID(), "a partner": "ACME", "a name": "plant", "nobody": "0000000000000000", "the management's own": "latchkey",
		"a path": "../" + a.id.UUID(), "two": a.id.UUID() + "&username=" + b.id.UUID(),
	} {
		h.refuses(what, user, a.secret, a.vhost)
		h.refuses(what, user, a.secret, b.vhost)
	}
	h.refuses("the administrator's key", h.AdminKey, h.AdminKey, a.vhost)
	h.refuses("no password", a.id.UUID(), "", a.vhost)
	unnamed := h.call("POST", "/v1/keys", object{"name": "no partner", "scopes": []string{"amqp:read:*"}}, 201)
	h.refuses("a key without a partner", unnamed["key"].(object)["id"].(string), unnamed["secret"].(string), a.vhost)
	h.refused()
	h.call("PATCH", a.native, object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}}, 200)
	h.refusal("from another address", a.id.UUID(), a.secret, a.vhost)
	h.call("PATCH", a.native, object{"restrictions": object{"addresses": []string{"127.0.0.1"}}}, 200)
	_ = h.open(a.id.UUID(), a.secret, a.vhost).Close()
}

func (h *house) scopes() {
	p := h.partner("amqp:configure:in.*", "amqp:read:in.*.live", "amqp:write:amq.default")
	c := h.open(p.id.Hex(), p.secret, p.vhost)
	for name, allowed := range map[string]bool{"in.a": true, "in.": true, "in.a.live": true, "in": false, "out.in.a": false, "IN.a": false, "in*": false} {
		if err := tries(h.t, c, declare(name)); allowed != (err == nil) || !allowed && !denied(err) {
			h.t.Errorf("declaring %q: %v", name, err)
		}
	}
	get := func(name string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error { _, _, err := ch.Get(name, true); return err }
	}
	if err := tries(h.t, c, get("in.a.live")); err != nil {
		h.t.Errorf("reading within the scopes: %v", err)
	}
	if err := tries(h.t, c, get("in.a")); !denied(err) {
		h.t.Errorf("reading beyond the scopes: %v", err)
	}
	publish := func(exchange string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp.Error, 1))
			if err := ch.Confirm(false); err != nil {
				return err
			}
			sent, err := ch.PublishWithDeferredConfirm(exchange, "in.a", false, false, amqp.Publishing{Body: []byte("x")})
			if err != nil {
				return err
			}
			select {
			case err := <-closed:
				return err
			case <-sent.Done():
				return nil
			}
		}
	}
	if err := tries(h.t, c, publish("")); err != nil {
		h.t.Errorf("writing within the scopes: %v", err)
	}
	if err := tries(h.t, c, publish("amq.topic")); !denied(err) {
		h.t.Errorf("writing beyond the scopes: %v", err)
	}
	reads := h.partner("telemetry:read")
	c = h.open(reads.vhost, reads.secret, reads.vhost)
	if err := tries(h.t, c, declare("any")); !denied(err) {
		h.t.Errorf("telemetry:read declares: %v", err)
	}
	if err := tries(h.t, c, publish("")); !denied(err) {
		h.t.Errorf("telemetry:read writes: %v", err)
	}
	writes := h.partner("telemetry:write")
	if err := tries(h.t, h.open(writes.vhost, writes.secret, writes.vhost), publish("amq.topic")); err != nil {
		h.t.Errorf("telemetry:write does not write: %v", err)
	}
}

func (h *house) tokens() {
	p := h.partner("amqp:read:*", "plants:read")
	token := func(scope string) string {
		form := url.Values{"grant_type": {"client_credentials"}}
		if scope != "" {
			form.Set("scope", scope)
		}
		status, text := fetch(h.t, "POST", h.URL+"/oauth/token", []byte(form.Encode()), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(strings.Split(p.secret, "_")[2], p.secret)
		})
		var out struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(text, &out); err != nil || out.Token == "" {
			h.t.Fatalf("no token: %d %s", status, text)
		}
		return out.Token
	}
	_ = h.open(p.id.UUID(), token(""), p.vhost).Close()
	_ = h.open(p.id.UUID(), token("amqp:read:*"), p.vhost).Close()
	h.refuses("a token for less than the key may do", p.id.UUID(), token("plants:read"), p.vhost)
	other := h.partner("amqp:read:*")
	h.refuses("another key's token", other.id.UUID(), token(""), other.vhost)
	h.refuses("a token cut short", p.id.UUID(), strings.TrimRight(token(""), "abcdefghijklmnopqrstuvwxyz")[:100], p.vhost)
	revoked := token("")
	gone := h.open(p.id.UUID(), revoked, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
	revoke := url.Values{"token": {revoked}}
	if status, text := fetch(h.t, "POST", h.URL+"/oauth/revoke", []byte(revoke.Encode()), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}); status != 200 {
		h.t.Fatalf("revoking a token: %d %s", status, text)
	}
	h.closes("its token was revoked", gone, 2*time.Second)
	h.refuses("a token that was revoked", p.id.UUID(), revoked, p.vhost)
}

func (h *house) rotation() {
	p := h.partner("amqp:read:*")
	old := p.secret
	rotate := func(overlap string) string {
		return h.call("POST", p.native+"/rotate", object{"overlap": overlap}, 200)["secret"].(string)
	}
	next := rotate("2s")
	before := h.open(p.id.UUID(), old, p.vhost)
	gone := before.NotifyClose(make(chan *amqp.Error, 1))
	_ = h.open(p.id.UUID(), next, p.vhost).Close()
	h.closes("the overlap ended", gone, 4*time.Second)
	h.refuses("the old secret after the overlap", p.id.UUID(), old, p.vhost)
	h.refuses("its kid after the overlap", strings.Split(old, "_")[2], next, p.vhost)
	h.refused()
	third := rotate("1h")
	gone = h.open(p.id.UUID(), next, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
	h.call("POST", p.native+"/rotation/complete", nil, 200)
	h.closes("the rotation was completed", gone, 2*time.Second)
	h.refuses("the old secret after completion", p.id.UUID(), next, p.vhost)
	fourth := rotate("1h")
	gone = h.open(p.id.UUID(), fourth, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
	h.call("POST", p.native+"/rotation/cancel", nil, 200)
	h.closes("the rotation was cancelled", gone, 2*time.Second)
	h.refuses("the new secret after cancelling", p.id.UUID(), fourth, p.vhost)
	_ = h.open(p.id.UUID(), third, p.vhost).Close()
}

func (h *house) closes(why string, gone <-chan *amqp.Error, within time.Duration) {
	h.t.Helper()
	select {
	case <-gone:
	case <-time.After(within):
		h.t.Errorf("%s: the connection is open after %v\n%s", why, within, h.Log())
	}
}

func (h *house) narrowed() {
	for why, patch := range map[string]object{
		"disabled": {"enabled": false}, "fewer scopes": {"scopes": []string{"amqp:read:a"}},
		"other addresses": {"restrictions": object{"addresses": []string{"192.0.2.1"}}}, "it expires": {"expires_at": time.Now().Add(1500 * time.Millisecond).UTC().Format(time.RFC3339Nano)},
	} {
		p := h.partner("amqp:read:*")
		gone := h.open(p.id.UUID(), p.secret, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
		h.call("PATCH", p.native, patch, 200)
		h.closes(why, gone, 4*time.Second)
	}
	p := h.partner("amqp:read:*")
	gone := h.open(p.id.UUID(), p.secret, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
	h.call("PATCH", p.native, object{"name": "renamed"}, 200)
	q := h.partner("amqp:read:*") // whose virtual host is made after that
	select {
	case <-gone:
		h.t.Error("a new name closed the connection")
	default:
	}
	h.call("DELETE", "/api/v1/partner/api-keys/"+q.id.UUID(), nil, 200)
}

// revoked revokes again and again, an open connection and others that log in at
// that moment, and looks how long any of them lives.
func (h *house) revoked() {
	rounds := 4
	if *longFlag {
		rounds = 50
	}
	var worst time.Duration
	for range rounds {
		p := h.partner("amqp:read:*")
		gone := h.open(p.id.UUID(), p.secret, p.vhost).NotifyClose(make(chan *amqp.Error, 1))
		stop := make(chan struct{})
		var logins sync.WaitGroup
		var mu sync.Mutex
		var raced []<-chan *amqp.Error
		for range 4 {
			logins.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := h.dial(p.id.UUID(), p.secret, p.vhost)
					if err != nil {
						continue
					}
					mu.Lock()
					raced = append(raced, c.NotifyClose(make(chan *amqp.Error, 1)))
					mu.Unlock()
				}
			})
		}
		h.until("somebody logs in meanwhile", func() bool { mu.Lock(); defer mu.Unlock(); return len(raced) > 3 })
		h.call("DELETE", "/api/v1/partner/api-keys/"+p.id.UUID(), nil, 200)
		began := time.Now()
		h.closes("it was revoked", gone, 2*time.Second)
		for _, gone := range raced {
			h.closes("it was revoked while that one logged in", gone, max(time.Millisecond, 2*time.Second-time.Since(began)))
		}
		worst = max(worst, time.Since(began))
		close(stop)
		logins.Wait()
		for _, gone := range raced {
			h.closes("it was revoked before that one logged in", gone, 2*time.Second)
		}
		h.refuses("after the revocation", p.id.UUID(), p.secret, p.vhost)
		var open []object
		h.until("none is left", func() bool {
			return h.broker("/api/connections?disable_stats=true", &open) == 200 && !strings.Contains(fmt.Sprint(open), p.vhost)
		})
	}
	h.t.Logf("%d of %d revocations: every connection was gone, the last after %v", rounds, rounds, worst.Round(time.Millisecond))
}

func (h *house) secrets() {
	shown := h.call("GET", h.gateway, nil, 200)
	log, told := h.Log(), fmt.Sprint(shown, h.call("GET", "/v1/events?type=gateway.updated", nil, 200))
	for what, secret := range map[string]string{"the broker's token": h.token[len(h.token)-40:], "the management password": managementPassword} {
		if strings.Contains(log, secret) || strings.Contains(told, secret) {
			h.t.Errorf("%s is told", what)
		}
	}
	if !strings.Contains(log, "/integrations/rabbitmq/{token}/user") {
		h.t.Error("the log does not tell of logins")
	}
}

func (h *house) away() {
	p := h.partner("amqp:configure:*")
	c := h.open(p.id.UUID(), p.secret, p.vhost)
	h.between.CloseClientConnections()
	h.between.Close()
	h.refusal("without the authority", p.id.UUID(), p.secret, p.vhost)
	if err := tries(h.t, c, declare("new")); !denied(err) {
		h.t.Errorf("a queue declared without the authority: %v", err)
	}
}
