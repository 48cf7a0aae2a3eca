package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run this test binary under the name of the command, so they test
// the real program, with the race detector if the tests have it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main})
}

// hastily spares every process the second for which the race detector sleeps
// before it ends.
const hastily = "GORACE=atexit_sleep_ms=0"

// TestScripts runs the journeys in testdata/script. Beside testscript's own
// commands they have those of script_test.go.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, hastily)
			env.Values[processesKey{}] = processes{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":        scriptStart,
			"signal":       scriptSignal,
			"ended":        scriptEnded,
			"http":         scriptHTTP,
			"upload":       scriptUpload,
			"json":         scriptJSON,
			"sql":          scriptSQL,
			"certificate":  scriptCertificate,
			"serves":       scriptServes,
			"until":        scriptUntil,
			"unprivileged": scriptUnprivileged,
			"mode":         scriptMode,
			"follow":       scriptFollow,
			"contents":     scriptContents,
			"status":       scriptStatus,
			"identity":     scriptIdentity,
			"database":     scriptDatabase,
		},
	})
}
