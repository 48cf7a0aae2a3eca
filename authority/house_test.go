package authority_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/verify"
)

// house is an authority over a store in a temporary folder.
type house struct {
	testing.TB
	*authority.Authority
	operator, owner latchkey.ID
}

func open(t testing.TB) *house {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(t.Context(), dir, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ring, err := keyring.Create(filepath.Join(dir, "keyring.json"), rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, Authority: authority.New(authority.Config{
		Store: s, Ring: ring, Verifier: verify.New(s, ring, time.Now, "test", log), Clock: time.Now, Random: rand.Reader, Log: log,
	})}
	installation, _, err := h.Bootstrap(t.Context(), authority.DefaultEmail)
	if err != nil {
		t.Fatal(err)
	}
	h.operator, h.owner = installation.Operator, installation.Owner
	return h
}

// ctx outlives the test, so that a law may end while it asks.
func ctx() context.Context { return context.Background() }

// socket may do everything.
func (h *house) socket() *authority.Call {
	return &authority.Call{Caller: authority.Socket(h.operator)}
}

// caller authenticates a new key with that reach, project and role.
func (h *house) caller(reach latchkey.Reach, project latchkey.ID, role string) *authority.Call {
	h.Helper()
	made := h.make(authority.NewKey{Name: "caller", Reach: reach, Project: project, Role: authority.RoleRef{Identifier: role}})
	c, _, err := h.Authenticate(ctx(), made.Secret, netip.Addr{}, "")
	h.ok(err)
	return &authority.Call{Caller: c}
}

func (h *house) make(k authority.NewKey) authority.Issued {
	h.Helper()
	made, _, err := h.CreateKey(ctx(), h.socket(), k)
	h.ok(err)
	return made
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) refuses(code latchkey.ErrorCode, err error) {
	h.Helper()
	if latchkey.CodeOf(err) != code {
		h.Errorf("got %v, want %s", err, code)
	}
}

// revoke revokes a key.
func (h *house) revoke(id latchkey.ID) {
	h.Helper()
	_, _, err := h.RevokeKey(ctx(), h.socket(), id, "")
	h.ok(err)
}

func ids(keys []authority.Described) []latchkey.ID {
	var out []latchkey.ID
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func (h *house) same(what string, got, want []latchkey.ID) {
	h.Helper()
	if !slices.Equal(got, want) {
		h.Errorf("%s:\ngot  %v\nwant %v", what, spell(got), spell(want))
	}
}

func spell(keys []latchkey.ID) (out []string) {
	for _, id := range keys {
		out = append(out, id.Native(latchkey.KindKey))
	}
	return out
}
