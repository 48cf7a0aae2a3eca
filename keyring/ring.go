package keyring

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
)

// State is where a version stands. It only ever moves forward.
type State string

// The states, in order.
const (
	Pending  State = "pending"  // there to be copied to every machine; nothing is made under it yet
	Active   State = "active"   // new things are made under it
	Retiring State = "retiring" // opens and verifies what was made under it
	Retired  State = "retired"  // its root is erased; a marker holds the number
)

// Version is what may be known of a version. Nothing in it is secret.
type Version struct {
	Number      int // from 1, without gaps
	State       State
	CreatedAt   time.Time // UTC, whole seconds
	Fingerprint string    // 32 hexadecimal digits that name the root and do not reveal it
}

// Ring is an installation's root keys.
type Ring struct {
	path    string     // "" for a ring that was read from memory
	changes sync.Mutex // held while current is being replaced
	current atomic.Pointer[state]
}

func newRing(path string, s *state) *Ring {
	r := &Ring{path: path}
	r.current.Store(s)
	return r
}

// Create makes a ring with one version, active, and writes it to path with mode
// 0600. When it returns, file and name are durable. A file that is there is
// never replaced: the error then wraps [io/fs.ErrExist]. random must be
// crypto/rand.Reader outside tests.
func Create(path string, random io.Reader, now time.Time) (*Ring, error) {
	first, err := drawVersion(random, now)
	if err != nil {
		return nil, err
	}
	s := &state{active: 1, versions: []version{first}}
	if err := createFile(path, s); err != nil {
		return nil, fmt.Errorf("making a key ring at %s: %w", path, err)
	}
	return newRing(path, s), nil
}

// Open reads the ring at path. It refuses a file that its group or others may
// read or write ([ErrExposed]), one that is damaged ([ErrCorrupt]) and one of
// an unknown format ([ErrFormat]).
func Open(path string) (*Ring, error) {
	s, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return newRing(path, s), nil
}

// Parse reads a ring from the text of its file, as an environment variable
// holds it; white space does not matter. Such a ring cannot be changed.
func Parse(text []byte) (*Ring, error) {
	s, err := parse(text)
	if err != nil {
		return nil, err
	}
	return newRing("", s), nil
}

// Fingerprint names the ring: it is its first version's, for good.
func (r *Ring) Fingerprint() string { return r.current.Load().fingerprint() }

// Active is the number of the version under which new things are made.
func (r *Ring) Active() int { return r.current.Load().active }

// Has reports whether digests can be made under that version: one that was retired
// has none.
func (r *Ring) Has(version int) bool {
	_, err := r.current.Load().keys(version)
	return err == nil
}

// Versions lists every version in order, retired ones included.
func (r *Ring) Versions() []Version {
	s := r.current.Load()
	list := make([]Version, len(s.versions))
	for i := range list {
		list[i] = s.version(i + 1)
	}
	return list
}

// String names the ring and its active version; it shows no key.
func (r *Ring) String() string {
	s := r.current.Load()
	return fmt.Sprintf("key ring %s, version %d of %d active", s.fingerprint(), s.active, len(s.versions))
}

// Reload takes up what another process did to the file. A file that is gone,
// damaged, of another ring ([ErrOther]) or older than what is in use
// ([ErrStale]) is refused, and the ring stays as it was. For a ring read from
// memory there is nothing to do.
func (r *Ring) Reload() error {
	r.changes.Lock()
	defer r.changes.Unlock()
	if r.path == "" {
		return nil
	}
	fresh, err := readFile(r.path)
	if err != nil {
		return err
	}
	if err := fresh.covers(r.current.Load()); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	r.current.Store(fresh)
	return nil
}

// Add draws a new version, pending, so that it can be copied to every machine
// before anything is made under it.
func (r *Ring) Add(random io.Reader, now time.Time) (Version, error) {
	v, err := drawVersion(random, now)
	if err != nil {
		return Version{}, err
	}
	s, err := r.change(func(s *state) (*state, error) { return s.add(v) })
	if err != nil {
		return Version{}, err
	}
	return s.version(len(s.versions)), nil
}

// Activate makes version n the one under which new things are made. The one
// that was active is retiring from then on. To activate the active version
// again changes nothing; an earlier one is refused with code conflict, an
// unknown one with not_found. Every machine must have version n first.
func (r *Ring) Activate(n int) error {
	_, err := r.change(func(s *state) (*state, error) { return s.activate(n) })
	return err
}

// Retire erases the root of version n, which must be before the active one:
// whatever still depends on it is lost, so ask the store first. To retire a
// retired version changes nothing.
func (r *Ring) Retire(n int) error {
	_, err := r.change(func(s *state) (*state, error) { return s.retire(n) })
	return err
}

// change edits the file as it is now, which another process may have changed
// since it was read, and takes up the result.
func (r *Ring) change(edit func(*state) (*state, error)) (*state, error) {
	if r.path == "" {
		return nil, latchkey.Errorf(latchkey.CodeConflict,
			"This key ring was read from memory; change the file that its text came from, then set the variable anew.")
	}
	r.changes.Lock()
	defer r.changes.Unlock()
	s, err := changeFile(r.path, func(s *state) (*state, error) {
		if err := s.covers(r.current.Load()); err != nil {
			return nil, fmt.Errorf("%s: %w", r.path, err)
		}
		return edit(s)
	})
	if err != nil {
		return nil, err
	}
	r.current.Store(s)
	return s, nil
}
