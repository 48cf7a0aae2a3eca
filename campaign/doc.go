// Package campaign breaks a running Latchkey, again and again, and looks whether
// anything that it acknowledged is lost: processes are killed, disks are full,
// databases go away. It sees what clients see: the built program, over HTTP.
//
// Each campaign is a test. `make test` runs a few rounds of each; a make target
// of its own runs as many as are worth believing, with progress, and goes on
// where it was interrupted (-state).
package campaign
