package latchkey

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// Reach is how far a credential can touch.
type Reach string

// The reaches, in growing order.
const (
	ReachProject      Reach = "project"      // one project
	ReachOrganization Reach = "organization" // every project of the organization
	ReachAll          Reach = "all"          // every organization; the operator's keys, for verifying and introspecting alone
)

// Includes reports whether r goes at least as far as s.
func (r Reach) Includes(s Reach) bool { return r.order() >= s.order() }

// Valid reports whether r is one of the reaches.
func (r Reach) Valid() bool { return r.order() > 0 }

func (r Reach) order() int {
	switch r {
	case ReachProject:
		return 1
	case ReachOrganization:
		return 2
	case ReachAll:
		return 3
	}
	return 0
}

// Document is a JSON object as compact text. The domain carries it and never
// looks inside; "" is the empty object.
type Document string

// Resources restricts a key to some objects of some types. A type that is
// absent is unrestricted; a type with no ids allows none.
type Resources map[string][]string

// plantType is the one type whose ids are UUIDs by definition and therefore
// compared without regard to case (RFC 9562, section 4).
const plantType = "plant"

// NewResources sorts the ids and drops repetitions, so that equal restrictions
// are equal values.
func NewResources(given map[string][]string) Resources {
	if len(given) == 0 {
		return nil
	}
	out := make(Resources, len(given))
	for kind, ids := range given {
		ids = slices.Clone(ids)
		if kind == plantType {
			for i, id := range ids {
				ids[i] = strings.ToLower(id)
			}
		}
		sort.Strings(ids)
		out[kind] = append([]string{}, slices.Compact(ids)...)
	}
	return out
}

// Allow reports whether the object may be touched.
func (r Resources) Allow(o Resource) bool {
	ids, restricted := r[o.Type]
	if !restricted {
		return true
	}
	id := o.ID
	if o.Type == plantType {
		id = strings.ToLower(id)
	}
	_, found := slices.BinarySearch(ids, id)
	return found
}

// Resource is one object of the customer's, by type and id. The zero value
// names none.
type Resource struct {
	Type, ID string
}

// Policy is what a key is granted and how it is restricted. Keys with equal
// policies share one stored row.
type Policy struct {
	Role      ID // zero: none
	Scopes    Permissions
	Addresses AddressList
	Resources Resources
}

// Scheme is how a secret's digest was computed.
type Scheme string

// The schemes; the key ring defines both.
const (
	SchemeKey    Scheme = "key"    // of the whole key string, with the pepper
	SchemeSHA256 Scheme = "sha256" // of an imported SHA-256, with the pepper
)

// Secret is one credential of a key. Its plaintext is nowhere, unless the key
// is retrievable: then it is sealed.
type Secret struct {
	KID       KID
	Public    string // the characters that may be shown: all before the secret
	Format    Format
	Scheme    Scheme
	Pepper    int // version of the key ring under which Digest was made
	Digest    [32]byte
	Sealed    []byte // nil unless retrievable
	Signing   Signing
	CreatedAt time.Time
	ExpiresAt time.Time // zero: lives as long as its key
	LastUse   Use
}

// Ended reports whether the secret is dead on its own account at now.
func (s Secret) Ended(now time.Time) bool { return passed(s.ExpiresAt, now) }

// Masked is how the secret is shown: the public part and three dots.
func (s Secret) Masked() string { return s.Public + "..." }

// Key is an identity that is granted something.
type Key struct {
	ID            ID
	Organization  ID
	Project       ID
	Reach         Reach
	Format        Format // of the secrets it gets
	Name          string
	Environment   Environment
	Owner         ID // zero: none
	Partner       string
	Policy        Policy
	Enabled       bool
	Retrievable   bool
	SigningMode   SigningMode
	ExpiresAt     time.Time // zero: never
	RevokedAt     time.Time // zero: not revoked
	RevokedReason string
	Metadata      Document
	Secrets       []Secret // one or two, oldest first; ended ones stay until the next rotation
	Record
}

// State is the condition of a key.
type State string

// The states.
const (
	StateLive     State = "live"
	StateDisabled State = "disabled" // the key, its owner or its organization
	StateExpired  State = "expired"
	StateRevoked  State = "revoked"
)

// States lists the states.
func States() []State { return []State{StateLive, StateDisabled, StateExpired, StateRevoked} }

// Revoked reports whether the key was revoked. Nothing undoes it.
func (k Key) Revoked() bool { return !k.RevokedAt.IsZero() }

// State is the key's condition at now. suspended says that its owner or its
// organization is.
func (k Key) State(suspended bool, now time.Time) State {
	switch {
	case k.Revoked():
		return StateRevoked
	case !k.Enabled || suspended:
		return StateDisabled
	case passed(k.ExpiresAt, now):
		return StateExpired
	}
	return StateLive
}

// Newest is the secret that was made last, among those that have not ended if
// there are any. It is the one that the key shows.
func (k Key) Newest(now time.Time) Secret {
	for _, s := range slices.Backward(k.Secrets) {
		if !s.Ended(now) {
			return s
		}
	}
	return k.Secrets[len(k.Secrets)-1]
}

// LiveSecrets are the secrets that have not ended on their own account.
func (k Key) LiveSecrets(now time.Time) []Secret {
	return slices.DeleteFunc(slices.Clone(k.Secrets), func(s Secret) bool { return s.Ended(now) })
}

// LastUse is the last use of any of its secrets.
func (k Key) LastUse() Use {
	var last Use
	for _, s := range k.Secrets {
		if s.LastUse.At.After(last.At) {
			last = s.LastUse
		}
	}
	return last
}

// Rotation is a change of secret under way: both are good until EndsAt.
type Rotation struct {
	Old, New  KID
	StartedAt time.Time
	EndsAt    time.Time
}

// Rotation is the rotation that runs at now, if one does.
func (k Key) Rotation(now time.Time) (Rotation, bool) {
	live := k.LiveSecrets(now)
	if len(live) != 2 {
		return Rotation{}, false
	}
	return Rotation{Old: live[0].KID, New: live[1].KID, StartedAt: live[1].CreatedAt, EndsAt: live[0].ExpiresAt}, true
}

// Rotate adds a secret; the present one ends after overlap. It fails with
// CodeRotationInProgress while one runs, and with CodeConflict on a key that is
// revoked.
func (k Key) Rotate(next Secret, overlap time.Duration, now time.Time) (Key, error) {
	if k.Revoked() {
		return k, Errorf(CodeConflict, "A revoked key cannot be rotated; create a new one.")
	}
	if r, running := k.Rotation(now); running {
		return k, Errorf(CodeRotationInProgress, "A rotation of this key runs until %s; complete or cancel it first.", r.EndsAt.UTC().Format(time.RFC3339))
	}
	live := k.LiveSecrets(now)
	if len(live) == 0 {
		live = k.Secrets[len(k.Secrets)-1:]
	}
	old := live[0]
	if !old.Ended(now) {
		old.ExpiresAt = now.Add(overlap)
	}
	k.Secrets = []Secret{old, next}
	return k, nil
}

// CompleteRotation ends the old secret now.
func (k Key) CompleteRotation(now time.Time) (Key, error) {
	return k.endRotation(now, func(old, _ *Secret) { old.ExpiresAt = now })
}

// CancelRotation ends the new secret now; the old one lives on.
func (k Key) CancelRotation(now time.Time) (Key, error) {
	return k.endRotation(now, func(old, next *Secret) { old.ExpiresAt, next.ExpiresAt = time.Time{}, now })
}

func (k Key) endRotation(now time.Time, end func(old, next *Secret)) (Key, error) {
	if k.Revoked() {
		return k, Errorf(CodeConflict, "The key is revoked: all its secrets are dead already.")
	}
	if _, running := k.Rotation(now); !running {
		return k, Errorf(CodeConflict, "No rotation of this key is running.")
	}
	k.Secrets = k.LiveSecrets(now)
	end(&k.Secrets[0], &k.Secrets[1])
	return k, nil
}

// passed reports whether a moment has come; the zero moment never does.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
