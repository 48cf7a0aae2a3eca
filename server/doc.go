// Package server puts the parts together: a store, the key ring, the authority
// and the native API, behind a network listener and the socket on which the
// operator's command line works.
//
// It promises:
//   - Nothing is answered before the store, the key ring and every listener are
//     in order, and what is half set (a certificate without its key, trusted
//     proxies without their header) refuses to start.
//   - A store that is empty is made into an installation, once; a key ring is
//     made for an empty store only, before the store knows of it. No credential
//     is printed or logged, and only [Init] hands one out, to its caller.
//   - The socket is never open to another user, not even for a moment, and takes
//     the place of a dead server's but never of a live one's.
//   - [Server.Wait] answers what was accepted, within Config.StopTimeout; then
//     it writes what verification left to be written and closes the store.
//   - A certificate that is replaced by a broken one, or a key ring file that
//     is damaged or too old, is logged and not taken up.
//
// It fails with a [*Problem], or with an error of the store's driver, the key
// ring or the authority; each says what to do.
//
// It does not know any driver ([Config.OpenStore] opens the store), reads no
// environment and handles no signals: those are the command's.
package server
