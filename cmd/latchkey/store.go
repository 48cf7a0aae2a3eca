package main

import (
	"context"
	"errors"

	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres"
	"latchkey.dev/latchkey/store/sqlite"
)

// openStore opens the store that the settings name: the database of
// --database-url, or the embedded one in the data folder.
func (s *settings) openStore(ctx context.Context, data string) (store.Store, error) {
	if s.databaseURL != "" {
		opened, err := postgres.Open(ctx, s.databaseURL, s.Log)
		if err != nil {
			return nil, told(err) // not a nil *postgres.Store in a store.Store
		}
		return opened, nil
	}
	opened, err := sqlite.Open(ctx, data, s.Log)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// migrations is how a store's schema stands to the program's.
type migrations struct {
	Current int64
	Known   int64
	Pending []string
}

func (s *settings) migrationStatus(ctx context.Context) (migrations, error) {
	if s.databaseURL != "" {
		m, err := postgres.MigrationStatus(ctx, s.databaseURL)
		return migrations(m), told(err)
	}
	m, err := sqlite.MigrationStatus(ctx, s.Data)
	return migrations(m), err
}

func (s *settings) migrate(ctx context.Context) ([]string, error) {
	if s.databaseURL != "" {
		applied, err := postgres.Migrate(ctx, s.databaseURL, s.Log)
		return applied, told(err)
	}
	return sqlite.Migrate(ctx, s.Data, s.Log)
}

// told puts a database that cannot hold a store in the form of our failures.
func told(err error) error {
	if e, ok := errors.AsType[*postgres.OpenError](err); ok {
		return &failure{What: e.What, Do: e.Do, Cause: err}
	}
	return err
}
