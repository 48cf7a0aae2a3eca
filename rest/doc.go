// Package rest is the native HTTP API, /v1. It is a peer of the dialects: it
// translates between the wire and the authority and has no private door into
// anything.
//
// It promises JSON in and out with snake_case names; every refusal as problem
// details (RFC 9457) with a code of a closed set; 400 for what cannot be read,
// 422 for what was read and breaks a rule; `Cache-Control: no-store`; and that
// an operation that is not declared in [API.operations] with the permission it
// needs does not exist. The same declarations make /openapi.json, so the two
// cannot differ.
//
// Adding a list filter: a field of authority.KeyFilter, a line in listKeys
// (keys.go) and one in its parameters (operations.go), a column in the driver's
// query.
package rest
