package storetest

import (
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// secretCases ask for secrets by kid and by digest, through rotations.
func secretCases() []testCase {
	return []testCase{
		{"two secrets in their order", func(w *world) {
			k := w.newKey(w.tenant())
			// By kid, by time and by digest the second would come first.
			k.Secrets = []latchkey.Secret{w.newSecret(), w.newSecret()}
			k.Secrets[0].KID, k.Secrets[1].KID = "zzzzzzzzzzzzzzzz", "AAAAAAAAAAAAAAAA"
			k.Secrets[0].CreatedAt, k.Secrets[1].CreatedAt = k.Secrets[1].CreatedAt, k.Secrets[0].CreatedAt
			k.Secrets[0].Digest, k.Secrets[1].Digest = [32]byte{0xFF}, [32]byte{}
			w.write(k)
			w.sameKey("key", k)
		}},
		{"rotation, completion, and another rotation", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			first := k.Secrets[0]
			rotate := func() {
				rotated, err := k.Rotate(w.newSecret(), latchkey.DefaultOverlap, w.tick())
				w.ok("Rotate", err)
				*k = rotated
				w.write(k)
				w.sameKey("rotated key", k)
			}
			rotate()
			completed, err := k.CompleteRotation(w.tick())
			w.ok("CompleteRotation", err)
			*k = completed
			w.write(k)
			w.sameKey("completed key", k)
			w.tick()
			rotate()
			_, err = w.s.ByKID(w.ctx(), first.KID)
			w.fails("ByKID of a secret that is gone", err, store.ErrNotFound)
			if found := w.list(store.KeyQuery{Organization: k.Organization, Search: string(first.KID)}); len(found) != 0 {
				w.t.Error("a secret that is gone is still found by search")
			}
		}},
		{"a rotation that is cancelled", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			rotated, err := k.Rotate(w.newSecret(), latchkey.DefaultOverlap, w.tick())
			w.ok("Rotate", err)
			*k = rotated
			w.write(k)
			cancelled, err := k.CancelRotation(w.tick())
			w.ok("CancelRotation", err)
			*k = cancelled
			w.write(k)
			w.sameKey("key", k)
		}},
		{"kids of any case, exactly", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Secrets[0].KID = "aBcDeFgHiJkLmNoP"
			w.write(k)
			w.sameKey("key", k)
			for _, near := range []latchkey.KID{"ABCDEFGHIJKLMNOP", "abcdefghijklmnop", "aBcDeFgHiJkLmNo", "aBcDeFgHiJkLmNoPq", "aBcDeFgHiJkLmNo_", "%", ""} {
				_, err := w.s.ByKID(w.ctx(), near)
				w.fails(fmt.Sprintf("ByKID(%q)", near), err, store.ErrNotFound)
			}
		}},
		{"by the digest of an imported key", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 3)
			for _, k := range keys {
				k.Secrets = []latchkey.Secret{w.newForeign()}
			}
			w.writeKeys(keys)
			for i, k := range keys {
				none, other := w.digest(), w.digest()
				for _, digests := range [][][32]byte{{k.Secrets[0].Digest}, {none, k.Secrets[0].Digest}, {none, other, k.Secrets[0].Digest}} {
					c, err := w.s.ByForeignDigest(w.ctx(), digests)
					w.ok("ByForeignDigest", err)
					w.same(fmt.Sprintf("key %d", i), c.Key, *k)
					w.same("its secret", c.Secret, k.Secrets[0])
				}
			}
			for _, digests := range [][][32]byte{nil, {}, {w.digest()}, {{}}} {
				_, err := w.s.ByForeignDigest(w.ctx(), digests)
				w.fails(fmt.Sprintf("ByForeignDigest of %d unknown digests", len(digests)), err, store.ErrNotFound)
			}
		}},
		{"a native secret is not found by its digest", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			_, err := w.s.ByForeignDigest(w.ctx(), [][32]byte{k.Secrets[0].Digest})
			w.fails("ByForeignDigest", err, store.ErrNotFound)
		}},
		{"an imported secret that is rotated away", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			imported := w.newForeign()
			k.Secrets = []latchkey.Secret{imported}
			w.write(k)
			k.Secrets = []latchkey.Secret{w.newSecret()}
			w.write(k)
			_, err := w.s.ByForeignDigest(w.ctx(), [][32]byte{imported.Digest})
			w.fails("ByForeignDigest", err, store.ErrNotFound)
			again := w.newKey(of)
			again.Secrets = []latchkey.Secret{w.newForeign()}
			again.Secrets[0].Digest = imported.Digest
			w.write(again)
			w.sameKey("key imported again", again)
		}},
		{"a revoked key is found, as revoked", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			k.RevokedAt, k.RevokedReason = w.tick(), "leaked"
			w.write(k)
			w.sameKey("key", k)
		}},
		{"a signing key that comes, changes and goes", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			for _, signing := range []latchkey.Signing{
				{Algorithm: latchkey.HMACSHA256, Format: latchkey.SigningHex, Sealed: []byte{0, 1, 0xFF, 0}},
				{Algorithm: latchkey.HMACSHA256, Format: latchkey.SigningHex},
				{Algorithm: latchkey.Ed25519, Public: make([]byte, 32)},
				{},
			} {
				k.Secrets[0].Signing = signing
				w.write(k)
				w.sameKey("key", k)
			}
		}},
		{"each secret has a signing key of its own", func(w *world) {
			k := w.newKey(w.tenant())
			k.Secrets = append(k.Secrets, w.newSecret())
			for i := range k.Secrets {
				k.Secrets[i].Signing = latchkey.Signing{Algorithm: latchkey.HMACSHA256, Format: latchkey.SigningHex, Sealed: []byte{byte(i)}}
			}
			w.write(k)
			w.sameKey("key", k)
			k.Secrets = k.Secrets[1:]
			w.write(k)
			w.sameKey("key after its rotation", k)
		}},
		{"a public part and a sealed value of the longest kind", func(w *world) {
			k := w.newKey(w.tenant())
			k.Secrets[0].Public = strings.Repeat("é", latchkey.MaxResourceLen)
			k.Secrets[0].Sealed = make([]byte, 4096)
			w.write(k)
			w.sameKey("key", k)
		}},
	}
}
