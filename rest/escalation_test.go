package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/vertesia"
	"latchkey.dev/latchkey/oauth"
)

// pair is what a caller with one role comes to about another.
type pair struct{ caller, target latchkey.Role }

// escalation tries, for every pair of roles, each way to come to the rights of
// another key: a token minted for it, a token of one's own that asks for them, the
// role given to a key, its next secret, and its value.
type escalation struct {
	*house
	near            *tenancy
	vertesia, oauth string // URLs
	callers         map[string]authority.Issued
	targets         map[string]authority.Issued
	cells           map[pairName]string
}

type pairName struct{ caller, target string }

// ways are the letters of the table, in order.
var ways = []struct{ letter, words string }{
	{"t", "mint a token for the key (`GET /api/v1/apikeys/{id}/token`)"},
	{"e", "exchange its own key for a token with all that the role holds (`POST /oauth/token`)"},
	{"p", "give the role to a key that has none to speak of (`PUT /api/v1/apikeys/{id}`)"},
	{"r", "rotate the key and be told its next secret (`POST /v1/keys/{id}/rotate`)"},
	{"v", "be told the key's value (`POST /v1/keys/{id}/reveal`)"},
}

func (h *house) escalate() *escalation {
	h.Helper()
	face := func(handler http.Handler) string {
		s := httptest.NewServer(handler)
		h.Cleanup(s.Close)
		return s.URL
	}
	config := vertesia.Config{Door: h.api.Door, Authority: h.authority, PublicURL: issuer}
	x := &escalation{
		house: h, near: h.tenant("Escalation"), callers: map[string]authority.Issued{}, targets: map[string]authority.Issued{}, cells: map[pairName]string{},
		vertesia: face(vertesia.New(config).Handler()),
		oauth:    face(oauth.New(oauth.Config{Door: h.api.Door, Authority: h.authority, PublicURL: issuer}).Handler()),
	}
	for _, r := range latchkey.BuiltinRoles() {
		in := authority.NewKey{Project: x.near.one.ID, Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: r.Identifier}}
		x.callers[r.Identifier] = x.near.key(in)
		in.Retrievable = true
		x.targets[r.Identifier] = x.near.key(in)
	}
	for _, caller := range latchkey.BuiltinRoles() {
		for _, target := range latchkey.BuiltinRoles() {
			x.try(pair{caller, target})
			h.advance(time.Second) // the organization may make only so many changes at a time
		}
	}
	return x
}

// within says by the roles' own lists, and by none of the domain's rules, whether
// the target is no more than the caller.
func (p pair) within() bool {
	return p.target.Rank <= p.caller.Rank && !slices.ContainsFunc(p.target.Permissions, func(q latchkey.Permission) bool { return !p.holds(q) })
}

func (p pair) holds(q latchkey.Permission) bool {
	return slices.Contains(p.caller.Permissions, latchkey.Everything) || slices.Contains(p.caller.Permissions, q)
}

// try goes all ways, and holds what each gives to the law: it is never more than
// the caller has, and is given where it is not.
func (x *escalation) try(p pair) {
	x.Helper()
	as := x.callers[p.caller.Identifier].Secret.Expose()
	key := x.targets[p.target.Identifier]
	weak := x.near.key(authority.NewKey{Project: x.near.one.ID, Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: "member"}})
	var words []string
	for _, q := range p.target.Permissions {
		words = append(words, string(q))
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {as}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}}
	form.Set("scope", strings.Join(words, " "))
	// A token of one's own has one's own rank: what it may be asked for are permissions.
	exchangeable := !slices.ContainsFunc(p.target.Permissions, func(q latchkey.Permission) bool { return !p.holds(q) })
	for _, way := range []struct {
		letter         string
		needs          latchkey.Permission
		allowed        bool
		status, refuse int
		do             func() (status int, text string)
		given          string // the member that is the credential; "": the key has what was given
		credential     string
	}{
		{"t", latchkey.KeyRead, p.within(), 200, 403, func() (int, string) {
			return x.send(as, "GET", x.vertesia+"/api/v1/apikeys/"+key.ID.Hex()+"/token", nil)
		}, "token", ""},
		{"e", "", exchangeable, 200, 400, func() (int, string) { return x.send("", "POST", x.oauth+"/oauth/token", form) }, "access_token", ""},
		{"p", latchkey.KeyUpdate, p.within(), 200, 403, func() (int, string) {
			return x.send(as, "PUT", x.vertesia+"/api/v1/apikeys/"+weak.ID.Hex(), object{"role": p.target.Identifier})
		}, "", weak.Secret.Expose()},
		{"r", latchkey.KeyUpdate, p.within(), 200, 403, func() (int, string) {
			return x.send(as, "POST", x.server.URL+"/v1/keys/"+keyID(key)+"/rotate", object{"overlap": "0s"})
		}, "secret", ""},
		{"v", latchkey.KeySecretRead, p.within(), 200, 403, func() (int, string) {
			return x.send(as, "POST", x.server.URL+"/v1/keys/"+keyID(key)+"/reveal", object{"reason": "escalation"})
		}, "secret", ""},
	} {
		status, text := way.do()
		may := way.allowed && (way.needs == "" || p.holds(way.needs))
		if want := map[bool]int{true: way.status, false: way.refuse}[may]; status != want {
			x.Errorf("%s, %s, about %s: %d, want %d: %s", way.letter, p.caller.Identifier, p.target.Identifier, status, want, text)
		}
		if status >= 300 {
			continue
		}
		x.cells[pairName{p.caller.Identifier, p.target.Identifier}] += way.letter
		credential := way.credential
		if way.given != "" {
			var said object
			if err := json.Unmarshal([]byte(text), &said); err != nil {
				x.Fatal(err)
			}
			credential, _ = said[way.given].(string)
		}
		x.holdsNoMore(way.letter, p, credential)
	}
}

// holdsNoMore asks what a credential that was given may do, and compares it with
// what the role of the caller lists.
func (x *escalation) holdsNoMore(way string, p pair, credential string) {
	x.Helper()
	c, _, err := x.authority.Authenticate(x.Context(), latchkey.NewPlaintext(credential), netip.MustParseAddr("127.0.0.1"), "")
	if err != nil {
		x.Errorf("%s, %s, about %s gave what is worth nothing: %v", way, p.caller.Identifier, p.target.Identifier, err)
		return
	}
	if c.Rank > p.caller.Rank || slices.ContainsFunc(c.Permissions, func(q latchkey.Permission) bool { return !p.holds(q) }) {
		x.Errorf("%s, %s, about %s gave rank %d and %q: more than the caller has", way, p.caller.Identifier, p.target.Identifier, c.Rank, c.Permissions)
	}
}

// send asks one of the faces; body is nil, a form, or JSON.
func (x *escalation) send(as, method, to string, sent any) (status int, text string) {
	x.Helper()
	var body io.Reader
	kind := "application/json"
	switch b := sent.(type) {
	case nil:
	case url.Values:
		body, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			x.Fatal(err)
		}
		body = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(x.Context(), method, to, body)
	if err != nil {
		x.Fatal(err)
	}
	if sent != nil {
		r.Header.Set("Content-Type", kind)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+as)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		x.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		x.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// page writes the table for people.
func (x *escalation) page() string {
	var b strings.Builder
	b.WriteString("\n## From role to role\n\nWhat the holder of the role at the left comes to about a key with the role above, over the whole organization:\n\n| | |\n|---|---|\n")
	for _, way := range ways {
		fmt.Fprintf(&b, "| **%s** | %s |\n", way.letter, way.words)
	}
	b.WriteString("\nThe test looks at whatever was given: its permissions and rank are within the caller's, in every cell.\n\n|")
	for _, target := range latchkey.BuiltinRoles() {
		fmt.Fprintf(&b, " | %s", target.Identifier)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(latchkey.BuiltinRoles())) + "|\n")
	for _, caller := range latchkey.BuiltinRoles() {
		fmt.Fprintf(&b, "| **%s**", caller.Identifier)
		for _, target := range latchkey.BuiltinRoles() {
			cell := x.cells[pairName{caller.Identifier, target.Identifier}]
			if cell == "" {
				cell = "–"
			}
			fmt.Fprintf(&b, " | %s", cell)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
