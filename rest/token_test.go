package rest_test

import (
	"net/netip"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

const issuer = "https://keys.example"

// loopback is where the tests call from.
var loopback = netip.MustParseAddr("127.0.0.1")

// wanted is a plain token.
func wanted() authority.NewToken {
	return authority.NewToken{Issuer: issuer, Spell: latchkey.ID.Hex}
}

// call is what an edge knows of whoever presents the credential.
func (h *house) call(credential string) *authority.Call {
	h.Helper()
	caller, _, err := h.authority.Authenticate(h.Context(), latchkey.NewPlaintext(credential), loopback)
	if err != nil {
		h.Fatal(err)
	}
	return &authority.Call{Caller: caller}
}

// exchange gives a token for the credential.
func (h *house) exchange(credential string, want authority.NewToken) string {
	h.Helper()
	t, err := h.authority.ExchangeToken(h.Context(), h.call(credential), want)
	if err != nil {
		h.Fatal(err)
	}
	return t.Value.Expose()
}

// mint gives the first user a token for a key.
func (h *house) mint(id string) string {
	h.Helper()
	key, err := latchkey.ParseNative(latchkey.KindKey, id)
	if err != nil {
		h.Fatal(err)
	}
	t, err := h.authority.MintToken(h.Context(), h.call(h.root), key, wanted())
	if err != nil {
		h.Fatal(err)
	}
	return t.Value.Expose()
}

// A token authenticates wherever its key does, and does what that may.
func TestTokenIsABearer(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.as(h.root).newKey(object{"scopes": []string{"api_key:read", "docs:read"}})
	bearer := h.as(h.exchange(k.secret, wanted()))
	bearer.do("GET", k.path, nil).must(200)
	bearer.do("POST", "/v1/keys", object{"name": "x"}).refused(403, latchkey.CodeForbidden)
	h.as(h.mint(k.id)).do("GET", k.path, nil).must(200)
	h.as(h.exchange(bearer.key, wanted())).do("GET", k.path, nil).must(200)
}

// It dies with what it stands for, at the next call.
func TestTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(h *house, k made, owner string)
		status int
		code   latchkey.ErrorCode
	}{
		"revoked":  {func(h *house, k made, _ string) { h.as(h.root).do("POST", k.path+"/revoke", nil).must(200) }, 401, latchkey.CodeUnauthenticated},
		"disabled": {func(h *house, k made, _ string) { h.as(h.root).do("PATCH", k.path, object{"enabled": false}).must(200) }, 401, latchkey.CodeUnauthenticated},
		"expired": {func(h *house, k made, _ string) {
			h.as(h.root).do("PATCH", k.path, object{"expires_at": h.now().Add(time.Minute).Format(time.RFC3339)}).must(200)
			h.advance(2 * time.Minute)
		}, 401, latchkey.CodeUnauthenticated},
		"rotated without overlap": {func(h *house, k made, _ string) {
			h.as(h.root).do("POST", k.path+"/rotate", object{"overlap": "0s"}).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"rotation completed": {func(h *house, k made, _ string) {
			h.as(h.root).do("POST", k.path+"/rotate", object{"overlap": "1h"}).must(200)
			h.as(h.root).do("POST", k.path+"/rotation/complete", nil).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"owner suspended": {func(h *house, _ made, owner string) {
			h.as(h.root).do("PATCH", "/v1/users/"+owner, object{"state": "suspended"}).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"from elsewhere": {func(h *house, k made, _ string) {
			h.as(h.root).do("PATCH", k.path, object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}}).must(200)
		}, 403, latchkey.CodeForbidden},
		"its own end": {func(h *house, _ made, _ string) { h.advance(time.Hour) }, 401, latchkey.CodeUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			owner := h.as(h.root).do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
			k := h.as(h.root).newKey(object{"owner_id": owner, "scopes": []string{"api_key:read"}})
			bearers := []caller{h.as(h.exchange(k.secret, wanted())), h.as(h.mint(k.id))}
			for _, bearer := range bearers {
				bearer.do("GET", k.path, nil).must(200)
			}
			c.end(h, k, owner)
			for _, bearer := range bearers {
				bearer.do("GET", k.path, nil).refused(c.status, c.code)
			}
		})
	}
}
