package client

import (
	"context"
	"net/http"
	"time"
)

// Tokens is what the operator can do with the keys that sign tokens.
type Tokens struct{ c *Client }

const tokenKeysPath = "/v1/tokens/keys"

// TokenKeys are the keys that sign tokens, signed them or will, oldest first.
type TokenKeys struct {
	Keys []TokenKey `json:"keys"`
}

// TokenKey is one of them.
type TokenKey struct {
	KID         string    `json:"kid"`
	Algorithm   string    `json:"algorithm"` // ES256 or RS256
	State       string    `json:"state"`     // pending, active or retiring
	PublishedAt time.Time `json:"published_at"`
	ActiveAt    time.Time `json:"active_at"`  // zero: it has not signed yet
	RetiredAt   time.Time `json:"retired_at"` // zero: it has not stopped yet
}

// Status lists the keys.
func (t Tokens) Status(ctx context.Context) (Answer[TokenKeys], error) {
	return send[TokenKeys](ctx, t.c, get(tokenKeysPath, nil))
}

// Rotate publishes new keys, which sign a day later, or now. Nothing that was
// signed becomes invalid.
func (t Tokens) Rotate(ctx context.Context, now bool) (Answer[Effect], error) {
	return send[Effect](ctx, t.c, change(http.MethodPost, tokenKeysPath+"/rotate", struct {
		Now bool `json:"now,omitempty"`
	}{now}).waiting())
}
