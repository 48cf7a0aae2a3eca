package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/latchkey/store"
)

// OpenError is why a database cannot hold a store, and what to do about it.
// Neither text has a password in it.
type OpenError struct {
	What  string // one sentence on what is so
	Do    string // one sentence on what to do
	Cause error  // for errors.Is; nil where the server is there and not fit
}

// Error implements error.
func (e *OpenError) Error() string { return e.What + " " + e.Do }

// Unwrap gives the cause.
func (e *OpenError) Unwrap() error { return e.Cause }

// NewerError says that the store was made, or migrated, by a newer program.
type NewerError struct {
	Found, Known int64 // schema versions: the store's, and the latest that this program has
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("The database was migrated by a newer latchkey: it has schema %d, this one knows schema %d. Upgrade the program.", e.Found, e.Known)
}

// The states of SQL that are told apart (PostgreSQL's appendix "Error Codes").
const (
	uniqueViolation  = "23505"
	divisionByZero   = "22012" // how a statement says that it did not change what it must; see exactly
	untranslatable   = "22021"
	readOnly         = "25006"
	lockTimeout      = "55P03"
	deadlock         = "40P01"
	duplicateTable   = "42P07"
	notPermitted     = "42501"
	serverSideErrors = "08 53 57 58 XX 25P03"
)

// errMissing is what a division by zero means.
var errMissing = errors.New("a row to be changed is not there")

var errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)

// fault gives an error of the server, or of the way to it, its meaning.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.Is(err, errColumn),
		errors.Is(err, errMissing), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if _, ok := errors.AsType[pgx.ScanArgError](err); ok {
		return fmt.Errorf("%w: %w", errColumn, err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && !unavailable(e) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// unavailable reports whether the server cannot do now what it could at another
// time: no connection, no space, shutting down, read-only, waited too long.
func unavailable(e *pgconn.PgError) bool {
	switch e.Code {
	case readOnly, lockTimeout, deadlock:
		return true
	}
	for class := range strings.FieldsSeq(serverSideErrors) {
		if strings.HasPrefix(e.Code, class) {
			return true
		}
	}
	return fatal(e)
}

// fatal reports whether the server ended the connection with this error.
func fatal(e *pgconn.PgError) bool { return e.SeverityUnlocalized != "ERROR" }

// certain reports whether a transaction that failed with err has surely not been
// committed: the server refused one of its statements, or none was sent.
func certain(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return !fatal(e)
	}
	return pgconn.SafeToRetry(err)
}

// refusal is why a row could not be written: a conflict that names the field.
func refusal(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fault(err)
	}
	switch e.Code {
	case uniqueViolation:
		return &store.ConflictError{Field: takenField(e.ConstraintName)}
	case divisionByZero:
		return errMissing
	}
	return fault(err)
}

// takenField is the field of a unique index.
func takenField(index string) string {
	switch index {
	case "secrets_kid", "secrets_pkey":
		return "kid"
	case "nonces_pkey":
		return "nonce"
	case "secrets_foreign":
		return "digest"
	}
	return index[strings.LastIndex(index, "_")+1:] // projects_name, users_email, roles_identifier, keys_id
}
