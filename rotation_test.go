package latchkey_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

// rotating is a key under test beside a model of it: which secret is current,
// which one replaces it, and until when both are good.
type rotating struct {
	key     latchkey.Key
	now     time.Time
	made    int
	current latchkey.KID
	next    latchkey.KID // "" unless a rotation runs
	started time.Time
	until   time.Time
	dead    map[latchkey.KID]bool
	revoked bool
}

func newRotating() *rotating {
	r := &rotating{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), dead: map[latchkey.KID]bool{}}
	first := r.secret()
	r.key, r.current = latchkey.Key{Enabled: true, Secrets: []latchkey.Secret{first}}, first.KID
	return r
}

func (r *rotating) secret() latchkey.Secret {
	r.made++
	return latchkey.Secret{KID: latchkey.KID(fmt.Sprintf("kid%d", r.made)), CreatedAt: r.now}
}

func (r *rotating) running() bool { return r.next != "" }

func (r *rotating) end(died, lives latchkey.KID) {
	r.dead[died] = true
	r.current, r.next = lives, ""
}

func (r *rotating) advance(t *rapid.T) {
	step := rapid.OneOf(rapid.Just(time.Duration(0)), rapid.Just(time.Nanosecond), rapid.Just(time.Hour),
		rapid.Map(rapid.Int64Range(0, int64(3*time.Hour)), func(n int64) time.Duration { return time.Duration(n) })).Draw(t, "step")
	if r.running() && rapid.Bool().Draw(t, "to the end of the overlap") {
		step = r.until.Sub(r.now)
	}
	r.now = r.now.Add(step)
	if r.running() && !r.now.Before(r.until) {
		r.end(r.current, r.next)
	}
}

// attempt makes a change of the key and checks its refusal. A change must leave
// the key that it was made of as it was.
func (r *rotating) attempt(t *rapid.T, want latchkey.ErrorCode, change func(latchkey.Key) (latchkey.Key, error)) {
	before := r.key
	before.Secrets = slices.Clone(before.Secrets)
	given := r.key
	after, err := change(given)
	if got := latchkey.CodeOf(err); got != want {
		t.Fatalf("refused with %q (%v), want %q", got, err, want)
	}
	if !reflect.DeepEqual(given, before) {
		t.Fatalf("the key was changed in place: %+v, before %+v", given, before)
	}
	if err != nil && !reflect.DeepEqual(after, before) {
		t.Fatalf("a refused change gives another key: %+v, before %+v", after, before)
	}
	r.key = after
}

func (r *rotating) rotate(t *rapid.T) {
	overlap := rapid.SampledFrom([]time.Duration{0, time.Nanosecond, time.Hour, latchkey.DefaultOverlap, latchkey.MaxOverlap}).Draw(t, "overlap")
	next := r.secret()
	rotate := func(k latchkey.Key) (latchkey.Key, error) { return k.Rotate(next, overlap, r.now) }
	switch {
	case r.revoked:
		r.attempt(t, latchkey.CodeConflict, rotate)
	case r.running():
		r.attempt(t, latchkey.CodeRotationInProgress, rotate)
	default:
		r.attempt(t, "", rotate)
		r.next, r.started, r.until = next.KID, r.now, r.now.Add(overlap)
		if overlap == 0 {
			r.end(r.current, r.next)
		}
	}
}

func (r *rotating) complete(t *rapid.T) {
	r.finish(t, func(k latchkey.Key) (latchkey.Key, error) { return k.CompleteRotation(r.now) }, r.current, r.next)
}

func (r *rotating) cancel(t *rapid.T) {
	r.finish(t, func(k latchkey.Key) (latchkey.Key, error) { return k.CancelRotation(r.now) }, r.next, r.current)
}

func (r *rotating) finish(t *rapid.T, change func(latchkey.Key) (latchkey.Key, error), dies, lives latchkey.KID) {
	if r.revoked || !r.running() {
		r.attempt(t, latchkey.CodeConflict, change)
		return
	}
	r.attempt(t, "", change)
	r.end(dies, lives)
}

func (r *rotating) revoke(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
		r.revoked, r.key.RevokedAt = true, r.now
	}
}

func (r *rotating) check(t *rapid.T) {
	if n := len(r.key.Secrets); n < 1 || n > 2 {
		t.Fatalf("%d secrets", n)
	}
	want := []latchkey.KID{r.current}
	if r.running() {
		want = append(want, r.next)
	}
	var live []latchkey.KID
	for _, s := range r.key.LiveSecrets(r.now) {
		live = append(live, s.KID)
		if r.dead[s.KID] {
			t.Fatalf("%s is alive again", s.KID)
		}
	}
	if !slices.Equal(live, want) {
		t.Fatalf("live are %q, want %q", live, want)
	}
	if newest := r.key.Newest(r.now); newest.KID != want[len(want)-1] || newest.Ended(r.now) {
		t.Fatalf("newest is %s, want %s", newest.KID, want[len(want)-1])
	}
	got, running := r.key.Rotation(r.now)
	model := latchkey.Rotation{}
	if r.running() {
		model = latchkey.Rotation{Old: r.current, New: r.next, StartedAt: r.started, EndsAt: r.until}
	}
	if running != r.running() || got != model {
		t.Fatalf("the rotation is %+v, %t; want %+v", got, running, model)
	}
	if !slices.IsSortedFunc(r.key.Secrets, func(a, b latchkey.Secret) int { return a.CreatedAt.Compare(b.CreatedAt) }) {
		t.Fatalf("not oldest first: %+v", r.key.Secrets)
	}
}

// Rotate, complete and cancel in any order under a moving clock do what the
// model does: at most two secrets, one or two of them live, and none that died
// ever lives again.
func TestRotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRotating()
		t.Repeat(map[string]func(*rapid.T){
			"": r.check, "advance": r.advance, "rotate": r.rotate, "complete": r.complete, "cancel": r.cancel, "revoke": r.revoke,
		})
	})
}

func TestRotationRefusalSaysWhatToDo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("elsewhere", 3600))
	key := latchkey.Key{Secrets: []latchkey.Secret{{KID: "old"}}}
	key, err := key.Rotate(latchkey.Secret{KID: "new"}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = key.Rotate(latchkey.Secret{KID: "newer"}, time.Hour, now)
	want := "A rotation of this key runs until 2026-01-02T03:04:05Z; complete or cancel it first."
	if refusal, ok := errors.AsType[*latchkey.Error](err); !ok || refusal.Detail != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A key whose secrets all ended, as an import may bring one, is mended by a
// rotation.
func TestRotateRevivesKeyNotSecret(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ended := latchkey.Secret{KID: "ended", ExpiresAt: now}
	key := latchkey.Key{Secrets: []latchkey.Secret{{KID: "older", ExpiresAt: now.Add(-time.Hour)}, ended}}
	if newest := key.Newest(now); newest.KID != "ended" {
		t.Errorf("newest is %s", newest.KID)
	}
	key, err := key.Rotate(latchkey.Secret{KID: "new"}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	if want := []latchkey.Secret{ended, {KID: "new"}}; !reflect.DeepEqual(key.Secrets, want) {
		t.Errorf("secrets are %+v, want %+v", key.Secrets, want)
	}
	if _, running := key.Rotation(now); running {
		t.Error("a rotation runs with an ended secret")
	}
}
