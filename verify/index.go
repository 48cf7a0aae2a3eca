package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// index is every secret of the installation, in memory. It is complete: what is
// not in it does not exist. Readers take a lock of one shard among 256 for the
// time of a copy; writers are one at a time, save for those who fill it, who
// write each their own keys.
type index struct {
	shards  [256]shard
	foreign [256]foreignShard
	groups  *groups
	doors   atomic.Pointer[doors]

	generations *atomic.Uint64 // of the keys of tokens, in any index of the process
}

// doors are the gateways, and the keys that sign tokens. They are few, and never
// written again: a change makes others.
type doors struct {
	gateways   map[latchkey.KID]*latchkey.Gateway
	tokenKeys  []store.TokenKey // oldest first
	generation uint64           // of tokenKeys
}

// foreignShard finds imported secrets by the first half of their digest.
type foreignShard struct {
	sync.RWMutex

	places map[[16]byte]place
}

// newIndex makes an index with room for about so many keys.
func newIndex(directory store.Directory, keys int64) *index {
	ix := &index{groups: newGroups(directory), generations: new(atomic.Uint64)}
	ix.doors.Store(&doors{})
	memory := newArena()
	for i := range ix.shards {
		ix.shards[i].byKID.from = memory
		ix.shards[i].byKID.reserve(int(keys) / len(ix.shards))
	}
	return ix
}

func shardOf(hash uint64) uint8 { return uint8(hash >> 56) }

// get ends a lookup. It allocates nothing.
func (ix *index) get(l *lookup, c *credential) bool {
	s := &ix.shards[shardOf(l.hash)]
	s.RLock()
	defer s.RUnlock()
	number := l.number
	if !l.likely || !s.is(number, l.packed) {
		var ok bool
		if number, ok = s.find(l.packed, l.hash); !ok {
			return false
		}
	}
	c.KID = l.kid
	return ix.read(s, number, c)
}

// read copies an entry out. The caller holds the shard's lock, so that its group
// is not another one meanwhile.
func (ix *index) read(s *shard, number uint32, c *credential) bool {
	e := s.at(number)
	of := ix.groups.at(e.group)
	at := of.standing.Load()
	if at.gone {
		return false
	}
	c.KeyID, c.Digest, c.Pepper, c.Scheme = e.key, e.digest, int(e.pepper), latchkey.SchemeKey
	if e.flags&flagForeign != 0 {
		c.Scheme = latchkey.SchemeSHA256
	}
	c.SecretExpires = moment(e.secretExpires)
	partner, metadata, _ := s.readText(e.text)
	c.Key = Holder{
		Organization: of.organization, Project: of.project, Owner: of.owner, Reach: of.reach, Environment: of.environment,
		Partner: partner, Metadata: metadata, ExpiresAt: moment(e.keyExpires),
		Enabled: e.flags&flagEnabled != 0, Revoked: e.flags&flagRevoked != 0, Signing: signingMode(e.flags),
	}
	c.Grant, c.Role, c.Operator = at.grant, at.role, at.operator
	return true
}

func signingMode(flags uint8) latchkey.SigningMode {
	switch {
	case flags&flagMustSign != 0:
		return latchkey.SigningRequired
	case flags&flagMaySign != 0:
		return latchkey.SigningOptional
	}
	return latchkey.SigningOff
}

// byDigest finds the imported secret with that digest.
func (ix *index) byDigest(digest [32]byte, c *credential) bool {
	f := &ix.foreign[digest[0]]
	f.RLock()
	at, ok := f.places[[16]byte(digest[:16])]
	f.RUnlock()
	if !ok {
		return false
	}
	s := &ix.shards[at.shard]
	s.RLock()
	defer s.RUnlock()
	e := s.at(at.number)
	if e.group == 0 || e.flags&flagForeign == 0 || e.digest != digest {
		return false // it went while nobody looked
	}
	c.KID = e.kid.KID()
	return ix.read(s, at.number, c)
}

// put brings the key's secrets to what they are now, and returns their kids and
// whether one of them was there before. policy is the digest of its policy.
func (ix *index) put(ctx context.Context, k *latchkey.Key, policy [sha256.Size]byte) (kids []packedKID, known bool, err error) {
	group, err := ix.groups.number(ctx, k, policy, int64(len(k.Secrets)))
	if err != nil {
		return nil, false, err
	}
	kids, err = packKIDs(k, nil)
	if err != nil {
		return nil, false, err
	}
	gone, known := ix.others(kids)
	ix.writeAll(k, kids, group)
	for _, at := range gone {
		ix.remove(at)
	}
	return kids, known, nil
}

func (ix *index) remove(at place) {
	e := ix.shards[at.shard].remove(at.number)
	ix.forget(&e, at)
	ix.groups.leave(e.group)
}

// sweep removes all secrets of keys but those with these kids. It looks at every
// secret that there is.
func (ix *index) sweep(keys map[latchkey.ID][]packedKID) {
	for i := range ix.shards {
		for _, number := range ix.shards[i].besides(keys) {
			ix.remove(place{uint8(i), number})
		}
	}
}

// add is put for a key of which nothing is there. Its group counts its secrets
// already.
func (ix *index) add(k *latchkey.Key, group uint32) error {
	var room [2]packedKID
	packed, err := packKIDs(k, room[:0])
	if err == nil {
		ix.writeAll(k, packed, group)
	}
	return err
}

// packKIDs packs those of a key's secrets behind others.
func packKIDs(k *latchkey.Key, all []packedKID) ([]packedKID, error) {
	for i := range k.Secrets {
		packed, ok := packKID(k.Secrets[i].KID)
		if !ok {
			return nil, fmt.Errorf("a secret of key %s has the kid %q, which is none", k.ID.Native(latchkey.KindKey), k.Secrets[i].KID)
		}
		all = append(all, packed)
	}
	return all, nil
}

// writeAll writes the secrets of a key, and links them into a ring. A secret that
// has no sibling is its own.
func (ix *index) writeAll(k *latchkey.Key, kids []packedKID, group uint32) {
	var first, last place
	for i, kid := range kids {
		at := ix.write(k, &k.Secrets[i], kid, group)
		if i == 0 {
			first = at
		} else {
			ix.link(last, at)
		}
		last = at
	}
	if len(kids) > 1 {
		ix.link(last, first)
	}
}

func (ix *index) write(k *latchkey.Key, secret *latchkey.Secret, kid packedKID, group uint32) place {
	e := newEntry(k, secret, kid, group)
	at := place{shard: e.siblingShard}
	var before entry
	at.number, before = ix.shards[at.shard].put(&e, appendText(nil, k.Partner, k.Metadata))
	if before.digest != e.digest {
		ix.forget(&before, at)
	}
	if e.flags&flagForeign != 0 {
		ix.remember(e.digest, at)
	}
	ix.groups.leave(before.group)
	return at
}

// newEntry is an entry that has no text and no sibling yet but in which shard.
func newEntry(k *latchkey.Key, secret *latchkey.Secret, kid packedKID, group uint32) entry {
	e := entry{
		keyExpires: millis(k.ExpiresAt), secretExpires: millis(secret.ExpiresAt), group: group, siblingShard: shardOf(kid.hash()),
		pepper: uint16(secret.Pepper), kid: kid, key: k.ID, digest: secret.Digest, //nolint:gosec // rings have few versions
	}
	if k.Enabled {
		e.flags |= flagEnabled
	}
	if k.Revoked() {
		e.flags |= flagRevoked
	}
	if secret.Scheme == latchkey.SchemeSHA256 {
		e.flags |= flagForeign
	}
	switch k.SigningMode {
	case latchkey.SigningOff:
	case latchkey.SigningOptional:
		e.flags |= flagMaySign
	case latchkey.SigningRequired:
		e.flags |= flagMustSign
	}
	return e
}

// others are the secrets of the key that are not among those with these kids
// any more, as far as one with such a kid is known, by which they are found.
func (ix *index) others(kids []packedKID) (gone []place, known bool) {
	for _, kid := range kids {
		first := place{shard: shardOf(kid.hash())}
		s := &ix.shards[first.shard]
		s.RLock()
		number, found := s.find(kid, kid.hash())
		s.RUnlock()
		if !found {
			continue
		}
		first.number = number
		for at := ix.next(first); at != first; at = ix.next(at) {
			if !slices.Contains(kids, ix.kidAt(at)) {
				gone = append(gone, at)
			}
		}
		return gone, true
	}
	return nil, false
}

func (ix *index) next(at place) place {
	s := &ix.shards[at.shard]
	s.RLock()
	defer s.RUnlock()
	e := s.at(at.number)
	return place{e.siblingShard, e.sibling}
}

func (ix *index) kidAt(at place) packedKID {
	s := &ix.shards[at.shard]
	s.RLock()
	defer s.RUnlock()
	return s.at(at.number).kid
}

func (ix *index) link(at, next place) {
	s := &ix.shards[at.shard]
	s.Lock()
	defer s.Unlock()
	e := s.at(at.number)
	e.siblingShard, e.sibling = next.shard, next.number
}

func (ix *index) remember(digest [32]byte, at place) {
	f := &ix.foreign[digest[0]]
	f.Lock()
	defer f.Unlock()
	if f.places == nil {
		f.places = map[[16]byte]place{}
	}
	f.places[[16]byte(digest[:16])] = at
}

func (ix *index) forget(e *entry, at place) {
	if e.flags&flagForeign == 0 {
		return
	}
	f := &ix.foreign[e.digest[0]]
	f.Lock()
	defer f.Unlock()
	if f.places[[16]byte(e.digest[:16])] == at {
		delete(f.places, [16]byte(e.digest[:16]))
	}
}

// redigest moves a digest that still is the old one.
func (ix *index) redigest(m store.Redigest) {
	kid, ok := packKID(m.KID)
	if !ok {
		return
	}
	at := place{shard: shardOf(kid.hash())}
	s := &ix.shards[at.shard]
	s.Lock()
	number, found := s.find(kid, kid.hash())
	if !found || s.at(number).digest != m.Old {
		s.Unlock()
		return
	}
	at.number = number
	e := s.at(number)
	before := *e
	e.digest, e.pepper = m.New, uint16(m.Version) //nolint:gosec // rings have few versions
	s.byKID.suggest(kid.hash(), number, e.hint())
	s.Unlock()
	ix.forget(&before, at)
	if before.flags&flagForeign != 0 {
		ix.remember(m.New, at)
	}
}

// openDoors reads the gateways and the keys of tokens.
func (ix *index) openDoors(ctx context.Context, source Source) error {
	gateways, err := source.Gateways(ctx)
	if err != nil {
		return err
	}
	tokenKeys, err := source.TokenKeys(ctx)
	if err != nil {
		return err
	}
	ix.doors.Store(&doors{gatewaysByKID(gateways), tokenKeys, ix.generations.Add(1)})
	return nil
}

// changeDoors takes over what a step says of them.
func (ix *index) changeDoors(step *store.Step) {
	if len(step.Gateways)+len(step.TokenKeys) == 0 {
		return
	}
	before := ix.doors.Load()
	next := &doors{maps.Clone(before.gateways), slices.Clone(before.tokenKeys), before.generation}
	for _, g := range step.Gateways {
		maps.DeleteFunc(next.gateways, func(_ latchkey.KID, known *latchkey.Gateway) bool { return known.ID == g.ID })
		if !g.Deleted() {
			kept := *g
			next.gateways[g.Token.KID] = &kept
		}
	}
	for _, k := range step.TokenKeys {
		next.tokenKeys = slices.DeleteFunc(next.tokenKeys, func(known store.TokenKey) bool { return known.ID == k.ID })
		if !k.Deleted() {
			next.tokenKeys = append(next.tokenKeys, *k)
		}
	}
	if len(step.TokenKeys) > 0 {
		slices.SortFunc(next.tokenKeys, func(a, b store.TokenKey) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
		next.generation = ix.generations.Add(1)
	}
	ix.doors.Store(next)
}

// apply takes over a committed step, or what several changed. With each step a key
// keeps a secret that it had, by which those that go are found; with several it may
// not, and then what was left behind is looked for. That can be so of keys that were
// made up to the position; it is 0 where there is one step.
func (ix *index) apply(ctx context.Context, step *store.Step, made int64) error {
	ix.changeDoors(step)
	if err := ix.groups.changed(ctx, step); err != nil {
		return err
	}
	replaced := map[latchkey.ID][]packedKID{}
	for _, k := range step.Keys {
		kids, known, err := ix.put(ctx, k, digestOf(&k.Policy))
		if err != nil {
			return err
		}
		if _, before := replaced[k.ID]; before || !known && k.Ordinal>>store.OrdinalShift <= made {
			replaced[k.ID] = kids
		}
	}
	if len(replaced) > 0 {
		ix.sweep(replaced)
	}
	return nil
}

// size is how many secrets there are, and how many bytes they take.
func (ix *index) size() (secrets int64, bytes int64) {
	for i := range ix.shards {
		s := &ix.shards[i]
		bytes += int64(s.size())
		s.RLock()
		secrets += int64(s.byKID.taken)
		s.RUnlock()
	}
	for i := range ix.foreign {
		f := &ix.foreign[i]
		f.RLock()
		bytes += int64(len(f.places)) * foreignBytes
		f.RUnlock()
	}
	return secrets, bytes
}

// foreignBytes is what finding a secret by its digest takes: 24 bytes in a map
// that is half full on average.
const foreignBytes = 48

// millis is a time as the index keeps it; moment is the way back.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// knew reports whether the secret's key was revoked, and whether the secret had
// ended by itself.
func (ix *index) knew(kid latchkey.KID, now time.Time) (revoked, ended bool) {
	packed, ok := packKID(kid)
	if !ok {
		return false, false
	}
	s := &ix.shards[shardOf(packed.hash())]
	s.RLock()
	defer s.RUnlock()
	number, ok := s.find(packed, packed.hash())
	if !ok {
		return false, false
	}
	e := s.at(number)
	return e.flags&flagRevoked != 0, e.secretExpires != 0 && e.secretExpires <= now.UnixMilli()
}

// catchUp takes over the digest of a secret if it is under a newer version of the
// key ring than the one that is known.
func (ix *index) catchUp(secret *latchkey.Secret) {
	packed, ok := packKID(secret.KID)
	if !ok {
		return
	}
	s := &ix.shards[shardOf(packed.hash())]
	s.RLock()
	number, ok := s.find(packed, packed.hash())
	var known entry
	if ok {
		known = *s.at(number)
	}
	s.RUnlock()
	if ok && int(known.pepper) < secret.Pepper {
		ix.redigest(store.Redigest{KID: secret.KID, Old: known.digest, New: secret.Digest, Version: secret.Pepper})
	}
}
