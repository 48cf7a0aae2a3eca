package postgres_test

import (
	"context"
	"testing"

	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
	"latchkey.dev/latchkey/store/storetest"
)

// TestStore runs the suite that every driver passes.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		url := postgrestest.Database(t)
		return func(t *testing.T) store.Store {
			s, err := postgres.Open(context.Background(), url, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
