package verify

import (
	"context"
	"crypto/sha256"

	"latchkey.dev/latchkey"
)

// filler is one of those who read. What it counts, the others see now and then:
// to count together takes longer than to write a key.
type filler struct {
	*fill

	ctx      context.Context
	policies map[int64][sha256.Size]byte
	groups   map[common]*counted
	last     *counted // most keys have as much in common with the one before
	rows     int64
	batches  [256]batch // for each shard
}

func newFiller(ctx context.Context, f *fill) *filler {
	return &filler{fill: f, ctx: ctx, policies: map[int64][sha256.Size]byte{}, groups: map[common]*counted{}}
}

// common is what tells groups apart, with the number of the policy for its digest.
type common struct {
	organization, project, owner latchkey.ID
	reach                        latchkey.Reach
	environment                  latchkey.Environment
	policy                       int64
}

// counted is a group, and how many secrets of it the filler wrote.
type counted struct {
	common

	group   uint32
	secrets int64
}

const rowsAtOnce = 1024

// row takes one key. policy names the key's policy within this store.
func (w *filler) row(k *latchkey.Key, policy int64) error {
	of, err := w.of(k, policy)
	if err != nil {
		return err
	}
	if w.rows++; w.rows%rowsAtOnce == 0 {
		w.done.Add(rowsAtOnce)
	}
	if w.lost != nil {
		w.lost.look(k)
	}
	of.secrets += int64(len(k.Secrets))
	if len(k.Secrets) > 1 || k.Secrets[0].Scheme == latchkey.SchemeSHA256 {
		return w.index.add(k, of.group)
	}
	return w.gather(k, of.group)
}

// gather writes the key's one secret some time until the end.
func (w *filler) gather(k *latchkey.Key, group uint32) error {
	var room [1]packedKID
	packed, err := packKIDs(k, room[:0])
	if err != nil {
		return err
	}
	e := newEntry(k, &k.Secrets[0], packed[0], group)
	b := &w.batches[e.siblingShard]
	b.texts = appendText(b.texts, k.Partner, k.Metadata)
	e.text = uint32(len(b.texts)) //nolint:gosec // a few texts, of a few thousand bytes each
	b.entries[b.count] = e
	if b.count++; b.count == len(b.entries) {
		w.index.putAll(b)
	}
	return nil
}

// batch is entries for one shard, which are written together: the shard is locked
// once, and the places of all of them come from memory at the same time. Their texts
// are one behind the other; an entry says where its own ends.
type batch struct {
	entries [16]entry
	count   int
	texts   []byte
}

// putAll writes a batch, and empties it.
func (ix *index) putAll(b *batch) {
	if b.count == 0 {
		return
	}
	s := &ix.shards[b.entries[0].siblingShard]
	s.Lock()
	defer s.Unlock()
	for i := range b.entries[:b.count] {
		s.byKID.expect(b.entries[i].kid.hash())
	}
	began := uint32(0)
	for i := range b.entries[:b.count] {
		e := &b.entries[i]
		text := b.texts[began:e.text]
		began = e.text
		number, before := s.putLocked(e, text)
		ix.forget(&before, place{e.siblingShard, number})
		ix.groups.leave(before.group)
	}
	b.count, b.texts = 0, b.texts[:0]
}

// of finds the group of a key. The filler is in each that it meets until it ends,
// so none of them ends before.
func (w *filler) of(k *latchkey.Key, policy int64) (*counted, error) {
	key := common{k.Organization, k.Project, k.Owner, k.Reach, k.Environment, policy}
	if w.last != nil && w.last.common == key {
		return w.last, nil
	}
	of := w.groups[key]
	if of == nil {
		digest, ok := w.policies[policy]
		if !ok {
			digest = digestOf(&k.Policy)
			w.policies[policy] = digest
		}
		number, err := w.index.groups.number(w.ctx, k, digest, 1)
		if err != nil {
			return nil, err
		}
		of = &counted{common: key, group: number}
		w.groups[key] = of
	}
	w.last = of
	return of, nil
}

// end writes and counts what is not yet, and leaves the groups.
func (w *filler) end() {
	for i := range w.batches {
		w.index.putAll(&w.batches[i])
	}
	w.done.Add(w.rows % rowsAtOnce)
	for _, of := range w.groups {
		w.index.groups.at(of.group).keys.Add(of.secrets)
		w.index.groups.leave(of.group)
	}
}
