package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
)

// environment is the process as the commands see it, so that nothing but main
// touches the real one. Standard output is for what was asked for; everything
// else (progress, advice, errors) goes to standard error.
type environment struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(name string) string // "" for what is not set; one that is set to nothing counts as not set

	// The flags that every command has; they are set when a command's RunE runs.
	Data string // --data, else LATCHKEY_DATA, else defaultData
	JSON bool   // --json
}

const defaultData = server.DefaultData

// socket is the path of the server's own socket.
func (e *environment) socket() string { return filepath.Join(e.Data, "latchkey.sock") }

// isTerminal reports whether a person sees what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// The exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the command line itself is wrong; nothing was tried
)

// failure is what a command that did not succeed tells: one line that says what
// happened and one that says what to do about it. A RunE returns it for
// everything that it can give advice on; the exit status is 1.
type failure struct {
	What  string
	Do    string // may be empty
	Cause error  // for errors.Is; never printed
}

// Error implements error, with both lines.
func (f *failure) Error() string {
	if f.Do == "" {
		return f.What
	}
	return f.What + "\n" + f.Do
}

// Unwrap gives the cause to errors.Is and errors.As.
func (f *failure) Unwrap() error { return f.Cause }

// usageError is a command line that cannot be meant; the exit status is 2.
// Whatever fails before a RunE begins is one by itself.
type usageError struct{ what string }

// Error implements error.
func (u *usageError) Error() string { return u.what }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exitStatus is what the process answers for err.
func exitStatus(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

// explain is err for a person. A refusal of the domain shows what is meant to
// be shown and not its cause.
func explain(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.Error()
	}
	e, ok := errors.AsType[*latchkey.Error](err)
	if !ok || e.Code == latchkey.CodeInternal {
		return err.Error()
	}
	lines := []string{e.Detail}
	if len(e.Fields) > 0 {
		lines = nil
		for _, f := range e.Fields {
			lines = append(lines, f.Pointer+": "+f.Detail)
		}
	}
	return strings.Join(lines, "\n")
}
