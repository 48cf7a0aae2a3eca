// Package latchkey is the domain of the API-key authority: what a key, a
// secret, a role, a restriction and an event are, which strings name them, and
// which answer a presented key deserves.
//
// It promises to be pure. Nothing here reads a clock, a file, a network or a
// database: times are arguments, randomness is an io.Reader, and [Decide] gives
// the same verdict for the same input forever. It knows no wire form either:
// the packages at the edges (rest, dialect, gateway) have their own types and
// translate.
//
// It fails with [*Error], whose codes are a closed set; every edge translates
// each code exactly once.
package latchkey
