package verify

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// standIn is a directory in which every organization exists and nothing else.
type standIn struct{ store.Directory }

func (standIn) Organization(_ context.Context, id latchkey.ID) (*latchkey.Organization, error) {
	return &latchkey.Organization{ID: id}, nil
}

func (standIn) User(context.Context, latchkey.ID) (*latchkey.User, error) {
	return nil, store.ErrNotFound
}

func (standIn) Role(context.Context, latchkey.ID) (*latchkey.Role, error) {
	return nil, store.ErrNotFound
}
