package verify

import (
	"context"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// credential is a secret with its holder and what that may do, resolved.
type credential struct {
	*store.Credential

	grant *latchkey.Grant
}

func resolve(c *store.Credential) *credential { return &credential{c, c.Grant()} }

// maxKept bounds the credentials that are kept. Those who call all day are few.
const maxKept = 4096

// kept are credentials that were read in the store's present generation. They
// are thrown away as a whole when it ends, before the change that ended it is
// acknowledged; so a kept credential is as true as one that is read.
type kept struct {
	sync.RWMutex

	generation uint64
	byKID      map[latchkey.KID]*credential
}

func (v *Verifier) byKID(ctx context.Context, kid latchkey.KID) (*credential, error) {
	// Taken before the read: what is read now is of this generation or a later one.
	generation := v.store.Generation()
	if c := v.kept.get(kid, generation); c != nil {
		return c, nil
	}
	found, err := v.store.ByKID(ctx, kid)
	if err != nil {
		return nil, err
	}
	c := resolve(found)
	v.kept.put(kid, generation, c)
	return c, nil
}

func (k *kept) get(kid latchkey.KID, generation uint64) *credential {
	k.RLock()
	defer k.RUnlock()
	if generation == 0 || k.generation != generation {
		return nil
	}
	return k.byKID[kid]
}

func (k *kept) put(kid latchkey.KID, generation uint64, c *credential) {
	k.Lock()
	defer k.Unlock()
	if generation == 0 || generation < k.generation {
		return
	}
	if k.generation != generation || len(k.byKID) >= maxKept {
		k.generation, k.byKID = generation, map[latchkey.KID]*credential{}
	}
	k.byKID[kid] = c
}
