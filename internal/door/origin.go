package door

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Base is the URL under which the client reaches us, without a slash at the end:
// public, or where that is "" the request's own word, which counts for the client
// that sent it and nobody else.
func Base(r *http.Request, public string) string {
	if public != "" {
		return public
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// Issuer is Base for what others read: nobody makes us sign for a host of their
// choice. A request's word is taken where it says that it went to this machine;
// elsewhere it is own, where we listen.
func Issuer(r *http.Request, public, own string) string {
	if public == "" && !local(r.Host) {
		return own
	}
	return Base(r, public)
}

// local reports whether a Host names the machine itself.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	at, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && at.IsLoopback()
}
