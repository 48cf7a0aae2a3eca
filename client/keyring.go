package client

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Keyring is what the operator can do with the installation's root keys.
type Keyring struct{ c *Client }

const ringPath = "/v1/keyring"

// RingStatus is the key ring, of which nothing here is secret.
type RingStatus struct {
	Fingerprint string        `json:"fingerprint"`
	Versions    []RingVersion `json:"versions"`
}

// RingVersion is one version of the key ring.
type RingVersion struct {
	Version     int       `json:"version"`
	State       string    `json:"state"` // pending, active, retiring or retired
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"created_at"`
	Secrets     int64     `json:"secrets"` // of keys that are not revoked, which die with it
}

// Status describes the key ring.
func (k Keyring) Status(ctx context.Context) (Answer[RingStatus], error) {
	return send[RingStatus](ctx, k.c, get(ringPath, nil))
}

// Add draws a new version. Nothing is made under it until it is activated.
func (k Keyring) Add(ctx context.Context) (Answer[RingVersion], error) {
	return send[RingVersion](ctx, k.c, change(http.MethodPost, ringPath+"/versions", nil))
}

// Activate makes a version the one under which new things are made.
func (k Keyring) Activate(ctx context.Context, version int) (Answer[Effect], error) {
	return send[Effect](ctx, k.c, change(http.MethodPost, join(ringPath, "versions", strconv.Itoa(version), "activate"), nil).waiting())
}

// Retire erases a version. That is refused while secrets depend on it, unless
// force says that they may die.
func (k Keyring) Retire(ctx context.Context, version int, force bool) (Answer[Effect], error) {
	return send[Effect](ctx, k.c, change(http.MethodPost, join(ringPath, "versions", strconv.Itoa(version), "retire"), struct {
		Force bool `json:"force,omitempty"`
	}{force}).waiting())
}
