package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"latchkey.dev/latchkey"
)

// policies are those read lately, by row. Rows never change, so neither does
// what is kept of them.
type policies struct {
	mu   sync.Mutex
	read map[int64]keptPolicy
	size int // of what they were read from, in bytes
}

type keptPolicy struct {
	latchkey.Policy
	size int
}

// maxPolicies is how many bytes of JSON the kept policies may be read from. In
// memory they are a few times that.
const maxPolicies = 4 << 20

func newPolicies() *policies { return &policies{read: map[int64]keptPolicy{}} }

func (p *policies) get(id int64) (latchkey.Policy, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.read[id]
	return kept.Policy, ok
}

// keep makes room by letting go of any others: the order of a map is as good as
// a coin.
func (p *policies) keep(id int64, policy latchkey.Policy, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.read[id]; ok {
		return
	}
	p.read[id] = keptPolicy{policy, size}
	p.size += size
	for other, kept := range p.read {
		if p.size <= maxPolicies {
			return
		}
		delete(p.read, other)
		p.size -= kept.size
	}
}

// policy reads the policy of a row.
func (p *policies) policy(s *session, id int64) (latchkey.Policy, error) {
	if policy, ok := p.get(id); ok {
		return policy, nil
	}
	var policy latchkey.Policy
	var addresses []string
	var size int
	err := s.get([]any{(*idColumn)(&policy.Role), listColumn{&policy.Scopes}, listColumn{&addresses}, listColumn{&policy.Resources}, &size},
		`SELECT role, scopes, addresses, resources, 256 + length(scopes) + length(addresses) + length(resources) FROM policies WHERE id = ?`, id)
	if err != nil {
		return latchkey.Policy{}, err
	}
	parsed, broken := latchkey.ParseAddressList(addresses)
	if broken != nil {
		return latchkey.Policy{}, fmt.Errorf("%w: an address list", errColumn)
	}
	policy.Addresses = parsed
	p.keep(id, policy, size)
	return policy, nil
}

// storedPolicy is a policy as it is stored.
type storedPolicy struct {
	role                         any
	scopes, addresses, resources string
	hash                         [sha256.Size]byte
}

func newStoredPolicy(p *latchkey.Policy) (storedPolicy, error) {
	stored := storedPolicy{role: ident(p.Role)}
	hash := sha256.New()
	hash.Write(p.Role[:])
	for _, part := range []struct {
		text  *string
		value any
	}{{&stored.scopes, p.Scopes}, {&stored.addresses, p.Addresses.Entries()}, {&stored.resources, p.Resources}} {
		text, err := list(part.value)
		if err != nil {
			return storedPolicy{}, err
		}
		*part.text = text
		hash.Write([]byte(text + "\n")) // which compact JSON does not contain
	}
	hash.Sum(stored.hash[:0])
	return stored, nil
}

// mark tells policies of organizations apart in memory. It takes a fraction of
// the time that their stored form does.
type mark [sha256.Size]byte

func markOf(organization latchkey.ID, p *latchkey.Policy) mark {
	text := append(append(make([]byte, 0, 256), organization[:]...), p.Role[:]...)
	text = appendTexts(text, p.Scopes)
	text = appendTexts(text, p.Addresses.Entries())
	kinds := slices.Sorted(maps.Keys(p.Resources))
	if kinds == nil && p.Resources != nil {
		kinds = []string{}
	}
	text = appendTexts(text, kinds)
	for _, kind := range kinds {
		text = appendTexts(text, p.Resources[kind])
	}
	return sha256.Sum256(text)
}

// appendTexts writes each text with its length before it, and before them how
// many there are: 0 stands for no list, 1 for an empty one.
func appendTexts[S ~string](to []byte, texts []S) []byte {
	if texts == nil {
		return append(to, 0)
	}
	to = binary.AppendUvarint(to, uint64(len(texts))+1)
	for _, text := range texts {
		to = append(binary.AppendUvarint(to, uint64(len(text))), text...)
	}
	return to
}

// interned is where the policies written lately are. Rows are never deleted, so
// what was committed stays true.
type interned struct {
	committed, pending map[mark]int64
}

// maxInterned is how many are remembered; then all are forgotten.
const maxInterned = 10_000

func newInterned() *interned {
	return &interned{committed: map[mark]int64{}, pending: map[mark]int64{}}
}

// row finds the policy's row, or makes it in the transaction that runs.
func (i *interned) row(s *session, organization latchkey.ID, policy *latchkey.Policy) (int64, error) {
	m := markOf(organization, policy)
	if id, ok := i.committed[m]; ok {
		return id, nil
	}
	if id, ok := i.pending[m]; ok {
		return id, nil
	}
	id, err := s.policyRow(organization, policy)
	if err == nil {
		i.pending[m] = id
	}
	return id, err
}

func (s *session) policyRow(organization latchkey.ID, policy *latchkey.Policy) (int64, error) {
	stored, err := newStoredPolicy(policy)
	if err != nil {
		return 0, err
	}
	if _, err := s.exec(`INSERT INTO policies (organization, hash, role, scopes, addresses, resources) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		organization[:], stored.hash[:], stored.role, stored.scopes, stored.addresses, stored.resources); err != nil {
		return 0, err
	}
	var id int64
	err = s.get([]any{&id}, `SELECT id FROM policies WHERE organization = ? AND hash = ?`, organization[:], stored.hash[:])
	return id, err
}

// end takes over what the transaction made, if it was committed.
func (i *interned) end(committed bool) {
	if committed {
		if len(i.committed)+len(i.pending) > maxInterned {
			clear(i.committed)
		}
		maps.Copy(i.committed, i.pending)
	}
	clear(i.pending)
}
