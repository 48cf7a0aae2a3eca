// Package signature reads signed HTTP requests (RFC 9421) and says whether a key
// signed them.
//
// It knows one profile, apikey-v1: the signature with the label sig1 covers the
// method, the authority, the path and the query, and the digest of the body (RFC
// 9530) where there is one; it says when it was made, by which key, and a nonce.
// What is not exactly so is refused, with the reason: other components, unknown
// parameters, anything twice.
//
// It is pure. It reads no clock, so whether a signature is too old, and whether
// its nonce was seen before, is for whoever asks: [Signed] has both.
package signature
