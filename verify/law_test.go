package verify_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/verify"
)

// house is an authority over an embedded store, with one verifier that has every
// key in memory and one that asks the store each time.
type house struct {
	testing.TB

	store            store.Store
	ring             *keyring.Ring
	authority        *authority.Authority
	memory, asks     *verify.Verifier
	call             *authority.Call
	random           *mathrand.Rand
	keys             []latchkey.ID
	presented        []latchkey.Plaintext
	roles, users     []latchkey.ID
	organizations    []latchkey.ID
	verdicts, worked int
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{TB: t, random: mathrand.New(mathrand.NewPCG(1, 2))}
	dir := t.TempDir()
	opened, err := sqlite.Open(t.Context(), dir, nil)
	h.must(err)
	h.store = opened
	t.Cleanup(func() { _ = opened.Close() })
	h.ring, err = keyring.Create(dir+"/ring.json", rand.Reader, time.Now())
	h.must(err)
	log := slog.New(slog.DiscardHandler)
	h.memory, h.asks = verify.New(h.store, h.ring, time.Now, "memory", log), verify.New(h.store, h.ring, time.Now, "asks", log)
	h.authority = authority.New(authority.Config{
		Store: h.store, Ring: h.ring, Verifier: h.memory, Clock: time.Now, Random: rand.Reader, Log: log,
	})
	installation, _, err := h.authority.Bootstrap(t.Context(), authority.DefaultEmail)
	h.must(err)
	h.call = &authority.Call{Caller: authority.Socket(installation.Operator)}
	most := int64(1_000_000)
	_, _, err = h.authority.UpdateOrganization(t.Context(), h.call, installation.Operator, authority.OrganizationPatch{ChangesPerSecond: &most})
	h.must(err)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// in is the operator's call in another organization.
func (h *house) in(organization latchkey.ID) *authority.Call {
	c := *h.call
	c.Organization = organization
	return &c
}

func pick[T any](h *house, from []T) T { return from[h.random.IntN(len(from))] }

// change makes one change at random, of whatever may alter a verdict. Many are
// refused, which is no matter.
func (h *house) change() {
	ctx, a := h.Context(), h.authority
	var err error
	switch h.random.IntN(20) {
	case 0, 1, 2:
		h.create()
	case 3:
		h.imports()
	case 4, 5:
		var made authority.Issued
		overlap := []time.Duration{0, time.Hour}[h.random.IntN(2)]
		if made, _, err = a.RotateKey(ctx, h.call, pick(h, h.keys), overlap); err == nil {
			h.presented = append(h.presented, made.Secret)
		}
	case 6:
		_, _, err = a.CompleteRotation(ctx, h.call, pick(h, h.keys))
	case 7:
		_, _, err = a.CancelRotation(ctx, h.call, pick(h, h.keys))
	case 8:
		_, _, err = a.RevokeKey(ctx, h.call, pick(h, h.keys), "")
	case 9, 10, 11:
		_, _, err = a.UpdateKey(ctx, h.call, pick(h, h.keys), h.patch())
	case 12:
		scopes := h.scopes()
		_, _, err = a.UpdateRole(ctx, h.call, pick(h, h.roles), authority.RolePatch{Permissions: &scopes})
	case 13, 14:
		suspended := h.random.IntN(2) == 0
		_, _, err = a.UpdateUser(ctx, h.call, pick(h, h.users), authority.UserPatch{Suspended: &suspended})
	case 15:
		roles := []authority.MemberRole{{Role: authority.RoleRef{ID: pick(h, h.roles)}}}
		_, _, err = a.UpdateUser(ctx, h.call, pick(h, h.users), authority.UserPatch{Roles: &roles})
	case 16:
		suspended := h.random.IntN(2) == 0
		_, _, err = a.UpdateOrganization(ctx, h.call, pick(h, h.organizations), authority.OrganizationPatch{Suspended: &suspended})
	case 17:
		h.directory()
	case 18:
		_, err = a.DeleteRole(ctx, h.call, pick(h, h.roles), h.random.IntN(2) == 0)
	case 19:
		_, err = a.DeleteUser(ctx, h.call, pick(h, h.users), h.random.IntN(2) == 0)
		if err == nil && h.random.IntN(3) == 0 {
			_, err = a.DeleteOrganization(ctx, h.call, pick(h, h.organizations), true)
		}
	}
	if err == nil {
		h.worked++
	}
}

func (h *house) scopes() []string {
	return []string{"docs:read", fmt.Sprintf("docs:%d", h.random.IntN(4))}[h.random.IntN(2):]
}

func (h *house) patch() authority.KeyPatch {
	var p authority.KeyPatch
	enabled, scopes := h.random.IntN(3) > 0, h.scopes()
	switch h.random.IntN(5) {
	case 0:
		p.Enabled = &enabled
	case 1:
		p.Scopes = &scopes
	case 2:
		p.Addresses = &[]string{"192.0.2.0/24"}
	case 3:
		text := latchkey.Document(`{"plan":"` + strings.Repeat("x", h.random.IntN(5_000)) + `"}`)
		p.Metadata = &text
	case 4:
		at := time.Now().Add(time.Hour)
		p.ExpiresAt = &at
	}
	return p
}

func (h *house) create() {
	in := authority.NewKey{Name: "a key", Scopes: h.scopes(), Partner: fmt.Sprintf("partner %d", h.random.IntN(5))}
	if h.random.IntN(2) == 0 && len(h.users) > 0 {
		in.Owner = pick(h, h.users)
	}
	if h.random.IntN(2) == 0 && len(h.roles) > 0 {
		in.Role = authority.RoleRef{ID: pick(h, h.roles)}
	}
	if h.random.IntN(3) == 0 {
		in.Resources = map[string][]string{"plant": {"p1"}}
	}
	if h.random.IntN(3) == 0 {
		in.Metadata = `{"a":1}`
	}
	call := h.call
	if len(h.organizations) > 0 && h.random.IntN(2) == 0 {
		call = h.in(pick(h, h.organizations))
		in.Owner, in.Role = latchkey.ID{}, authority.RoleRef{}
	}
	if made, _, err := h.authority.CreateKey(h.Context(), call, in); err == nil {
		h.keys, h.presented = append(h.keys, made.ID), append(h.presented, made.Secret)
	}
}

func (h *house) imports() {
	foreign := latchkey.NewPlaintext(fmt.Sprintf("foreign-%d", h.random.Int()))
	sum := sha256.Sum256([]byte(foreign.Expose()))
	if made, _, err := h.authority.ImportKeys(h.Context(), h.call, []authority.NewKey{{Name: "imported", Scopes: h.scopes(), Digest: &sum}}); err == nil {
		h.keys, h.presented = append(h.keys, made[0].ID), append(h.presented, foreign)
	}
}

// directory makes a role, a user and an organization.
func (h *house) directory() {
	n := h.random.Int64()
	r, _, err := h.authority.CreateRole(h.Context(), h.call, authority.NewRole{Identifier: fmt.Sprintf("r%d", n), Name: "a role", Permissions: h.scopes()})
	h.must(err)
	u, _, err := h.authority.CreateUser(h.Context(), h.call, authority.NewUser{
		Name: "a user", Email: fmt.Sprintf("u%d@example.com", n), Roles: []authority.MemberRole{{Role: authority.RoleRef{ID: r.ID}}},
	})
	h.must(err)
	o, _, err := h.authority.CreateOrganization(h.Context(), h.call, authority.NewOrganization{Name: fmt.Sprintf("org %d", n)})
	h.must(err)
	h.roles, h.users, h.organizations = append(h.roles, r.ID), append(h.users, u.ID), append(h.organizations, o.ID)
}

// agree holds both verifiers against each other, over every key that there ever was.
func (h *house) agree(memory *verify.Verifier) {
	h.Helper()
	for _, key := range h.presented {
		r := &verify.Request{Key: key, Scopes: latchkey.Requirement{All: latchkey.Permissions{"docs:read"}}}
		got, _ := memory.Explain(h.Context(), r)
		want, _ := h.asks.Explain(h.Context(), r)
		h.verdicts++
		if got.Code != want.Code || (got.Identity == nil) != (want.Identity == nil) {
			h.Fatalf("the index says %s, and the store %s", got.Code, want.Code)
		}
		if got.Identity != nil && !reflect.DeepEqual(got.Identity, want.Identity) {
			h.Fatalf("the index says\n%+v\nand the store\n%+v", got.Identity, want.Identity)
		}
	}
}

// Whatever changes, the index says what the store says, as soon as the change is
// acknowledged; and an index that is filled from what has become of it says the
// same.
func TestIndexIsTheStore(t *testing.T) {
	h := open(t)
	for range 3 {
		h.directory()
		h.create()
		h.imports()
	}
	h.must(h.memory.Fill(t.Context(), 0))
	for range 60 {
		for range 5 {
			h.change()
		}
		h.agree(h.memory)
	}
	if h.worked < 100 || h.verdicts < 1_000 {
		t.Fatalf("%d changes were made and %d verdicts compared: the test has become empty", h.worked, h.verdicts)
	}
	fresh := verify.New(h.store, h.ring, time.Now, "fresh", slog.New(slog.DiscardHandler))
	h.must(fresh.Fill(t.Context(), 0))
	h.agree(fresh)
}

// What commits while the index is filled is in it.
func TestChangesDuringTheFill(t *testing.T) {
	h := open(t)
	for range 3 {
		h.directory()
	}
	for range 300 {
		h.create()
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				h.change()
			}
		}
	})
	for range 10 {
		if err := h.memory.Fill(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writer.Wait()
	h.agree(h.memory)
}

// deaf is a store that cannot be read, once it is told so.
type deaf struct {
	store.Store

	statements *int
}

func (d deaf) ByKID(context.Context, latchkey.KID) (*store.Credential, error) {
	*d.statements++
	return nil, store.ErrUnavailable
}

func (d deaf) ByForeignDigest(context.Context, [][32]byte) (*store.Credential, error) {
	*d.statements++
	return nil, store.ErrUnavailable
}

// A full index answers without the store: known keys, unknown ones, noise.
func TestNoStatementOfTheStore(t *testing.T) {
	h := open(t)
	h.create()
	asked := 0
	v := verify.New(deaf{h.store, &asked}, h.ring, time.Now, "memory", slog.New(slog.DiscardHandler))
	unknown, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, rand.Reader)
	h.must(err)
	keys := []latchkey.Plaintext{h.presented[0], unknown.Plaintext(), latchkey.NewPlaintext("noise")}
	verdicts := func() (codes []latchkey.Code) {
		for _, key := range keys {
			codes = append(codes, v.Verify(t.Context(), &verify.Request{Key: key}).Code)
		}
		return codes
	}
	const no = latchkey.CodeVerifyUnavailable
	if got := verdicts(); !slices.Equal(got, []latchkey.Code{no, no, no}) || asked == 0 {
		t.Fatalf("before the fill the store is asked: %v, %d times", got, asked)
	}
	h.must(v.Fill(t.Context(), 0))
	asked = 0
	if got := verdicts(); !slices.Equal(got, []latchkey.Code{latchkey.CodeValid, latchkey.CodeUnknown, latchkey.CodeMalformed}) || asked != 0 {
		t.Errorf("after the fill it is not: %v, %d times", got, asked)
	}
}

// A store that was closed says nothing any more: others may write to it.
func TestClosedStore(t *testing.T) {
	h := open(t)
	h.create()
	h.must(h.memory.Fill(t.Context(), 0))
	h.must(h.store.Close())
	if got := h.memory.Verify(t.Context(), &verify.Request{Key: h.presented[0]}).Code; got != latchkey.CodeVerifyUnavailable {
		t.Errorf("after Close: %s", got)
	}
}

// An index that would not fit says how much it needs.
func TestMemory(t *testing.T) {
	h := open(t)
	h.create()
	var e *verify.MemoryError
	err := h.memory.Fill(t.Context(), 100)
	if !errors.As(err, &e) || e.Keys != 1 || e.Need != 128 || e.Available != 100 {
		t.Fatalf("%v", err)
	}
	if got := h.memory.Verify(t.Context(), &verify.Request{Key: h.presented[0]}).Code; got != latchkey.CodeValid {
		t.Errorf("a verifier that could not be filled asks the store: %s", got)
	}
	h.must(h.memory.Fill(t.Context(), 1<<30))
}

// heard is a store whose follower can be spoken to.
type heard struct {
	store.Store

	follower *store.Follower
}

func (s heard) Local() store.Local { return heardLocal{s.Store.Local(), s.follower} }

type heardLocal struct {
	store.Local

	follower *store.Follower
}

func (l heardLocal) Follow(f store.Follower) { *l.follower = f }

// Once a commit may or may not have been made, the store is asked, until the
// index was read again.
func TestUncertainCommit(t *testing.T) {
	h := open(t)
	h.create()
	var follower store.Follower
	v := verify.New(heard{h.store, &follower}, h.ring, time.Now, "memory", slog.New(slog.DiscardHandler))
	h.must(v.Fill(t.Context(), 0))
	_, _, err := h.authority.RevokeKey(t.Context(), h.call, h.keys[0], "")
	h.must(err)
	code := func() latchkey.Code { return v.Verify(t.Context(), &verify.Request{Key: h.presented[0]}).Code }
	if got := code(); got != latchkey.CodeValid {
		t.Fatalf("%s: the follower was told of nothing, so the index cannot know", got)
	}
	follower.Uncertain()
	if got := code(); got != latchkey.CodeRevoked {
		t.Errorf("after an uncertain commit: %s", got)
	}
	h.must(v.Fill(t.Context(), 0))
	if got := code(); got != latchkey.CodeRevoked {
		t.Errorf("filled again: %s", got)
	}
}
