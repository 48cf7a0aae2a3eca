// Package body is the one door through which a JSON request body comes in and a
// JSON answer goes out, for the native API and for every dialect.
//
// It promises that what [Decode] accepts has one meaning only: one JSON text
// (RFC 8259) in valid UTF-8, without duplicate members, unpaired surrogates,
// U+0000 or trailing data, nested at most [MaxDepth] deep, whose every member
// is known to the destination by its exact spelling and of its type. It
// promises that [Read] holds at most the given number of bytes in memory, and
// that [Write] sends a whole answer or none.
//
// It fails with [*latchkey.Error]: unsupported_media_type, too_large, or
// malformed_body with one field error, whose pointer says where and whose code
// is one of the Rule constants. No message repeats a value. A pointer repeats
// member names, but only printable ones that are too short to be a secret; past
// the first other name it stops, and so names the enclosing value.
//
// What a null means is decided by the Go type. It is nil for a pointer, a
// slice, a map or an interface, and itself for [Optional]; anything else
// refuses it with wrong_type, for a silent zero would be a value that nobody
// sent. A wire type with its own UnmarshalJSON or UnmarshalJSONFrom decides for
// itself; one with UnmarshalText never sees null.
//
// It does not know which members are required or what their bounds are: those
// are rules of the operation (code invalid), told after the body was read.
package body
