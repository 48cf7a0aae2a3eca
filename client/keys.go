package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Keys is what can be done with keys.
type Keys struct{ c *Client }

const keysPath = "/v1/keys"

// Create makes a key. Its secret is in this answer and nowhere else.
func (k Keys) Create(ctx context.Context, in NewKey) (Answer[IssuedKey], error) {
	return send[IssuedKey](ctx, k.c, create(keysPath, in).waiting())
}

// CreateBatch makes up to 1,000 keys, all or none.
func (k Keys) CreateBatch(ctx context.Context, in []NewKey) (Answer[IssuedKeys], error) {
	return send[IssuedKeys](ctx, k.c, create(keysPath+"/batch-create", struct {
		Items []NewKey `json:"items"`
	}{in}).waiting())
}

// Import takes over up to 1,000 keys that were made elsewhere, all or none.
// scheme says what a digest is; the server knows "sha256". idempotencyKey, 16
// to 255 characters, names the call: for 24 hours the server recognizes the same
// call and does not do it again. "" draws one.
func (k Keys) Import(ctx context.Context, scheme string, in []ImportedKey, idempotencyKey string) (Answer[IssuedKeys], error) {
	c := create(keysPath+"/import", struct {
		Scheme string        `json:"scheme"`
		Items  []ImportedKey `json:"items"`
	}{scheme, in})
	if idempotencyKey != "" {
		c.idempotency = idempotencyKey
	}
	return send[IssuedKeys](ctx, k.c, c.waiting())
}

// List is one page of the keys that match.
func (k Keys) List(ctx context.Context, f KeyFilter) (Answer[Page[Key]], error) {
	return send[Page[Key]](ctx, k.c, get(keysPath, f.query()))
}

// Pages are the pages of all keys that match. It ends after the first error.
func (k Keys) Pages(ctx context.Context, f KeyFilter) iter.Seq2[Answer[Page[Key]], error] {
	return pages(f.Cursor, func(cursor string) (Answer[Page[Key]], error) {
		f.Cursor = cursor
		return k.List(ctx, f)
	})
}

// All are all keys that match. It ends after the first error.
func (k Keys) All(ctx context.Context, f KeyFilter) iter.Seq2[Key, error] {
	return items(k.Pages(ctx, f))
}

// Get describes a key.
func (k Keys) Get(ctx context.Context, id string) (Answer[Key], error) {
	return send[Key](ctx, k.c, get(join(keysPath, id), nil))
}

// Update changes what the patch names.
func (k Keys) Update(ctx context.Context, id string, p KeyPatch) (Answer[ChangedKey], error) {
	return send[ChangedKey](ctx, k.c, change(http.MethodPatch, join(keysPath, id), p).waiting())
}

// Rotate gives the key a new secret, which is in this answer and nowhere else.
// The present one lives on for overlap, 0 to 720 hours.
func (k Keys) Rotate(ctx context.Context, id string, overlap time.Duration) (Answer[IssuedKey], error) {
	return send[IssuedKey](ctx, k.c, create(join(keysPath, id, "rotate"), struct {
		Overlap string `json:"overlap"`
	}{overlap.String()}).waiting())
}

// CompleteRotation ends the old secret before its time.
func (k Keys) CompleteRotation(ctx context.Context, id string) (Answer[ChangedKey], error) {
	return send[ChangedKey](ctx, k.c, change(http.MethodPost, join(keysPath, id, "rotation", "complete"), nil).waiting())
}

// CancelRotation ends the new secret; the old one lives on as before.
func (k Keys) CancelRotation(ctx context.Context, id string) (Answer[ChangedKey], error) {
	return send[ChangedKey](ctx, k.c, change(http.MethodPost, join(keysPath, id, "rotation", "cancel"), nil).waiting())
}

// Revoke ends a key for good. The reason is recorded, and may be "". To revoke a
// revoked key succeeds and changes nothing.
func (k Keys) Revoke(ctx context.Context, id, reason string) (Answer[ChangedKey], error) {
	return send[ChangedKey](ctx, k.c, end(join(keysPath, id, "revoke"), struct {
		Reason string `json:"reason,omitempty"`
	}{reason}).waiting())
}

// RevokeSelf ends the key that is presented: whoever holds it may.
func (k Keys) RevokeSelf(ctx context.Context, key Secret) (Answer[RevokedSelf], error) {
	return send[RevokedSelf](ctx, k.c, end(keysPath+"/revoke-self", struct {
		Key string `json:"key"`
	}{key.Expose()}).waiting())
}

// Revealed is the stored value of a retrievable key.
type Revealed struct {
	Secret Secret `json:"secret"`
}

// Reveal tells the value of a retrievable key again. The reason is recorded.
func (k Keys) Reveal(ctx context.Context, id, reason string) (Answer[Revealed], error) {
	return send[Revealed](ctx, k.c, change(http.MethodPost, join(keysPath, id, "reveal"), struct {
		Reason string `json:"reason"`
	}{reason}))
}
