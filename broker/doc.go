// Package broker does at brokers what follows from changes here: a partner's key
// gets its virtual host, and when a key may do less its connections are closed.
// Package gateway/rabbitmq is the other half, which answers what brokers ask.
//
// It follows the record of changes and turns events into errands, which the
// store keeps until they were done: a process that dies, or a broker that is
// away, delays them and loses none. Doing one twice does no harm, so nodes need
// no agreement. A login that was allowed just before a change may show among the
// connections just after it, so those are looked for again 1, 5 and 30 seconds
// later, and every minute each open connection is asked about as if it came anew.
//
// It calls the URLs that the operator gave and nothing else: it follows no
// redirection, uses no proxy, and connects to no link-local address.
package broker
