package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/client"
)

var (
	someToken = client.NewSecret("lk_live_7Hk2mQ9xTz4LpW0e_token")
	someKey   = client.NewSecret("lk_live_7Hk2mQ9xTz4LpW0e_presented")
)

// seen is a request as a server got it.
type seen struct {
	method, uri, body string
	header            http.Header
}

// script is a server that keeps what it gets and answers from a list, the last
// answer again and again.
type script struct {
	mu      sync.Mutex
	got     []seen
	answers []http.HandlerFunc
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	s.got = append(s.got, seen{r.Method, r.RequestURI, string(text), r.Header.Clone()})
	answer := s.answers[min(len(s.got), len(s.answers))-1]
	s.mu.Unlock()
	answer(w, r)
}

func (s *script) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// waits are the pauses that a client made.
type waits struct {
	mu   sync.Mutex
	list []time.Duration
}

func (w *waits) pause(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, d)
	return ctx.Err()
}

// against makes a client of a server that answers so.
func against(t *testing.T, options client.Options, answers ...http.HandlerFunc) (*client.Client, *script, *waits) {
	t.Helper()
	s := &script{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, someToken, options)
	if err != nil {
		t.Fatal(err)
	}
	w := &waits{}
	c.OnPause(w.pause)
	return c, s, w
}

// says answers with JSON.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "req-1")
		w.Header().Set("ETag", `"7"`)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// refuses answers with a problem document.
func refuses(status int, code string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"/docs#%[1]s","title":"T","status":%[2]d,"code":%[1]q,"detail":"D.","request_id":"req-2","object":"key_1","errors":[{"pointer":"/name","code":"required","detail":"This is required."}]}`, code, status)
	}
}

// hangsUp takes the request and ends the connection without an answer.
func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Every operation, as it goes over the wire and as its answer is read.
func TestOperations(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	const key = `{"id":"key_1","name":"n","role":null,"expires_at":null,"created_at":"2026-01-02T03:04:05.006Z","metadata":{"a":1},"rotation":{"old":"a","new":"b","started_at":"2026-01-02T03:04:05.006Z","ends_at":"2026-01-02T03:04:05.006Z"},"future":true}`
	const changed = `{"key":` + key + `,"effective":"pending","position":9,"nodes":[{"id":"n1","within_ms":3000}]}`
	const issued = `{"key":` + key + `,"secret":"sesame","usable":"everywhere","position":9}`
	const effect = `{"effective":"everywhere","position":9}`
	const verdict = `{"valid":false,"code":"expired","as_of":"2026-01-02T03:04:05.006Z","node":"n1","key_id":"key_1","expires_at":null}`
	const ring = `{"fingerprint":"f","versions":[{"version":1,"state":"active","secrets":3}]}`

	tests := map[string]struct {
		call    func(context.Context, *client.Client) (any, error)
		method  string
		uri     string
		body    string
		creates bool
		answer  string
		want    string // of the answer's value, as fmt prints it
	}{
		"create a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Create(ctx, client.NewKey{
					Name: "n", ProjectID: "prj_1", Reach: "project", OwnerID: "usr_1", Partner: "p", Role: "reader", Scopes: []string{"a:b"},
					Restrictions: client.Restrictions{Addresses: []string{"10.0.0.0/8"}, Resources: map[string][]string{"plant": {}}},
					ExpiresAt:    when, Retrievable: true, Metadata: json.RawMessage(`{"k":"v"}`),
				})
				return fmt.Sprint(a.Value.Key.ID, " ", a.Value.Secret.Expose(), " ", a.Value.Usable, " ", a.Value.Position), err
			},
			method: "POST", uri: "/v1/keys", creates: true, answer: issued, want: "key_1 sesame everywhere 9",
			body: `{"name":"n","project_id":"prj_1","reach":"project","owner_id":"usr_1","partner":"p","role":"reader","scopes":["a:b"],"restrictions":{"addresses":["10.0.0.0/8"],"resources":{"plant":[]}},"expires_at":"2026-01-02T03:04:05.006Z","retrievable":true,"metadata":{"k":"v"}}`,
		},
		"create a key, nothing but its name": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Create(ctx, client.NewKey{Name: "n"})
				return a.Value.Key.Rotation.New, err
			},
			method: "POST", uri: "/v1/keys", creates: true, body: `{"name":"n"}`, answer: issued, want: "b",
		},
		"create keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.CreateBatch(ctx, []client.NewKey{{Name: "a"}, {Name: "b"}})
				return a.Value.Results[0].Secret.Expose(), err
			},
			method: "POST", uri: "/v1/keys/batch-create", creates: true, body: `{"items":[{"name":"a"},{"name":"b"}]}`,
			answer: `{"results":[` + issued + `],"usable":"everywhere","position":9}`, want: "sesame",
		},
		"import keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Import(ctx, "sha256", []client.ImportedKey{{NewKey: client.NewKey{Name: "a"}, Digest: "00", Public: "old_"}}, "")
				return len(a.Value.Results), err
			},
			method: "POST", uri: "/v1/keys/import", creates: true, body: `{"scheme":"sha256","items":[{"name":"a","digest":"00","public":"old_"}]}`,
			answer: `{"results":[{"key":` + key + `}],"usable":"everywhere","position":9}`, want: "1",
		},
		"list keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.List(ctx, client.KeyFilter{
					State: "live", ProjectID: "prj_1", Role: "reader", OwnerID: "usr_1", Partner: "p&q", Search: "s", ExpiringBefore: when,
					UnusedSince: when, Sort: "-name", Limit: 5, Cursor: "c",
				})
				return fmt.Sprint(a.Value.Data[0].CreatedAt.Equal(when), a.Value.Data[0].ExpiresAt.IsZero(), a.Value.NextCursor), err
			},
			method: "GET", uri: "/v1/keys?cursor=c&expiring_before=2026-01-02T03%3A04%3A05.006Z&limit=5&owner_id=usr_1&partner=p%26q&project_id=prj_1&role=reader&search=s&sort=-name&state=live&unused_since=2026-01-02T03%3A04%3A05.006Z",
			answer: `{"data":[` + key + `],"next_cursor":"next"}`, want: "true truenext",
		},
		"get a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Get(ctx, "key_1/../x?y")
				return fmt.Sprint(a.ETag, a.RequestID, string(a.Raw.Expose()) == key, string(a.Value.Metadata)), err
			},
			method: "GET", uri: "/v1/keys/key_1%2F..%2Fx%3Fy", answer: key, want: `"7"req-1true{"a":1}`,
		},
		"update a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Update(ctx, "key_1", client.KeyPatch{
					Name: client.Set("m"), Role: client.Clear[string](), Scopes: client.Set([]string{}), Enabled: client.Set(false),
					Restrictions: client.RestrictionsPatch{Addresses: client.Clear[[]string]()}, ExpiresAt: client.Clear[time.Time](),
				})
				return fmt.Sprint(a.Value.Effective, a.Value.Nodes), err
			},
			method: "PATCH", uri: "/v1/keys/key_1", answer: changed, want: "pending[{n1 3000}]",
			body: `{"name":"m","role":null,"scopes":[],"restrictions":{"addresses":null},"enabled":false,"expires_at":null}`,
		},
		"rotate a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Rotate(ctx, "key_1", 90*time.Minute)
				return a.Value.Secret.Expose(), err
			},
			method: "POST", uri: "/v1/keys/key_1/rotate", creates: true, body: `{"overlap":"1h30m0s"}`, answer: issued, want: "sesame",
		},
		"complete a rotation": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.CompleteRotation(ctx, "key_1")
				return a.Value.Position, err
			},
			method: "POST", uri: "/v1/keys/key_1/rotation/complete", answer: changed, want: "9",
		},
		"cancel a rotation": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.CancelRotation(ctx, "key_1")
				return a.Value.Position, err
			},
			method: "POST", uri: "/v1/keys/key_1/rotation/cancel", answer: changed, want: "9",
		},
		"revoke a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Revoke(ctx, "key_1", "leaked")
				return a.Value.Key.Name, err
			},
			method: "POST", uri: "/v1/keys/key_1/revoke", body: `{"reason":"leaked"}`, answer: changed, want: "n",
		},
		"revoke a key, saying nothing": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Revoke(ctx, "key_1", "")
				return a.Value.Key.Name, err
			},
			method: "POST", uri: "/v1/keys/key_1/revoke", body: `{}`, answer: changed, want: "n",
		},
		"revoke oneself": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.RevokeSelf(ctx, someKey)
				return a.Value.KeyID, err
			},
			method: "POST", uri: "/v1/keys/revoke-self", body: `{"key":"` + someKey.Expose() + `"}`, answer: `{"key_id":"key_1","effective":"everywhere","position":9}`, want: "key_1",
		},
		"reveal a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Reveal(ctx, "key_1", "audit")
				return a.Value.Secret.Expose(), err
			},
			method: "POST", uri: "/v1/keys/key_1/reveal", body: `{"reason":"audit"}`, answer: `{"secret":"sesame"}`, want: "sesame",
		},
		"verify, all of": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Verify(ctx, client.Verification{
					Key: someKey, IP: "192.0.2.1", Environment: "live", AllScopes: []string{"a", "b"}, Resource: &client.Resource{Type: "plant", ID: "1"},
				})
				return fmt.Sprint(a.Value.Valid, a.Value.Code, a.Value.KeyID, a.Value.ExpiresAt.IsZero()), err
			},
			method: "POST", uri: "/v1/keys/verify", answer: verdict, want: "falseexpiredkey_1true",
			body: `{"key":"` + someKey.Expose() + `","ip":"192.0.2.1","environment":"live","scopes":["a","b"],"resource":{"type":"plant","id":"1"}}`,
		},
		"verify, any of": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Verify(ctx, client.Verification{Key: someKey, AnyScopes: []string{"a", "b"}})
				return a.Value.Code, err
			},
			method: "POST", uri: "/v1/keys/verify", body: `{"key":"` + someKey.Expose() + `","scopes":{"any":["a","b"]}}`, answer: verdict, want: "expired",
		},
		"verify, all and any of": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Verify(ctx, client.Verification{Key: someKey, AllScopes: []string{"a"}, AnyScopes: []string{"b"}})
				return a.Value.Code, err
			},
			method: "POST", uri: "/v1/keys/verify", body: `{"key":"` + someKey.Expose() + `","scopes":{"all":["a"],"any":["b"]}}`, answer: verdict, want: "expired",
		},
		"verify several": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.VerifyBatch(ctx, []client.Verification{{Key: someKey}, {Key: client.NewSecret("x")}})
				return len(a.Value.Results), err
			},
			method: "POST", uri: "/v1/keys/batch-verify", body: `{"items":[{"key":"` + someKey.Expose() + `"},{"key":"x"}]}`, answer: `{"results":[` + verdict + `,` + verdict + `]}`, want: "2",
		},
		"explain": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Explain(ctx, client.Verification{Key: someKey})
				return fmt.Sprint(a.Value.Code, a.Value.Checks), err
			},
			method: "POST", uri: "/v1/keys/explain", body: `{"key":"` + someKey.Expose() + `"}`,
			answer: `{"valid":false,"code":"unknown","checks":[{"name":"kid","outcome":"failed","detail":"d"}]}`, want: "unknown[{kid failed d}]",
		},
		"create an organization": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Organizations.Create(ctx, client.NewOrganization{Name: "o"})
				return fmt.Sprint(a.Value.ID, a.Value.Limits), err
			},
			method: "POST", uri: "/v1/organizations", creates: true, body: `{"name":"o"}`,
			answer: `{"id":"org_1","limits":{"keys":1,"changes_per_second":2}}`, want: "org_1{1 2}",
		},
		"update an organization": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Organizations.Update(ctx, "org_1", client.OrganizationPatch{
					State: client.Set("suspended"), Limits: client.LimitsPatch{Keys: client.Set(int64(5))},
				})
				return fmt.Sprint(a.Value.Object.State, a.Value.Effective, a.Value.Nodes), err
			},
			method: "PATCH", uri: "/v1/organizations/org_1", body: `{"state":"suspended","limits":{"keys":5}}`,
			answer: `{"state":"suspended","effective":"pending","position":9,"nodes":[{"id":"n1","within_ms":3000}]}`, want: "suspendedpending[{n1 3000}]",
		},
		"create a project": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Projects.Create(ctx, client.NewProject{Name: "p", Prefix: "acme", Environment: "test", Retrievable: true})
				return a.Value.Prefix, err
			},
			method: "POST", uri: "/v1/projects", creates: true, body: `{"name":"p","prefix":"acme","environment":"test","retrievable":true}`,
			answer: `{"id":"prj_1","prefix":"acme"}`, want: "acme",
		},
		"list projects": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Projects.List(ctx, client.PageFilter{Limit: 2, Cursor: "c"})
				return len(a.Value.Data), err
			},
			method: "GET", uri: "/v1/projects?cursor=c&limit=2", answer: `{"data":[{"id":"prj_1"}],"next_cursor":null}`, want: "1",
		},
		"create a user": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Users.Create(ctx, client.NewUser{
					Kind: "person", Name: "u", Email: "u@example.com", Roles: []client.MemberRole{{Role: "reader"}, {ProjectID: "prj_1", Role: "owner"}},
				})
				return a.Value.Roles, err
			},
			method: "POST", uri: "/v1/users", creates: true,
			body:   `{"kind":"person","name":"u","email":"u@example.com","roles":[{"role":"reader"},{"project_id":"prj_1","role":"owner"}]}`,
			answer: `{"id":"usr_1","roles":[{"project_id":null,"role":"reader"}]}`, want: "[{ reader}]",
		},
		"get a role": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Roles.Get(ctx, "reader")
				return fmt.Sprint(a.Value.Builtin, a.Value.CreatedAt.IsZero(), a.Value.OrganizationID == ""), err
			},
			method: "GET", uri: "/v1/roles/reader", answer: `{"id":"role_1","builtin":true,"created_at":null,"organization_id":null}`, want: "true true true",
		},
		"update a role": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Roles.Update(ctx, "role_1", client.RolePatch{Rank: client.Set(0), Permissions: client.Set([]string{"a"})})
				return a.Value.Object.ID, err
			},
			method: "PATCH", uri: "/v1/roles/role_1", body: `{"rank":0,"permissions":["a"]}`, answer: `{"id":"role_1"}`, want: "role_1",
		},
		"list the nodes": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Nodes.List(ctx)
				return fmt.Sprint(a.Value.Position, a.Value.Data), err
			},
			method: "GET", uri: "/v1/nodes", answer: `{"data":[{"id":"node_1","state":"serving","applied":8,"serve_for_ms":3000,"keyring_versions":[1],"build":"b","self":true}],"next_cursor":null,"position":9}`,
			want: "9 [{node_1 serving 8 3000 [1] b true}]",
		},
		"forget a node": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Nodes.Forget(ctx, "node_1")
				return a.Value.ID, err
			},
			method: "DELETE", uri: "/v1/nodes/node_1", answer: `{"id":"node_1"}`, want: "node_1",
		},
		"tell the uses of a key": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keys.Usage(ctx, "key_1", client.UsageFilter{Limit: 2, Since: time.Unix(0, 0)})
				return fmt.Sprint(a.Value.Data[0].Hour.Unix(), a.Value.Data[0].Uses[0].Code, a.Value.Data[0].Uses[0].Count), err
			},
			method: "GET", uri: "/v1/keys/key_1/usage?limit=2&since=1970-01-01T00%3A00%3A00Z",
			answer: `{"data":[{"hour":"1970-01-01T01:00:00.000Z","uses":[{"code":"valid","address":null,"count":3,"last_at":"1970-01-01T01:00:01.000Z"}]}],"next_cursor":null}`, want: "3600valid3",
		},
		"delete a role": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Roles.Delete(ctx, "role_1", false)
				return a.Value.Position, err
			},
			method: "DELETE", uri: "/v1/roles/role_1", answer: effect, want: "9",
		},
		"delete a project with its keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Projects.Delete(ctx, "prj_1", true)
				return a.Value.Effective, err
			},
			method: "DELETE", uri: "/v1/projects/prj_1?revoke_keys=true", answer: effect, want: "everywhere",
		},
		"list events": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Events.List(ctx, client.EventFilter{After: 3, Type: "key.revoked", Object: "key_1", Limit: 2, Everywhere: true})
				return fmt.Sprint(a.Value.Data[0].Position, a.Value.Data[0].Object, a.Value.NextCursor), err
			},
			method: "GET", uri: "/v1/events?after=3&everywhere=true&limit=2&object=key_1&type=key.revoked",
			answer: `{"data":[{"id":"evt_1","position":4,"object":null}],"next_cursor":"4"}`, want: "4 { }4",
		},
		"describe the key ring": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keyring.Status(ctx)
				return a.Value.Versions[0].Secrets, err
			},
			method: "GET", uri: "/v1/keyring", answer: ring, want: "3",
		},
		"add to the key ring": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keyring.Add(ctx)
				return a.Value.Version, err
			},
			method: "POST", uri: "/v1/keyring/versions", answer: `{"version":2,"state":"pending"}`, want: "2",
		},
		"activate a version": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keyring.Activate(ctx, 2)
				return a.Value.Effective, err
			},
			method: "POST", uri: "/v1/keyring/versions/2/activate", answer: effect, want: "everywhere",
		},
		"describe the token keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Tokens.Status(ctx)
				return fmt.Sprint(a.Value.Keys[0].State, " ", a.Value.Keys[0].RetiredAt.IsZero()), err
			},
			method: "GET", uri: "/v1/tokens/keys", answer: `{"keys":[{"kid":"a","state":"active","retired_at":null}]}`, want: "active true",
		},
		"rotate the token keys": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Tokens.Rotate(ctx, true)
				return a.Value.Effective, err
			},
			method: "POST", uri: "/v1/tokens/keys/rotate", body: `{"now":true}`, answer: effect, want: "everywhere",
		},
		"retire a version": {
			call: func(ctx context.Context, c *client.Client) (any, error) {
				a, err := c.Keyring.Retire(ctx, 1, true)
				return a.Value.Effective, err
			},
			method: "POST", uri: "/v1/keyring/versions/1/retire", body: `{"force":true}`, answer: effect, want: "everywhere",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, server, _ := against(t, client.Options{Organization: "org_2", UserAgent: "test/1"}, says(200, test.answer))
			value, err := test.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(value); got != test.want {
				t.Errorf("the answer was read as %q, want %q", got, test.want)
			}
			got := server.requests()
			if len(got) != 1 {
				t.Fatalf("%d requests", len(got))
			}
			r := got[0]
			if r.method != test.method || r.uri != test.uri || r.body != test.body {
				t.Errorf("sent\n%s %s\n%s\nwant\n%s %s\n%s", r.method, r.uri, r.body, test.method, test.uri, test.body)
			}
			if h := r.header; h.Get("Authorization") != "Bearer "+someToken.Expose() || h.Get("Latchkey-Organization") != "org_2" ||
				h.Get("Accept") != "application/json" || h.Get("User-Agent") != "test/1" {
				t.Errorf("header %v", h)
			}
			if typed := r.header.Get("Content-Type") == "application/json"; typed != (test.body != "") {
				t.Errorf("Content-Type %q of body %q", r.header.Get("Content-Type"), r.body)
			}
			if named := r.header.Get("Idempotency-Key"); (len(named) >= 16) != test.creates {
				t.Errorf("Idempotency-Key %q", named)
			}
		})
	}
}

func TestImportUnderOwnKey(t *testing.T) {
	c, server, _ := against(t, client.Options{}, says(201, `{"results":[]}`))
	if _, err := c.Keys.Import(t.Context(), "sha256", nil, "batch-0000000001"); err != nil {
		t.Fatal(err)
	}
	if got := server.requests()[0].header.Get("Idempotency-Key"); got != "batch-0000000001" {
		t.Errorf("Idempotency-Key %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		url     string
		token   client.Secret
		options client.Options
		refused bool
	}{
		"https":                          {"https://keys.example.com", someToken, client.Options{}, false},
		"https with a path":              {"https://example.com/keys/", someToken, client.Options{}, false},
		"http, this machine":             {"http://127.0.0.1:8080", someToken, client.Options{}, false},
		"http, this machine by name":     {"http://LocalHost:8080", someToken, client.Options{}, false},
		"http, this machine by IPv6":     {"http://[::1]:8080", someToken, client.Options{}, false},
		"http, this machine mapped":      {"http://[::ffff:127.0.0.1]", someToken, client.Options{}, false},
		"http, another machine":          {"http://192.0.2.1:8080", someToken, client.Options{}, true},
		"http, a name that looks local":  {"http://localhost.example.com", someToken, client.Options{}, true},
		"http, a name that begins local": {"http://127.0.0.1.example.com", someToken, client.Options{}, true},
		"http, allowed":                  {"http://192.0.2.1:8080", someToken, client.Options{AllowPlaintext: true}, false},
		"http, without a token":          {"http://192.0.2.1:8080", client.Secret{}, client.Options{}, false},
		"no scheme":                      {"keys.example.com", someToken, client.Options{}, true},
		"another scheme":                 {"ftp://keys.example.com", someToken, client.Options{}, true},
		"no host":                        {"https:///v1", someToken, client.Options{}, true},
		"a user":                         {"https://u:p@keys.example.com", someToken, client.Options{}, true},
		"a query":                        {"https://keys.example.com?x=1", someToken, client.Options{}, true},
		"a fragment":                     {"https://keys.example.com#x", someToken, client.Options{}, true},
		"a line break in the token":      {"https://keys.example.com", client.NewSecret(someToken.Expose() + "\n"), client.Options{}, true},
		"a token beyond ASCII":           {"https://keys.example.com", client.NewSecret("ключ"), client.Options{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.New(test.url, test.token, test.options)
			if test.refused != (err != nil) || test.refused == (c != nil) {
				t.Fatalf("refused: %v, want %v", err, test.refused)
			}
			if err != nil && strings.Contains(err.Error(), someToken.Expose()) {
				t.Error("the refusal shows the token")
			}
		})
	}
	if _, err := client.New("http://192.0.2.1", someToken, client.Options{}); !errors.Is(err, client.ErrPlaintext) {
		t.Errorf("a token in the clear: %v", err)
	}
}

// A server behind a path is called there.
func TestBasePath(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{says(200, `{}`)}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/a%20b/", client.Secret{}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Keys.Get(t.Context(), "key_1"); err != nil {
		t.Fatal(err)
	}
	got := s.requests()[0]
	if got.uri != "/a%20b/v1/keys/key_1" {
		t.Errorf("asked for %s", got.uri)
	}
	if _, sent := got.header["Authorization"]; sent {
		t.Error("a credential out of nowhere")
	}
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{answers: []http.HandlerFunc{says(200, `{"id":"key_1"}`)}}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	server.Start()
	t.Cleanup(server.Close)
	got, err := client.Unix(path, client.Options{}).Keys.Get(t.Context(), "key_1")
	if err != nil || got.Value.ID != "key_1" {
		t.Fatalf("%v, %v", got.Value, err)
	}
	if _, sent := s.requests()[0].header["Authorization"]; sent {
		t.Error("a credential over the socket")
	}
}

func TestUnixWithoutServer(t *testing.T) {
	c := client.Unix(filepath.Join(t.TempDir(), "s"), client.Options{Attempts: 1})
	_, err := c.Keys.Create(t.Context(), client.NewKey{})
	lost, ok := errors.AsType[*client.TransportError](err)
	if !ok || lost.Uncertain {
		t.Fatalf("nothing was there, so nothing can have changed: %v", err)
	}
}

// No way of printing a client, an answer or a secret shows one.
func TestSecretsStayIn(t *testing.T) {
	c, _, _ := against(t, client.Options{}, says(201, `{"key":{"id":"key_1"},"secret":"sesame"}`))
	answer, err := c.Keys.Create(t.Context(), client.NewKey{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Value.Secret.Expose() != "sesame" || !strings.Contains(string(answer.Raw.Expose()), "sesame") {
		t.Fatal("the secret did not arrive at all")
	}
	type holder struct {
		Secret client.Secret
		Raw    client.Raw
		Answer client.Answer[client.IssuedKey]
		Ask    client.Verification
		Client *client.Client
	}
	h := holder{client.NewSecret("sesame"), client.NewRaw([]byte("sesame")), answer, client.Verification{Key: client.NewSecret("sesame")}, c}
	unseen := struct{ secret, inner any }{h.Secret, struct {
		a client.Answer[client.IssuedKey]
	}{h.Answer}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		for _, v := range []any{h, &h, h.Secret, h.Raw, h.Answer, *c, unseen} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("m", "h", h.Answer, "s", h.Secret, "r", h.Raw, "a", h.Ask)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "h", h.Answer, "s", h.Secret, "r", h.Raw, "c", c)
	text, err := json.Marshal([]any{h.Answer, h.Ask, h.Raw, map[string]client.Secret{"s": h.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, secret := range []string{"sesame", fmt.Sprintf("%x", "sesame"), fmt.Sprint([]byte("sesame")), someToken.Expose(), fmt.Sprintf("%x", someToken.Expose())} {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("a secret was shown: …%s", out.String()[max(0, i-200):i+len(secret)])
		}
	}
	if n := strings.Count(out.String(), "[redacted]"); n < 50 {
		t.Errorf("only %d redactions: this test prints too little", n)
	}
}

// The codes are those of the server, no fewer and no more.
func TestCodes(t *testing.T) {
	ours := []string{
		client.CodeUnauthenticated, client.CodeTooManyRequests, client.CodeBusy, client.CodeForbidden, client.CodeMethodNotAllowed,
		client.CodeUnsupportedMediaType, client.CodeTooLarge, client.CodeMalformedBody, client.CodeInvalid, client.CodeCeiling,
		client.CodeNotFound, client.CodeConflict, client.CodePreconditionFailed, client.CodeIdempotencyMismatch,
		client.CodeIdempotentSecretExpired, client.CodeRotationInProgress, client.CodeUnavailable, client.CodeInternal,
	}
	var theirs []string
	for _, code := range latchkey.ErrorCodes() {
		theirs = append(theirs, string(code))
	}
	if fmt.Sprint(ours) != fmt.Sprint(theirs) {
		t.Errorf("the client has\n%v\nthe server has\n%v", ours, theirs)
	}
}
