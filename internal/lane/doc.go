// Package lane answers a few requests without net/http's connection loop, and
// leaves everything else to it.
//
// Of what a verification costs, that loop is the larger part: for each request it
// starts a read on a goroutine of its own, to hear when the client hangs up, and
// stops it again. A [Lane] is a listener between the network and an [http.Server].
// It watches each connection for the requests that it was told of, in their plain
// form, and calls the server's handler for them in the connection's one goroutine.
// The first request that is anything else goes to the server with its connection,
// all bytes unread; the connection does not come back.
//
// No parser here has an opinion of its own. What stands before a request's body is
// looked at (see plain) only to be sure that it is of the one form about which
// nobody disagrees; then http.ReadRequest reads it. A request that is refused, too
// large, too slow, in HTTP/1.0 or HTTP/2, chunked, upgraded or merely odd is seen
// by the server alone.
//
// What a handler can tell: the request's context does not end when the client hangs
// up, but when the connection does; an answer is held back until the handler returns,
// unless it is large; there is no Flush and no Hijack.
package lane
