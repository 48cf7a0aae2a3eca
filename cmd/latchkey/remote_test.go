package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

// fakeServer answers as it is told to, and keeps what it was asked.
type fakeServer struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []asked
	answer func(n int, r asked) (status int, body string) // n counts from 1
}

type asked struct {
	method, uri, body string
	header            http.Header
}

func newFakeServer(t *testing.T, answer func(n int, r asked) (int, string)) *fakeServer {
	s := &fakeServer{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// always gives every question the same answer.
func always(status int, body string) func(int, asked) (int, string) {
	return func(int, asked) (int, string) { return status, body }
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	q := asked{r.Method, r.RequestURI, string(text), r.Header}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	n := len(s.asked)
	s.mu.Unlock()
	status, body := s.answer(n, q)
	w.Header().Set("Content-Type", "application/json")
	if status >= 300 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (s *fakeServer) questions() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// outcome is what a command left behind.
type outcome struct {
	status      int
	out, err    string
	environment *environment
}

// someToken is a credential that must be shown nowhere.
const someToken = "lk_live_7Hk2mQ9xTz4LpW0e_token"

// asks runs a command against the server.
func (s *fakeServer) asks(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	o := runCommand(t, map[string]string{urlVariable: s.URL, tokenVariable: someToken}, stdin, args...)
	if strings.Contains(o.out+o.err, someToken) {
		t.Errorf("the token was shown:\n%s%s", o.out, o.err)
	}
	return o
}

func runCommand(t *testing.T, variables map[string]string, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	env := &environment{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err, Getenv: func(name string) string { return variables[name] },
	}
	status := run(t.Context(), args, env)
	return outcome{status, out.String(), err.String(), env}
}

const (
	fakeKey     = `{"id":"key_1","name":"Ada","state":"live","environment":"live","reach":"project","scopes":["a:b"],"restrictions":{"addresses":[],"resources":{"plant":["1","2"],"none":[]}},"secrets":[{"kid":"k"}],"masked":"lk_live_k_...","metadata":{"a":1},"created_at":"2026-01-02T03:04:05.006Z","created_by":"system","expires_at":null,"last_used_at":null,"role":null}`
	fakeIssued  = `{"key":` + fakeKey + `,"secret":"sesame","usable":"everywhere","position":9}`
	fakeChanged = `{"key":` + fakeKey + `,"effective":"everywhere","position":9}`
	fakeEffect  = `{"effective":"everywhere","position":9}`
	fakePage    = `{"data":[` + fakeKey + `],"next_cursor":null}`
)

func fakeProblem(code, detail string, fields ...client.FieldError) string {
	text, err := json.Marshal(map[string]any{"code": code, "detail": detail, "request_id": "req-1", "object": "key_1", "errors": fields})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// What each command line asks of a server.
func TestQuestions(t *testing.T) {
	for line, test := range map[string]struct{ answer, question string }{
		"keys create --name n": {fakeIssued, `POST /v1/keys {"name":"n"}`},
		"keys create --name n --project prj_1 --reach organization --owner usr_1 --partner p --role r --retrievable": {
			fakeIssued, `POST /v1/keys {"name":"n","project_id":"prj_1","reach":"organization","owner_id":"usr_1","partner":"p","role":"r","retrievable":true}`},
		"keys create --name n --scope a:b,c --scope d --address 10.0.0.0/8 --address ::1 --resource plant=1 --resource plant=2=3 --resource none= --metadata k=v --metadata x=y=z": {
			fakeIssued, `POST /v1/keys {"name":"n","scopes":["a:b,c","d"],"restrictions":{"addresses":["10.0.0.0/8","::1"],"resources":{"none":[],"plant":["1","2=3"]}},"metadata":{"k":"v","x":"y=z"}}`},
		"keys create --name n --expires-at 2026-12-31":                {fakeIssued, `POST /v1/keys {"name":"n","expires_at":"2026-12-31T00:00:00Z"}`},
		"keys create --name n --expires-at 2026-12-31T10:00:00+01:00": {fakeIssued, `POST /v1/keys {"name":"n","expires_at":"2026-12-31T09:00:00Z"}`},
		"keys create --name n --expires-at never":                     {fakeIssued, `POST /v1/keys {"name":"n"}`},
		"keys list": {fakePage, `GET /v1/keys `},
		"keys list --state live --project prj_1 --role r --owner usr_1 --partner p --search s --sort -name --limit 5 --cursor c": {
			fakePage, `GET /v1/keys?cursor=c&limit=5&owner_id=usr_1&partner=p&project_id=prj_1&role=r&search=s&sort=-name&state=live `},
		"keys list --expiring-before 2026-12-31 --unused-since 2026-01-01T00:00:00Z": {
			fakePage, `GET /v1/keys?expiring_before=2026-12-31T00%3A00%3A00Z&unused_since=2026-01-01T00%3A00%3A00Z `},
		"keys list --all":           {fakePage, `GET /v1/keys?limit=100 `},
		"keys list --all --limit 7": {fakePage, `GET /v1/keys?limit=7 `},
		"keys get key_1":            {fakeKey, `GET /v1/keys/key_1 `},
		"keys usage key_1":          {`{"data":[],"next_cursor":null}`, `GET /v1/keys/key_1/usage `},
		"keys usage key_1 --since 2026-12-01 --before 2026-12-31 --limit 5 --cursor c": {
			`{"data":[],"next_cursor":null}`, `GET /v1/keys/key_1/usage?before=2026-12-31T00%3A00%3A00Z&cursor=c&limit=5&since=2026-12-01T00%3A00%3A00Z `},
		"keys usage key_1 --all":                        {`{"data":[],"next_cursor":null}`, `GET /v1/keys/key_1/usage?limit=100 `},
		"keys update key_1 --name m --disable":          {fakeChanged, `PATCH /v1/keys/key_1 {"name":"m","enabled":false}`},
		"keys update key_1 --enable --expires-at never": {fakeChanged, `PATCH /v1/keys/key_1 {"enabled":true,"expires_at":null}`},
		"keys update key_1 --role= --scope= --address= --resource= --metadata=": {
			fakeChanged, `PATCH /v1/keys/key_1 {"role":null,"scopes":[],"restrictions":{"addresses":[],"resources":{}},"metadata":{}}`},
		"keys update key_1 --role r --scope a --address ::1 --resource t=1 --metadata k=v --expires-at 2026-12-31": {
			fakeChanged, `PATCH /v1/keys/key_1 {"role":"r","scopes":["a"],"restrictions":{"addresses":["::1"],"resources":{"t":["1"]}},"expires_at":"2026-12-31T00:00:00Z","metadata":{"k":"v"}}`},
		"keys rotate key_1":                                 {fakeIssued, `POST /v1/keys/key_1/rotate {"overlap":"24h0m0s"}`},
		"keys rotate key_1 --overlap 0s":                    {fakeIssued, `POST /v1/keys/key_1/rotate {"overlap":"0s"}`},
		"keys rotate key_1 --overlap 7d12h":                 {fakeIssued, `POST /v1/keys/key_1/rotate {"overlap":"180h0m0s"}`},
		"keys rotation complete key_1":                      {fakeChanged, `POST /v1/keys/key_1/rotation/complete `},
		"keys rotation cancel key_1":                        {fakeChanged, `POST /v1/keys/key_1/rotation/cancel `},
		"keys revoke key_1":                                 {fakeChanged, `POST /v1/keys/key_1/revoke {}`},
		"keys revoke key_1 --reason r --wait 0s":            {fakeChanged, `POST /v1/keys/key_1/revoke?wait=0s {"reason":"r"}`},
		"keys reveal key_1 --reason r":                      {`{"secret":"sesame"}`, `POST /v1/keys/key_1/reveal {"reason":"r"}`},
		"keys revoke-self presented":                        {`{"key_id":"key_1","effective":"everywhere","position":9}`, `POST /v1/keys/revoke-self {"key":"presented"}`},
		"keys verify presented":                             {`{"valid":true,"code":"valid"}`, `POST /v1/keys/verify {"key":"presented"}`},
		"keys verify presented --scope a --scope b":         {`{"valid":true,"code":"valid"}`, `POST /v1/keys/verify {"key":"presented","scopes":["a","b"]}`},
		"keys verify presented --any-scope a --any-scope b": {`{"valid":true,"code":"valid"}`, `POST /v1/keys/verify {"key":"presented","scopes":{"any":["a","b"]}}`},
		"keys verify presented --ip ::1 --user-agent curl --environment test --resource plant:a:b=c": {
			`{"valid":true,"code":"valid"}`, `POST /v1/keys/verify {"key":"presented","ip":"::1","user_agent":"curl","environment":"test","resource":{"type":"plant","id":"a:b=c"}}`},
		"keys verify presented --explain": {`{"valid":true,"code":"valid","checks":[]}`, `POST /v1/keys/explain {"key":"presented"}`},

		"nodes list":                             {`{"data":[],"position":9}`, `GET /v1/nodes `},
		"nodes forget node_1":                    {`{"id":"node_1"}`, `DELETE /v1/nodes/node_1 `},
		"keys create --name n --wait 30s":        {fakeIssued, `POST /v1/keys?wait=30s {"name":"n"}`},
		"users update usr_1 --suspend --wait 1m": {`{"id":"usr_1","effective":"everywhere","position":9}`, `PATCH /v1/users/usr_1?wait=1m0s {"state":"suspended"}`},
		"roles delete role_1 --wait 0s":          {fakeEffect, `DELETE /v1/roles/role_1?wait=0s `},
		"gateways delete gw_1 --wait 3s":         {fakeEffect, `DELETE /v1/gateways/gw_1?wait=3s `},

		"projects create --name n": {`{"id":"prj_1"}`, `POST /v1/projects {"name":"n"}`},
		"projects create --name n --prefix acme --environment test --retrievable":     {`{"id":"prj_1"}`, `POST /v1/projects {"name":"n","prefix":"acme","environment":"test","retrievable":true}`},
		"projects list --limit 5 --cursor c":                                          {`{"data":[{"id":"prj_1"}],"next_cursor":null}`, `GET /v1/projects?cursor=c&limit=5 `},
		"projects list --all":                                                         {`{"data":[],"next_cursor":null}`, `GET /v1/projects?limit=100 `},
		"projects get prj_1":                                                          {`{"id":"prj_1"}`, `GET /v1/projects/prj_1 `},
		"projects create --name n --forbid-retrievable":                               {`{"id":"prj_1"}`, `POST /v1/projects {"name":"n","forbid_retrievable":true}`},
		"projects update prj_1 --forbid-retrievable=false":                            {`{"id":"prj_1"}`, `PATCH /v1/projects/prj_1 {"forbid_retrievable":false}`},
		"projects update prj_1 --retrievable=false":                                   {`{"id":"prj_1"}`, `PATCH /v1/projects/prj_1 {"retrievable":false}`},
		"projects delete prj_1":                                                       {fakeEffect, `DELETE /v1/projects/prj_1 `},
		"projects delete prj_1 --revoke-keys":                                         {fakeEffect, `DELETE /v1/projects/prj_1?revoke_keys=true `},
		"users create --name n --email a@b --role reader --role prj_1=owner":          {`{"id":"usr_1"}`, `POST /v1/users {"kind":"person","name":"n","email":"a@b","roles":[{"role":"reader"},{"project_id":"prj_1","role":"owner"}]}`},
		"users create --name n --service":                                             {`{"id":"usr_1"}`, `POST /v1/users {"kind":"service","name":"n"}`},
		"users list":                                                                  {`{"data":[{"id":"usr_1","roles":[{"project_id":null,"role":"r"}]}],"next_cursor":null}`, `GET /v1/users `},
		"users get usr_1":                                                             {`{"id":"usr_1"}`, `GET /v1/users/usr_1 `},
		"users update usr_1 --suspend --name m":                                       {`{"id":"usr_1"}`, `PATCH /v1/users/usr_1 {"name":"m","state":"suspended"}`},
		"users update usr_1 --activate --email c@d --role=":                           {`{"id":"usr_1"}`, `PATCH /v1/users/usr_1 {"email":"c@d","state":"active","roles":[]}`},
		"users delete usr_1":                                                          {fakeEffect, `DELETE /v1/users/usr_1 `},
		"roles create --identifier i":                                                 {`{"id":"role_1"}`, `POST /v1/roles {"identifier":"i","name":"i","rank":0,"permissions":[]}`},
		"roles create --identifier i --name n --rank 3 --permission a --permission b": {`{"id":"role_1"}`, `POST /v1/roles {"identifier":"i","name":"n","rank":3,"permissions":["a","b"]}`},
		"roles list":                                 {`{"data":[{"id":"role_1"}],"next_cursor":null}`, `GET /v1/roles `},
		"roles get reader":                           {`{"id":"role_1","builtin":true}`, `GET /v1/roles/reader `},
		"roles update role_1 --rank 0":               {`{"id":"role_1"}`, `PATCH /v1/roles/role_1 {"rank":0}`},
		"roles update role_1 --permission= --name m": {`{"id":"role_1"}`, `PATCH /v1/roles/role_1 {"name":"m","permissions":[]}`},
		"roles delete role_1":                        {fakeEffect, `DELETE /v1/roles/role_1 `},
		"gateways create --name n --profile nginx --route /open --route /v1/*=a,b": {
			`{"gateway":{"id":"gw_1"},"token":"sesame"}`,
			`POST /v1/gateways {"name":"n","profile":"nginx","routes":[{"path":"/open"},{"path":"/v1/*","scopes":{"all":["a","b"]}}]}`},
		"gateways create --name n --profile envoy-grpc --trusted-proxies 10.0.0.0/8,::1 --proxy-header Forwarded --assertion-audience a --route /": {
			`{"gateway":{"id":"gw_1"},"token":"sesame"}`,
			`POST /v1/gateways {"name":"n","profile":"envoy-grpc","trusted_proxies":{"networks":["10.0.0.0/8","::1"],"header":"Forwarded"},"assertion_audience":"a","routes":[{"path":"/"}]}`},
		"gateways update gw_1 --trusted-proxies 10.0.0.0/8 --proxy-header Forwarded --assertion-audience a": {
			`{"id":"gw_1"}`, `PATCH /v1/gateways/gw_1 {"trusted_proxies":{"networks":["10.0.0.0/8"],"header":"Forwarded"},"assertion_audience":"a"}`},
		"gateways update gw_1 --trusted-proxies= --assertion-audience=": {
			`{"id":"gw_1"}`, `PATCH /v1/gateways/gw_1 {"trusted_proxies":null,"assertion_audience":null}`},
		"gateways create --name n --profile caddy --credential header --environment live --all-organizations --key-header x-k --route /": {
			`{"gateway":{"id":"gw_1"},"token":"sesame"}`,
			`POST /v1/gateways {"name":"n","profile":"caddy","all_organizations":true,"environment":"live","credential":"header","key_headers":["x-k"],"routes":[{"path":"/"}]}`},
		"issuers create --name n --url https://id --audience a --audience b --role x=y=admin --role-claim groups": {
			`{"id":"iss_1","roles":[{"value":"x=y","role_id":"role_1"}]}`,
			`POST /v1/issuers {"name":"n","url":"https://id","audiences":["a","b"],"role_claim":"groups","roles":[{"value":"x=y","role":"admin"}]}`},
		"issuers list":         {`{"data":[{"id":"iss_1"}],"next_cursor":null}`, `GET /v1/issuers `},
		"issuers get iss_1":    {`{"id":"iss_1","enabled":true,"project_id":"prj_1"}`, `GET /v1/issuers/iss_1 `},
		"issuers delete iss_1": {fakeEffect, `DELETE /v1/issuers/iss_1 `},
		"issuers update iss_1 --enabled=false --project= --role a=b": {`{"id":"iss_1"}`, `PATCH /v1/issuers/iss_1 {"roles":[{"value":"a","role":"b"}],"project_id":null,"enabled":false}`},
		"gateways list":                                                        {`{"data":[{"id":"gw_1","routes":[{"path":"/"}]}],"next_cursor":null}`, `GET /v1/gateways `},
		"gateways get gw_1":                                                    {`{"id":"gw_1","routes":[{"path":"/","scopes":{"any":["a"]},"resource":{"type":"t","id":"{x}"}}]}`, `GET /v1/gateways/gw_1 `},
		"gateways rotate-token gw_1":                                           {`{"gateway":{"id":"gw_1"},"token":"sesame"}`, `POST /v1/gateways/gw_1/rotate-token `},
		"gateways delete gw_1":                                                 {fakeEffect, `DELETE /v1/gateways/gw_1 `},
		"gateways update gw_1 --name m --environment=":                         {`{"id":"gw_1"}`, `PATCH /v1/gateways/gw_1 {"name":"m","environment":null}`},
		"gateways update gw_1 --route /a=b":                                    {`{"id":"gw_1"}`, `PATCH /v1/gateways/gw_1 {"routes":[{"path":"/a","scopes":{"all":["b"]}}]}`},
		"organizations create --name n":                                        {`{"id":"org_1"}`, `POST /v1/organizations {"name":"n"}`},
		"organizations list":                                                   {`{"data":[{"id":"org_1"}],"next_cursor":null}`, `GET /v1/organizations `},
		"organizations get org_1":                                              {`{"id":"org_1"}`, `GET /v1/organizations/org_1 `},
		"organizations update org_1 --key-limit 5 --suspend":                   {`{"id":"org_1"}`, `PATCH /v1/organizations/org_1 {"state":"suspended","limits":{"keys":5}}`},
		"organizations update org_1 --changes-per-second 6 --name m":           {`{"id":"org_1"}`, `PATCH /v1/organizations/org_1 {"name":"m","limits":{"changes_per_second":6}}`},
		"organizations delete org_1 --revoke-keys":                             {fakeEffect, `DELETE /v1/organizations/org_1?revoke_keys=true `},
		"events list":                                                          {`{"data":[{"id":"evt_1","position":1,"object":null}],"next_cursor":null}`, `GET /v1/events `},
		"events list --after 4 --type t --object key_1 --limit 2 --everywhere": {`{"data":[],"next_cursor":null}`, `GET /v1/events?after=4&everywhere=true&limit=2&object=key_1&type=t `},
		"events tail --after 4":                                                {`{"data":[{"id":"evt_1","position":5}],"next_cursor":null}`, `GET /v1/events?after=4&limit=100 `},
		"keyring status":                                                       {`{"fingerprint":"f","versions":[{"version":1}]}`, `GET /v1/keyring `},
		"keyring add":                                                          {`{"version":2}`, `POST /v1/keyring/versions `},
		"keyring activate 2":                                                   {fakeEffect, `POST /v1/keyring/versions/2/activate `},
		"keyring retire 1":                                                     {fakeEffect, `POST /v1/keyring/versions/1/retire {}`},
		"tokens status":                                                        {`{"keys":[{"kid":"a"}]}`, `GET /v1/tokens/keys `},
		"tokens rotate":                                                        {fakeEffect, `POST /v1/tokens/keys/rotate {}`},
		"tokens rotate --now":                                                  {fakeEffect, `POST /v1/tokens/keys/rotate {"now":true}`},
		"keyring retire 1 --force":                                             {fakeEffect, `POST /v1/keyring/versions/1/retire {"force":true}`},
	} {
		t.Run(line, func(t *testing.T) {
			for _, asJSON := range []bool{false, true} {
				s := newFakeServer(t, always(200, test.answer))
				args := strings.Fields(line)
				if asJSON {
					args = append(args, "--json")
				}
				o := s.asks(t, "", args...)
				if o.status != exitOK || o.out == "" {
					t.Fatalf("status %d\n%s%s", o.status, o.out, o.err)
				}
				q := s.questions()
				if len(q) != 1 {
					t.Fatalf("%d questions", len(q))
				}
				if got := q[0].method + " " + q[0].uri + " " + q[0].body; got != test.question {
					t.Errorf("asked %s\nwant  %s", got, test.question)
				}
				if q[0].header.Get("Authorization") != "Bearer "+someToken {
					t.Errorf("credential %q", q[0].header.Get("Authorization"))
				}
				// The one document is the server's own; a list of all pages and
				// lines of events are put together here.
				assembled := strings.Contains(line, "--all") || strings.Contains(line, "tail")
				if asJSON && !assembled && o.out != test.answer+"\n" {
					t.Errorf("printed %s\nwant    %s", o.out, test.answer)
				}
				if asJSON && !json.Valid([]byte(o.out)) {
					t.Errorf("printed what is no JSON document: %s", o.out)
				}
			}
		})
	}
}

// Spans from now end up where they should.
func TestRelativeTimes(t *testing.T) {
	s := newFakeServer(t, func(_ int, q asked) (int, string) {
		if q.method == http.MethodGet {
			return 200, fakePage
		}
		return 201, fakeIssued
	})
	before := time.Now().Truncate(time.Millisecond)
	s.asks(t, "", "keys", "create", "--name", "n", "--expires-in", "2d")
	s.asks(t, "", "keys", "list", "--expiring-before", "2d", "--unused-since", "36h")
	after := time.Now()
	var made struct {
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(s.questions()[0].body), &made); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodGet, s.questions()[1].uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		span time.Duration
	}{
		"expires_at":      {made.ExpiresAt.Format(time.RFC3339Nano), 48 * time.Hour},
		"expiring_before": {request.URL.Query().Get("expiring_before"), 48 * time.Hour},
		"unused_since":    {request.URL.Query().Get("unused_since"), -36 * time.Hour},
	} {
		at, err := time.Parse(time.RFC3339Nano, test.text)
		if err != nil || at.Before(before.Add(test.span)) || at.After(after.Add(test.span)) {
			t.Errorf("%s is %q, want %v from now", name, test.text, test.span)
		}
	}
}

// What a person reads.
func TestTables(t *testing.T) {
	for line, test := range map[string]struct{ answer, out, err string }{
		"keys create --name Ada": {fakeIssued, `Secret       sesame
Key          key_1
Name         Ada
State        live
Shown as     lk_live_k_...
Environment  live
Reach        project
Scopes       a:b
Resources    none: none; plant: 1, 2
Retrievable  no
Metadata     {"a":1}
Expires      never
Last used    never
Created      2026-01-02T03:04:05Z by system
`, "Keep the secret now: it is not shown again.\n"},
		"keys list": {`{"data":[` + fakeKey + `,{"id":"key_2","name":"B","state":"expired","environment":"test","role":"reader","expires_at":"2026-01-02T03:04:05.006Z","last_used_at":"2026-01-02T03:04:05.006Z"}],"next_cursor":"abc"}`,
			`KEY    STATE    ENV   SECRETS  EXPIRES               LAST USED             ROLE    NAME
key_1  live     live  1        never                 never                 -       Ada
key_2  expired  test  0        2026-01-02T03:04:05Z  2026-01-02T03:04:05Z  reader  B
`, "There are more keys: --all lists all of them, --cursor abc the next page.\n"},
		"keys usage key_1": {`{"data":[{"hour":"2026-01-02T03:00:00.000Z","uses":[{"code":"revoked","address":null,"count":2,"last_at":"2026-01-02T03:04:05.006Z"},{"code":"valid","address":"192.0.2.1","count":12,"last_at":"2026-01-02T03:04:06.006Z"}]}],"next_cursor":"abc"}`,
			`HOUR                  VERDICT  COUNT  LAST                  ADDRESS
2026-01-02T03:00:00Z  revoked  2      2026-01-02T03:04:05Z  -
2026-01-02T03:00:00Z  valid    12     2026-01-02T03:04:06Z  192.0.2.1
`, "There are more hours: --all lists all of them, --cursor abc the next page.\n"},
		"nodes list": {`{"data":[{"id":"node_1","state":"serving","applied":40,"serve_for_ms":3000,"keyring_versions":[1,2],"build":"v1","self":true},{"id":"node_2","state":"joining","applied":0,"serve_for_ms":60000,"keyring_versions":[],"build":"","self":false}],"next_cursor":null,"position":42}`,
			`NODE    STATE    APPLIED  BEHIND  SERVES FOR  KEY RING  ASKED  BUILD
node_1  serving  40       2       3s          1,2       yes    v1
node_2  joining  0        42      1m0s        -         no     -
`, ""},
		"users update usr_1 --suspend": {`{"id":"usr_1","name":"Ada","effective":"pending","position":9,"nodes":[{"id":"n1","within_ms":50}]}`,
			"User     usr_1\nName     Ada\nCreated   by \n", "The change is made, but not every node knows of it yet.\n  n1 does within 50ms, or answers nothing\nThere is nothing to do but to wait: longer with --wait, or see `latchkey nodes list`. If a node is dead: latchkey nodes forget NODE_ID\n"},
		"keys revoke key_1": {`{"key":` + fakeKey + `,"effective":"pending","position":9,"nodes":[{"id":"n1","within_ms":3000}]}`,
			"Revoked key_1, Ada: now live\n", "The change is made, but not every node knows of it yet.\n  n1 does within 3s, or answers nothing\nThere is nothing to do but to wait: longer with --wait, or see `latchkey nodes list`. If a node is dead: latchkey nodes forget NODE_ID\n"},
		"keys verify k": {`{"valid":true,"code":"valid","as_of":"2026-01-02T03:04:05.006Z","node":"n1","key_id":"key_1","kid":"k","permissions":["a","b"],"expires_at":null}`,
			`Verdict      valid
As of        2026-01-02T03:04:05Z at n1
Key          key_1
Secret       k
Permissions  a, b
Expires      never
`, ""},
		"keys verify k --explain": {`{"valid":false,"code":"insufficient_scope","as_of":"2026-01-02T03:04:05.006Z","node":"n1","checks":[{"name":"kid","outcome":"passed","detail":"known"},{"name":"scopes","outcome":"not_reached","detail":"d"}]}`,
			`Verdict  insufficient_scope
As of    2026-01-02T03:04:05Z at n1

CHECK   OUTCOME      DETAIL
kid     passed       known
scopes  not reached  d
`, "latchkey: The key is not valid: insufficient scope.\n"},
		"keys reveal key_1 --reason r": {`{"secret":"sesame"}`, "sesame\n", ""},
		"projects delete prj_1":        {fakeEffect, "Deleted prj_1\n", ""},
		"users list": {`{"data":[{"id":"usr_1","kind":"person","state":"active","name":"Ada","email":"a@b","roles":[{"project_id":null,"role":"reader"},{"project_id":"prj_1","role":"owner"}]}],"next_cursor":null}`,
			`USER   KIND    STATE   NAME  EMAIL  ROLES
usr_1  person  active  Ada   a@b    reader, prj_1=owner
`, ""},
		"organizations get org_1": {`{"id":"org_1","uuid":"u","hub_id":"h","name":"Acme","state":"active","operator":true,"keys":3,"limits":{"keys":10,"changes_per_second":5},"created_at":"2026-01-02T03:04:05.006Z","created_by":"usr_1"}`,
			`Organization  org_1
Name          Acme
State         active
Operator      yes
UUID          u
Hub id        h
Keys          3 of 10, revoked ones counted
Changes       5 per second at most
Created       2026-01-02T03:04:05Z by usr_1
`, ""},
		"events list": {`{"data":[{"id":"evt_1","position":3,"type":"key.revoked","at":"2026-01-02T03:04:05.006Z","actor":{"type":"system","id":null},"object":{"type":"key","id":"key_1"},"changes":{"reason":"r"}}],"next_cursor":"3"}`,
			`POSITION  AT                    TYPE         OBJECT  BY      CHANGES
3         2026-01-02T03:04:05Z  key.revoked  key_1   system  {"reason":"r"}
`, "There are more events: --all lists all of them, --after 3 the next page.\n"},
		"events tail --after 2": {`{"data":[{"id":"evt_1","position":3,"type":"key.revoked","at":"2026-01-02T03:04:05.006Z","actor":{"type":"user","id":"usr_1"},"object":null,"changes":{}}],"next_cursor":null}`,
			"3         2026-01-02T03:04:05Z  key.revoked                 -                          usr_1\n", ""},
		"keyring status": {`{"fingerprint":"f","versions":[{"version":1,"state":"active","fingerprint":"g","created_at":"2026-01-02T03:04:05.006Z","secrets":3}]}`,
			`Key ring f

VERSION  STATE   CREATED               SECRETS  FINGERPRINT
1        active  2026-01-02T03:04:05Z  3        g
`, ""},
		"tokens status": {`{"keys":[{"kid":"a","algorithm":"ES256","state":"active","published_at":"2026-01-01T03:04:05Z","active_at":"2026-01-02T03:04:05Z","retired_at":null}]}`,
			`KID  ALGORITHM  STATE   PUBLISHED             SIGNS SINCE           UNTIL
a    ES256      active  2026-01-01T03:04:05Z  2026-01-02T03:04:05Z  
`, ""},
	} {
		t.Run(line, func(t *testing.T) {
			o := newFakeServer(t, always(200, test.answer)).asks(t, "", strings.Fields(line)...)
			if o.out != test.out || o.err != test.err {
				t.Errorf("printed\n%s%s\nwant\n%s%s", o.out, o.err, test.out, test.err)
			}
		})
	}
}

// What others wrote moves no cursor, hides nothing and passes for no column.
func TestWordsOfOthersAreHarmless(t *testing.T) {
	evil := "a\x1b[2J\tb\nc\u202ed\u0085e"
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf(`{"id":"key_1","name":%[1]s,"partner":%[1]s,"role":%[1]s,"scopes":[%[1]s],"metadata":{"k":%[1]s}}`, text)
	event := fmt.Sprintf(`{"id":"evt_1","position":1,"type":%[1]s,"changes":{"name":%[1]s}}`, text)
	for line, answer := range map[string]string{
		"keys get key_1": key, "keys list": `{"data":[` + key + `],"next_cursor":null}`, "keys revoke key_1": `{"key":` + key + `}`,
		"projects get prj_1":    fmt.Sprintf(`{"id":"prj_1","name":%s}`, text),
		"events list":           `{"data":[` + event + `],"next_cursor":null}`,
		"events tail --after 0": `{"data":[` + event + `],"next_cursor":null}`,
		"keys verify k":         fmt.Sprintf(`{"valid":true,"code":"valid","node":%[1]s,"key_id":"key_1","partner":%[1]s}`, text),
	} {
		o := newFakeServer(t, always(200, answer)).asks(t, "", strings.Fields(line)...)
		if !strings.Contains(o.out, `a\x1b[2J\tb\nc\u202ed`) && !strings.Contains(o.out, `a\\u001b[2J`) && !strings.Contains(o.out, `a\u001b[2J`) {
			t.Errorf("%s does not show the text at all: %q", line, o.out)
		}
		if strings.ContainsAny(o.out, "\x1b\t\u202e\u0085") {
			t.Errorf("%s prints it as it is: %q", line, o.out)
		}
	}
}

func TestSecretIsAnnounced(t *testing.T) {
	for _, line := range []string{"keys create --name n", "keys rotate key_1"} {
		for _, flag := range []string{"--json", "--json=false"} {
			o := newFakeServer(t, always(200, fakeIssued)).asks(t, "", append(strings.Fields(line), flag)...)
			if strings.Count(o.out, "sesame") != 1 || strings.Contains(o.err, "sesame") || !strings.Contains(o.err, "not shown again") {
				t.Errorf("%s %s: %q, %q", line, flag, o.out, o.err)
			}
		}
	}
}

// full is a standard output to which nothing can be written.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A secret that was made and lost is told as such: the key is there all the same.
func TestSecretThatCannotBePrinted(t *testing.T) {
	for _, flag := range []string{"--json", "--json=false"} {
		s := newFakeServer(t, always(201, fakeIssued))
		var stderr bytes.Buffer
		env := &environment{Stdin: strings.NewReader(""), Stdout: full{}, Stderr: &stderr, Getenv: func(name string) string {
			return map[string]string{urlVariable: s.URL}[name]
		}}
		if status := run(t.Context(), []string{"keys", "create", "--name", "n", flag}, env); status != exitFailure || !strings.Contains(stderr.String(), "keys rotate key_1 --overlap 0s") {
			t.Errorf("status %d: %s", status, stderr.String())
		}
	}
}

// Command lines that cannot be meant ask nobody.
func TestUsage(t *testing.T) {
	for line, want := range map[string]string{
		"keys create":                                                  "name",
		"keys create --name n more":                                    "more",
		"keys create --name n --expires-in 3":                          "length of time",
		"keys create --name n --expires-in 0s":                         "longer than nothing",
		"keys create --name n --expires-in -1h":                        "length of time",
		"keys create --name n --expires-in 9999999999d":                "length of time",
		"keys create --name n --expires-at soon":                       "this is a time like",
		"keys create --name n --expires-at 30d":                        "this is a time like",
		"keys create --name n --expires-at 2026-01-01 --expires-in 3d": "none of the others can be",
		"keys create --name n --resource plant":                        "type=id",
		"keys create --name n --resource =1":                           "type=id",
		"keys create --name n --metadata plain":                        "name=value",
		"keys get":                                                     "1 arg",
		"keys update key_1":                                            "nothing is to be changed",
		"keys update key_1 --organization org_1":                       "nothing is to be changed",
		"keys update key_1 --enable --disable":                         "none of the others can be",
		"keys reveal key_1":                                            "reason",
		"keys verify k --resource plant=1":                             "type:id",
		"keys list --expiring-before never":                            "or a span from now",
		"keys list --unused-since never":                               "or a span before now",
		"keys import a.csv --format xml":                               "csv or jsonl",
		"keys nonsense":                                                `no command "nonsense"`,
		"users create --name n":                                        "email service",
		"users create --name n --email e --service":                    "email service",
		"users create --name n --email e --role =r":                    "prj_…=ROLE",
		"users create --name n --email e --role prj_1=":                "prj_…=ROLE",
		"users update usr_1":                                           "nothing is to be changed",
		"users update usr_1 --suspend --activate":                      "none of the others can be",
		"events tail --after 3 --lines 3":                              "none of the others can be",
		"keyring activate two":                                         "a version is a number",
		"keyring retire 0":                                             "a version is a number",
		"keyring export":                                               "recipient",
	} {
		s := newFakeServer(t, always(200, `{}`))
		if o := s.asks(t, "", strings.Fields(line)...); o.status != exitUsage || o.out != "" || !strings.Contains(o.err, want) || len(s.questions()) != 0 {
			t.Errorf("%s: status %d, %d questions, %q, %q; want %q", line, o.status, len(s.questions()), o.out, o.err, want)
		}
	}
}

// Each refusal says what happened and, where the server does not, what to do.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"fields": {422, fakeProblem("invalid", "D.", client.FieldError{Pointer: "/restrictions/addresses/1", Detail: "Not an address."}, client.FieldError{Pointer: "/odd", Detail: "Odd."}),
			"latchkey: --address: Not an address.\n/odd: Odd.\n"},
		"credential": {401, fakeProblem("unauthenticated", "No."), "latchkey: No.\nSet LATCHKEY_TOKEN to a live key of yours; without it and without LATCHKEY_URL the commands use the server's own socket.\n"},
		"ceiling":    {403, fakeProblem("ceiling", "Too much."), "latchkey: Too much.\n"},
		"replayed":   {409, fakeProblem("idempotent_secret_expired", "Too late."), "latchkey: Too late.\nGet a new secret: latchkey keys rotate key_1\n"},
		"internal":   {500, fakeProblem("internal", "Ours."), "latchkey: Ours.\nThe server's log has this request as req-1.\n"},
		"not ours":   {404, "<html>", "latchkey: The answer is 404 Not Found without a problem document, so it is not from Latchkey; look at what stands in between, or at the address.\n"},
		"no JSON":    {200, "<html>", "latchkey: URL has no answer: the answer is not what the native API answers; perhaps this is not the address of a Latchkey server.\nThe change may have been made all the same: look before you ask for it again.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, always(test.status, test.body))
			for _, flag := range []string{"--json", "--json=false"} {
				o := s.asks(t, "", "keys", "create", "--name", "n", flag)
				if got := strings.ReplaceAll(o.err, s.URL, "URL"); o.status != exitFailure || o.out != "" || got != test.want {
					t.Errorf("status %d\n%s%s\nwant\n%s", o.status, o.out, got, test.want)
				}
			}
		})
	}
}

// Every flag that a refusal names is one.
func TestFlagsInRefusals(t *testing.T) {
	root, _ := rootCommand(&environment{})
	flags := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			walk(child)
		}
		if c.HasSubCommands() {
			return
		}
		for name := range strings.FieldsSeq(c.Flags().FlagUsages() + c.InheritedFlags().FlagUsages()) {
			flags[name] = true
		}
	}
	walk(root)
	for pointer, flag := range map[string]string{
		"/name": "--name", "/scopes/0": "--scope", "/restrictions/resources/plant/3": "--resource", "query:expiring_before": "--expiring-before",
		"/limits/changes_per_second": "--changes-per-second", "header:Latchkey-Organization": "--organization", "/resource/id": "--resource",
		"/permissions/7": "--permission", "/roles/0/role": "--role", "query:after": "--after", "/project_id": "--project",
		"/unknown": "/unknown", "/names": "/names",
	} {
		got := flagOf(pointer)
		if got != flag || strings.HasPrefix(got, "--") && !flags[got] {
			t.Errorf("%s is told as %s, want %s; offered: %v", pointer, got, flag, flags[got])
		}
	}
}

func TestVerdictIsTheStatus(t *testing.T) {
	for body, want := range map[string]int{
		`{"valid":true,"code":"valid","checks":[]}`:    exitOK,
		`{"valid":false,"code":"revoked","checks":[]}`: exitFailure,
		`{"valid":false,"code":"unavailable"}`:         exitFailure,
		`{}`:                                           exitFailure,
		`{"valid":null,"code":"valid"}`:                exitFailure,
		`<html>`:                                       exitFailure,
	} {
		for _, line := range []string{"keys verify", "keys verify -", "keys verify --json", "keys verify --explain", "keys verify --explain --json"} {
			s := newFakeServer(t, always(200, body))
			o := s.asks(t, "presented\r\nsecond line\n", strings.Fields(line)...)
			if o.status != want {
				t.Errorf("%s with %s: status %d, want %d\n%s", line, body, o.status, want, o.err)
			}
			if q := s.questions(); len(q) != 1 || q[0].body != `{"key":"presented"}` {
				t.Errorf("%s asked %v", line, q)
			}
			if strings.Contains(o.out+o.err, "presented") {
				t.Errorf("%s shows the key", line)
			}
		}
	}
}

func TestKeyFromStandardInput(t *testing.T) {
	for stdin, want := range map[string]string{
		"": "no key on standard input", "\n": "no key on standard input", strings.Repeat("x", maxKey+1): "too long",
	} {
		s := newFakeServer(t, always(200, `{}`))
		for _, command := range []string{"verify", "revoke-self"} {
			if o := s.asks(t, stdin, "keys", command); o.status != exitFailure || !strings.Contains(o.err, want) || len(s.questions()) != 0 {
				t.Errorf("%s of %.20q: status %d, %s", command, stdin, o.status, o.err)
			}
		}
	}
	s := newFakeServer(t, always(200, `{"key_id":"key_1"}`))
	s.asks(t, " a key \n", "keys", "revoke-self")
	if got := s.questions()[0].body; got != `{"key":" a key "}` {
		t.Errorf("a key was changed on its way: %s", got)
	}
}

func TestRevokeSelfOfAnother(t *testing.T) {
	s := newFakeServer(t, always(401, fakeProblem("unauthenticated", "No.")))
	if o := s.asks(t, "", "keys", "revoke-self", "k"); o.status != exitFailure || !strings.Contains(o.err, "not a key of this server") || strings.Contains(o.err, tokenVariable) {
		t.Errorf("status %d: %s", o.status, o.err)
	}
}

// Where the server is looked for.
func TestConnect(t *testing.T) {
	s := newFakeServer(t, always(200, fakeKey))
	data := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(data, "latchkey.sock"))
	if err != nil {
		t.Fatal(err)
	}
	local := &fakeServer{answer: always(200, fakeKey)}
	onSocket := &httptest.Server{Listener: listener, Config: &http.Server{Handler: local}}
	onSocket.Start()
	t.Cleanup(onSocket.Close)

	dead := t.TempDir()
	gone, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dead, "latchkey.sock")})
	if err != nil {
		t.Fatal(err)
	}
	gone.SetUnlinkOnClose(false)
	gone.Close()
	odd := t.TempDir()
	if err := os.WriteFile(filepath.Join(odd, "latchkey.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	const both = "name its folder with --data; or set LATCHKEY_URL and LATCHKEY_TOKEN to reach one over HTTP"
	for name, test := range map[string]struct {
		variables map[string]string
		args      []string
		server    *fakeServer // who is asked
		org       string
		err       string
	}{
		"the URL":                   {variables: map[string]string{urlVariable: s.URL}, server: s},
		"the URL before the socket": {variables: map[string]string{urlVariable: s.URL}, args: []string{"--data", data}, server: s},
		"the socket":                {args: []string{"--data", data}, server: local},
		"the socket by environment": {variables: map[string]string{"LATCHKEY_DATA": data}, server: local},
		"an organization":           {args: []string{"--data", data, "--organization", "org_1"}, server: local, org: "org_1"},
		"an organization by environment": {
			variables: map[string]string{organizationVariable: "org_2"}, args: []string{"--data", data}, server: local, org: "org_2"},
		"the flag before the environment": {
			variables: map[string]string{organizationVariable: "org_2"}, args: []string{"--data", data, "--organization", "org_1"}, server: local, org: "org_1"},
		"no socket":                   {args: []string{"--data", t.TempDir()}, err: both},
		"no folder":                   {args: []string{"--data", filepath.Join(t.TempDir(), "it's")}, err: "latchkey serve --data '"},
		"a dead socket":               {args: []string{"--data", dead}, err: both},
		"a file":                      {args: []string{"--data", odd}, err: both},
		"plain HTTP to another":       {variables: map[string]string{urlVariable: "http://192.0.2.1", tokenVariable: someToken}, err: "--insecure"},
		"a URL that is none":          {variables: map[string]string{urlVariable: "keys.example.com"}, err: "Look at LATCHKEY_URL"},
		"a token that is none":        {variables: map[string]string{urlVariable: "https://keys.example.com", tokenVariable: someToken + "\n"}, err: "Look at LATCHKEY_URL and LATCHKEY_TOKEN"},
		"a token alone, nobody there": {variables: map[string]string{tokenVariable: someToken, urlVariable: "http://127.0.0.1:1"}, err: "No server answers at http://127.0.0.1:1."},
	} {
		t.Run(name, func(t *testing.T) {
			before := 0
			if test.server != nil {
				before = len(test.server.questions())
			}
			o := runCommand(t, test.variables, "", append([]string{"keys", "get", "key_1"}, test.args...)...)
			if strings.Contains(o.err, someToken) {
				t.Error("the token was shown")
			}
			if test.err != "" {
				if o.status != exitFailure || !strings.Contains(o.err, test.err) || strings.Count(o.err, "\n") != 2 {
					t.Fatalf("status %d: %s", o.status, o.err)
				}
				return
			}
			q := test.server.questions()
			if o.status != exitOK || len(q) != before+1 {
				t.Fatalf("status %d, %d questions\n%s", o.status, len(q)-before, o.err)
			}
			if h := q[before].header; h.Get("Latchkey-Organization") != test.org || !strings.HasPrefix(h.Get("User-Agent"), "latchkey/") {
				t.Errorf("header %v", h)
			}
		})
	}
}

// A URL that only a token hints at.
func TestDefaultURL(t *testing.T) {
	r := &remote{environment: &environment{Getenv: func(name string) string { return map[string]string{tokenVariable: "t"}[name] }}}
	if !r.overHTTP() || r.url() != "http://127.0.0.1:8080" {
		t.Errorf("over HTTP %v at %s", r.overHTTP(), r.url())
	}
}

// All pages are one list; where one is missing, it is no JSON.
func TestListAll(t *testing.T) {
	pages := func(n int, _ asked) (int, string) {
		switch n {
		case 1:
			return 200, `{"data":[{"id":"key_1","x":1.0},{"id":"key_2"}],"next_cursor":"a"}`
		case 2:
			return 200, `{"data":[],"next_cursor":"b"}`
		case 3:
			return 200, `{"data":[{"id":"key_3"}],"next_cursor":null}`
		}
		return 500, fakeProblem("internal", "D.")
	}
	s := newFakeServer(t, pages)
	if o := s.asks(t, "", "keys", "list", "--all", "--json"); o.status != exitOK || o.out != `{"data":[{"id":"key_1","x":1.0},{"id":"key_2"},{"id":"key_3"}],"next_cursor":null}`+"\n" || o.err != "" {
		t.Errorf("status %d\n%s%s", o.status, o.out, o.err)
	}
	o := newFakeServer(t, pages).asks(t, "", "keys", "list", "--all")
	if strings.Count(o.out, "KEY ") != 1 || strings.Count(o.out, "key_") != 3 {
		t.Errorf("a table of\n%s", o.out)
	}
	broken := newFakeServer(t, func(n int, q asked) (int, string) { return pages(n+(n-1)*2, q) }) // the first page, then a failure
	if o := broken.asks(t, "", "keys", "list", "--all", "--json"); o.status != exitFailure || json.Valid([]byte(o.out)) {
		t.Errorf("half a list passes for a whole: status %d\n%s", o.status, o.out)
	}
	empty := newFakeServer(t, always(200, `{"data":[],"next_cursor":null}`))
	if o := empty.asks(t, "", "keys", "list", "--all", "--json"); o.out != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("an empty list is %s", o.out)
	}
}

func TestProgress(t *testing.T) {
	for terminal, want := range map[bool]string{
		true:  "\r\x1b[K2 done\r\x1b[K3 done\r\x1b[K",
		false: "3 done\n",
	} {
		var out bytes.Buffer
		now := time.Unix(0, 0)
		p := &progress{to: &out, clock: func() time.Time { return now }, terminal: terminal, told: now}
		for i, step := range []time.Duration{99 * time.Millisecond, time.Millisecond, 10 * time.Second, 0} {
			now = now.Add(step)
			p.tell("%d done", i+1)
		}
		p.end()
		if out.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, out.String(), want)
		}
	}
}

// Every command says what it does and shows how.
func TestHelp(t *testing.T) {
	root, _ := rootCommand(&environment{})
	remotes := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, "latchkey "+strings.TrimPrefix(c.CommandPath(), "latchkey ")) || len(c.Short) > 80 {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for line := range strings.Lines(c.Long) {
			if len([]rune(line)) > 84 {
				t.Errorf("%s: a long line: %s", c.CommandPath(), line)
			}
		}
		remotes++
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	for _, c := range root.Commands() {
		if c.GroupID == remoteGroup {
			walk(c)
		}
	}
	if remotes < 45 {
		t.Errorf("only %d commands were looked at", remotes)
	}
}

func TestNobodyThere(t *testing.T) {
	for err, want := range map[error]bool{os.ErrNotExist: true, syscall.ECONNREFUSED: true, os.ErrPermission: false, errors.ErrUnsupported: false} {
		if got := nobodyThere(&failure{Cause: err}); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
