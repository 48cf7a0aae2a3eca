package main

import (
	"os"
	"os/exec"
	"runtime"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// unprivileged ARGS...: runs latchkey bound by file permissions even for root,
// whose right to ignore them is dropped. It must fail; its output is stdout and
// stderr.
func scriptUnprivileged(ts *testscript.TestScript, neg bool, args []string) {
	if !neg {
		ts.Fatalf("usage: ! unprivileged ARGS...")
	}
	cmd := exec.Command("latchkey", args...)
	cmd.Env = append(os.Environ(), hastily)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), ts.Stdout(), ts.Stderr()
	done := make(chan error)
	go func() {
		// The thread is not unlocked, so it ends with the goroutine and takes
		// its lack of rights with it.
		runtime.LockOSThread()
		if unix.Geteuid() == 0 {
			for _, right := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, right, 0, 0, 0); err != nil {
					done <- err
					return
				}
			}
		}
		done <- cmd.Run()
	}()
	if err := <-done; cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exitFailure {
		ts.Fatalf("latchkey ended otherwise than with status %d: %v", exitFailure, err)
	}
}
