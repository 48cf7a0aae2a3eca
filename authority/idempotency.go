package authority

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// How long a call is remembered, and how long its secrets can be told again.
const (
	RecordLife = 24 * time.Hour
	SecretLife = 15 * time.Minute

	minIdempotencyKey = 16
	maxIdempotencyKey = 255
)

// Idempotency is what makes a creating call safe to repeat.
type Idempotency struct {
	Route    string   // method and route, with the ids in it
	BodyHash [32]byte // of the body's bytes
	header   []byte   // the Idempotency-Key: it opens the stored secrets, and is itself never stored
}

// NewIdempotency checks the header's value and takes up the call.
func NewIdempotency(header, route string, body []byte) (*Idempotency, error) {
	if len(header) < minIdempotencyKey || len(header) > maxIdempotencyKey {
		return nil, latchkey.Invalid("header:Idempotency-Key", "length", "An Idempotency-Key is 16 to 255 characters; use a random one for each call.")
	}
	for i := range len(header) {
		if header[i] < ' ' || header[i] > '~' {
			return nil, latchkey.Invalid("header:Idempotency-Key", "format", "An Idempotency-Key is printable ASCII.")
		}
	}
	return &Idempotency{Route: route, BodyHash: sha256.Sum256(body), header: []byte(header)}, nil
}

// recordKeys is where the call's record may be: under each version of the ring
// that is in use, the active one first.
func (c *Call) recordKeys(ring *keyring.Ring) []store.RecordKey {
	if c.Idempotency == nil {
		return nil
	}
	var keys []store.RecordKey
	for _, v := range ring.Versions() {
		tag, err := ring.IdempotencyTag(v.Number, c.Idempotency.header)
		if err != nil { // retired: nothing under it is left
			continue
		}
		key := store.RecordKey{Caller: c.who(), Organization: c.Organization, Route: c.Idempotency.Route, Tag: tag}
		if v.State == keyring.Active {
			keys = slices.Insert(keys, 0, key)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}

// replay finds the record of a call that was made before.
func replay(view *store.View, keys []store.RecordKey, call *Idempotency) (*store.Record, error) {
	for _, key := range keys {
		r := view.Records[key]
		if r == nil || view.Now.Sub(r.CreatedAt) >= RecordLife {
			continue
		}
		if r.BodyHash != call.BodyHash {
			return nil, latchkey.Errorf(latchkey.CodeIdempotencyMismatch, "This Idempotency-Key was used with another body; use a new one.")
		}
		return r, nil
	}
	return nil, nil
}

// remember prepares the record of a creating call: the objects, and the secrets
// sealed so that only the header opens them.
func (a *Authority) remember(call *Call, objects []latchkey.ID, secrets []told) (*store.Record, error) {
	if call.Idempotency == nil {
		return nil, nil
	}
	r := &store.Record{RecordKey: call.recordKeys(a.Ring)[0], BodyHash: call.Idempotency.BodyHash, Objects: objects}
	if len(secrets) == 0 {
		return r, nil
	}
	exposed := make([][2]string, len(secrets))
	for i, s := range secrets {
		exposed[i] = [2]string{s.Secret.Expose(), s.SigningKey.Expose()}
	}
	plain, err := json.Marshal(exposed)
	if err != nil {
		return nil, err
	}
	version := a.Ring.Active()
	sealed, err := a.Ring.SealUnder(version, call.Idempotency.header, r.Bound(), latchkey.NewPlaintext(string(plain)))
	if err != nil {
		return nil, err
	}
	r.Sealed = append([]byte{byte(version)}, sealed...) //nolint:gosec // a ring has at most 100 versions
	return r, nil
}

// recall opens the secrets of a call that was made before.
func (a *Authority) recall(call *Call, r *store.Record, kind latchkey.Kind) ([]told, error) {
	if len(r.Sealed) < 1 || !a.Clock().Before(r.CreatedAt.Add(SecretLife)) {
		e := latchkey.Errorf(latchkey.CodeIdempotentSecretExpired, "This call was made before and its secret can no longer be told; rotate it to get a new one.")
		e.Object = r.Objects[0].Native(kind)
		return nil, e
	}
	plain, err := a.Ring.OpenUnder(int(r.Sealed[0]), call.Idempotency.header, r.Bound(), r.Sealed[1:])
	if err != nil {
		return nil, err
	}
	var exposed [][2]string
	if err := json.NewDecoder(bytes.NewReader([]byte(plain.Expose()))).Decode(&exposed); err != nil {
		return nil, err
	}
	secrets := make([]told, len(exposed))
	for i, s := range exposed {
		secrets[i] = told{latchkey.NewPlaintext(s[0]), latchkey.NewPlaintext(s[1])}
	}
	return secrets, nil
}
