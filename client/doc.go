// Package client speaks the native API of a Latchkey server, over HTTP or over
// the server's own Unix socket. It knows only the wire: the standard library is
// all that it imports.
//
// It promises:
//   - A call that was refused gives an [*Error] with the server's code, one that
//     got no answer a [*TransportError], which says whether a change may have
//     been made all the same.
//   - A call is repeated only where that is safe: reading, verifying and
//     revoking are, and creating is because each creating call carries an
//     Idempotency-Key. The repetitions are few, spread out, and wait as long as
//     the server asks, within bounds.
//   - A credential goes to the given server alone. Redirects are not followed,
//     and a token is not sent over plain HTTP to another machine unless
//     [Options] says so.
//   - An answer is read up to a bound, and no further.
//   - A secret is a [Secret] wherever it is held, and shows itself only when
//     asked by [Secret.Expose]. So is the text of an answer, a [Raw].
//
// It does not check what it sends: the rules are the server's, and an [*Error]
// tells them. It keeps nothing between calls but connections, and it does not
// understand fields that a later server adds; [Answer.Raw] has them.
//
// A [Guard] is net/http middleware that lets in the requests whose key may, and
// tells the handler who it is; package grpcauth beside this one does that for gRPC.
//
// A [Client] is safe for concurrent use.
package client
