package sqlite_test

import (
	"context"
	"testing"

	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/store/storetest"
)

// TestStore runs the suite that every driver passes.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return func(t *testing.T) store.Store {
			s, err := sqlite.Open(context.Background(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
