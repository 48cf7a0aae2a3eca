package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	driverlib "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"latchkey.dev/latchkey/store"
)

// InUseError says that another process has the folder.
type InUseError struct {
	Dir string
	PID int // of that process; 0 if it did not say
}

// Error implements error.
func (e *InUseError) Error() string {
	by := "another process"
	if e.PID != 0 {
		by = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("the folder %s is in use by %s: stop it first, or choose another folder; one process serves a folder at a time", e.Dir, by)
}

// NewerError says that the store was made, or migrated, by a newer program.
type NewerError struct {
	Path         string
	Found, Known int64 // schema versions: the store's, and the latest that this program has
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("%s was made by a newer latchkey: it has schema %d, this one knows schema %d; upgrade the program", e.Path, e.Found, e.Known)
}

// DamagedError says that the file is not a store, or no longer one.
type DamagedError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged or no store of ours (%v): move it away together with its -wal and -shm files, and restore it from a backup", e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// FolderError says that the folder, or a file in it, cannot be made or written.
type FolderError struct {
	Dir string
	Err error
}

// Error implements error.
func (e *FolderError) Error() string {
	return fmt.Sprintf("the folder %s cannot be written (%v): give this user the right to write in it, free space on its disk, or choose another folder", e.Dir, e.Err)
}

// Unwrap gives the cause.
func (e *FolderError) Unwrap() error { return e.Err }

// errForeign is what a SQLite file of another program is damaged by.
var errForeign = errors.New("it belongs to another program")

// opening puts a failure to open the store at path into one of the types above.
func opening(path string, err error) error {
	switch primary(err) {
	case lib.SQLITE_NOTADB, lib.SQLITE_CORRUPT:
		return &DamagedError{Path: path, Err: err}
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_FULL, lib.SQLITE_IOERR:
		return &FolderError{Dir: filepath.Dir(path), Err: err}
	}
	if errors.Is(err, errForeign) {
		return &DamagedError{Path: path, Err: err}
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return &FolderError{Dir: filepath.Dir(path), Err: err}
	}
	return err
}

// fault marks the errors of a file that cannot be read or written now.
func fault(err error) error {
	switch primary(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_BUSY,
		lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL, lib.SQLITE_NOMEM, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// primary is SQLite's result code without its extension, 0 for other errors.
func primary(err error) int { return code(err) & 0xff }

// code is SQLite's extended result code, 0 for other errors.
func code(err error) int {
	if e, ok := errors.AsType[*driverlib.Error](err); ok {
		return e.Code()
	}
	return 0
}

// unique reports whether err says that a value is taken.
func unique(err error) bool {
	c := code(err)
	return c == lib.SQLITE_CONSTRAINT_UNIQUE || c == lib.SQLITE_CONSTRAINT_PRIMARYKEY
}
