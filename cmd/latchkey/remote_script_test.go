package main

import (
	"os"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// identity FILE VARIABLE: writes a new age identity to the file and sets the
// variable to its public key.
func scriptIdentity(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: identity FILE VARIABLE")
	}
	identity, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("# made for this test\n"+identity.String()+"\n"), 0o600))
	ts.Setenv(args[1], identity.Recipient().String())
}
