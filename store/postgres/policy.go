package postgres

import (
	"crypto/sha256"

	"latchkey.dev/latchkey"
)

// storedPolicy is a policy as it is stored. Its hash is its name: equal policies
// of an organization have one row, whichever node wrote it, and two that differ
// cannot be taken for each other.
type storedPolicy struct {
	hash                         [sha256.Size]byte
	role                         any
	scopes, addresses, resources string
}

func newStoredPolicy(organization latchkey.ID, p *latchkey.Policy) (storedPolicy, error) {
	stored := storedPolicy{role: ident(p.Role)}
	hash := sha256.New()
	hash.Write(organization[:])
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

func (p *storedPolicy) row() []any {
	return []any{p.hash[:], p.role, p.scopes, p.addresses, p.resources}
}

// maxInterned is how many policies known to be stored are remembered; then all
// are forgotten.
const maxInterned = 10_000
