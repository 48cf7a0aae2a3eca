package latchkey

import (
	"slices"
	"strings"
)

// Gateway is what stands before somebody's API and asks, for each request that
// comes to it, whether the key in that request may do this. What is required is
// said here and never by the request.
type Gateway struct {
	ID           ID
	Organization ID // whose it is, and whose keys it verifies
	Name         string
	Profile      Profile
	All          bool        // verifies every organization's keys; the operator's alone
	Environment  Environment // required of keys; "" for either
	Place        TokenPlace
	KeyHeaders   []string   // where a client's key is looked for, in lower case; "authorization" is Bearer
	Routes       []Route    // the first that matches a request says what is required; none: refused
	Trust        ProxyTrust // the proxies before the gateway; the zero value: whoever connects to it is the client
	Audience     string     // of the assertion that the API behind it is told; "": none is told
	Management   Management // of a broker alone: how we reach it
	Token        GatewayToken
	Record
}

// GatewayToken is a gateway's own credential, as it is kept. It is written like
// a native key, with GatewayPrefix.
type GatewayToken struct {
	KID    KID
	Pepper int // version of the key ring
	Digest [32]byte
}

// GatewayPrefix begins every gateway's token.
const GatewayPrefix = "lkgw"

// Profile is a kind of gateway: how it tells which request came to it.
type Profile string

// The profiles.
const (
	ProfileNginx   Profile = "nginx"      // auth_request
	ProfileTraefik Profile = "traefik"    // ForwardAuth
	ProfileCaddy   Profile = "caddy"      // forward_auth
	ProfileHAProxy Profile = "haproxy"    // the Lua action in examples/haproxy
	ProfileEnvoy   Profile = "envoy-http" // ext_authz over HTTP
	ProfileGRPC    Profile = "envoy-grpc" // ext_authz over gRPC

	ProfileRabbitMQ Profile = "rabbitmq" // a broker: rabbitmq_auth_backend_http
)

// Profiles are all of them.
func Profiles() []Profile {
	return []Profile{ProfileNginx, ProfileTraefik, ProfileCaddy, ProfileHAProxy, ProfileEnvoy, ProfileGRPC, ProfileRabbitMQ}
}

// Valid reports whether p is one of the profiles.
func (p Profile) Valid() bool { return slices.Contains(Profiles(), p) }

// TellsItself reports whether gateways of the profile write the client's address
// into the header, so that no proxy before them can.
func (p Profile) TellsItself(h ProxyHeader) bool {
	return h == HeaderRealIP && (p == ProfileNginx || p == ProfileHAProxy)
}

// TokenPlace is where a gateway shows its token.
type TokenPlace string

// The places.
const (
	TokenInPath   TokenPlace = "path"
	TokenInHeader TokenPlace = "header"
)

// Valid reports whether p is one of the places.
func (p TokenPlace) Valid() bool { return p == TokenInPath || p == TokenInHeader }

// Route is what a gateway requires of some of the requests that come to it.
// Stores keep routes by the names of these fields.
type Route struct {
	Methods  []string // empty: every method
	Host     string   // "": every host. Lower case, without a port; "*.example.com" is each name below
	Path     string   // "/v1/plants/{plant}/readings"; {…} is any one segment, a last * any rest
	Scopes   Requirement
	Resource Resource // its ID may be a {…} of the path; zero: none is asked about
}

// Bounds of a gateway.
const (
	MaxGateways     = 100   // of an organization
	MaxRoutes       = 100   // of a gateway
	MaxKeyHeaders   = 4     // of a gateway
	MaxRouteLen     = 512   // bytes of a route's path or host
	MaxPathSegments = 64    // of a route, and of a request that can match one
	MaxMethods      = 16    // of a route
	MaxAudience     = 255   // bytes of an assertion's audience
	maxRequestPath  = 8_192 // bytes of a request's path that can match a route
)

// CheckRoute says what is wrong with a route, or nil.
func CheckRoute(r *Route) *FieldError {
	if len(r.Methods) > MaxMethods {
		return &FieldError{Pointer: "/methods", Code: "too_many", Detail: "A route has at most 16 methods; none stand for all."}
	}
	for _, m := range r.Methods {
		if m == "" || len(m) > 32 || strings.ContainsFunc(m, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '-' }) {
			return &FieldError{Pointer: "/methods", Code: "format", Detail: "A method is upper-case letters and '-'."}
		}
	}
	if host, _ := strings.CutPrefix(r.Host, "*."); r.Host != "" && (host == "" || len(r.Host) > MaxRouteLen || host != cleanHost(host)) {
		return &FieldError{Pointer: "/host", Code: "format", Detail: "A host is a lower-case name without a port, such as api.example.com or *.example.com."}
	}
	names, found := checkPattern(r.Path)
	if found != nil {
		return found
	}
	return checkTemplate(r.Resource, names)
}

func checkPattern(path string) (names []string, _ *FieldError) {
	wrong := func(detail string) *FieldError { return &FieldError{Pointer: "/path", Code: "format", Detail: detail} }
	if len(path) > MaxRouteLen {
		return nil, &FieldError{Pointer: "/path", Code: "length", Detail: "A route's path is at most 512 bytes."}
	}
	var s Segments
	if !strings.Contains(path, "%") && !s.Parse(path) || strings.Contains(path, "%") {
		return nil, wrong("A route's path begins with '/' and has no empty, '.' or '..' segments, no '%', '\\' or ';', and at most 64 segments.")
	}
	for i, segment := range s.list() {
		name, isName := placeholder(segment)
		switch {
		case isName && (name == "" || strings.ContainsAny(name, "{}*")):
			return nil, wrong("A placeholder of a route's path is {name}.")
		case isName:
			names = append(names, name)
		case segment == "*" && i == s.n-1:
		case strings.ContainsAny(segment, "{}*"):
			return nil, wrong("A placeholder is a whole segment of a route's path, and '*' its last one.")
		}
	}
	return names, nil
}

func checkTemplate(r Resource, names []string) *FieldError {
	if r == (Resource{}) {
		return nil
	}
	if r.Type == "" || r.ID == "" || len(r.Type) > MaxResourceLen || len(r.ID) > MaxResourceLen {
		return &FieldError{Pointer: "/resource", Code: "length", Detail: "A resource has a type and an id of 1 to 128 bytes each."}
	}
	name, isName := placeholder(r.ID)
	if !isName {
		return nil
	}
	if slices.Contains(names, name) {
		return nil
	}
	return &FieldError{Pointer: "/resource/id", Code: "unknown", Detail: "The route's path has no placeholder of this name."}
}

func placeholder(segment string) (name string, ok bool) {
	if len(segment) < 2 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false
	}
	return segment[1 : len(segment)-1], true
}

// cleanHost is a host in lower case, without port and final dot; "" for what is
// no host.
func cleanHost(host string) string {
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 || host[end+1:] != "" && !isPort(host[end+1:]) {
			return ""
		}
		host = host[:end+1]
	} else if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		if !isPort(host[colon:]) {
			return ""
		}
		host = host[:colon]
	}
	host = strings.TrimSuffix(host, ".")
	if strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		return "" // equal to no name, and to some server still the same one
	}
	for i := range len(host) {
		c := host[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("-._[]:", rune(c)) {
			return ""
		}
	}
	return strings.ToLower(host)
}

func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Segments are the segments of a request's path, decoded.
type Segments struct {
	of [MaxPathSegments]string
	n  int
}

func (s *Segments) list() []string { return s.of[:s.n] }

// Parse takes a path apart as it was sent, without its query. It is false for a
// path that servers read in more than one way, and for one that no server should
// see: with segments that are empty, "." or "..", an encoded or bare backslash,
// slash or control character, a ';', or what is no encoding (RFC 3986, section
// 2.1). One slash at the end changes nothing.
func (s *Segments) Parse(path string) bool {
	s.n = 0
	if len(path) > maxRequestPath || !strings.HasPrefix(path, "/") {
		return false
	}
	if path = strings.TrimSuffix(path[1:], "/"); path == "" {
		return true
	}
	for more := true; more; {
		var segment string
		segment, path, more = strings.Cut(path, "/")
		segment, ok := decodeSegment(segment)
		if !ok || s.n == MaxPathSegments {
			return false
		}
		s.of[s.n] = segment
		s.n++
	}
	return true
}

func decodeSegment(segment string) (string, bool) {
	if strings.IndexByte(segment, '%') >= 0 {
		decoded := make([]byte, 0, len(segment))
		for i := 0; i < len(segment); i++ {
			c := segment[i]
			if c == '%' {
				if i+2 >= len(segment) {
					return "", false
				}
				high, low := hexDigit(segment[i+1]), hexDigit(segment[i+2])
				if high < 0 || low < 0 {
					return "", false
				}
				c = byte(high<<4 | low) //nolint:gosec // two digits of four bits
				if c == '%' {           // encoded twice
					return "", false
				}
				i += 2
			}
			decoded = append(decoded, c)
		}
		segment = string(decoded)
	}
	if segment == "" || segment == "." || segment == ".." {
		return "", false
	}
	for i := range len(segment) {
		if c := segment[i]; c < ' ' || c == 0x7f || c == '/' || c == '\\' || c == ';' || c == '?' || c == '#' {
			return "", false
		}
	}
	return segment, true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Route finds what is required of a request: the first route that matches it,
// and the resource that it is about. ok is false where no route matches.
func (g *Gateway) Route(method, host, path string) (route *Route, about Resource, ok bool) {
	var s Segments
	host = cleanHost(host)
	if host == "" || !s.Parse(path) {
		return nil, Resource{}, false
	}
	for i := range g.Routes {
		r := &g.Routes[i]
		if !r.takes(method) || !r.isAt(host) || !s.match(r.Path, nil) {
			continue
		}
		about := r.Resource
		if name, isName := placeholder(about.ID); isName {
			s.match(r.Path, func(placed, value string) {
				if placed == name {
					about.ID = value
				}
			})
		}
		return r, about, len(about.ID) <= MaxResourceLen
	}
	return nil, Resource{}, false
}

func (r *Route) takes(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method)
}

func (r *Route) isAt(host string) bool {
	if below, wild := strings.CutPrefix(r.Host, "*"); wild {
		return len(host) > len(below) && strings.HasSuffix(host, below)
	}
	return r.Host == "" || r.Host == host
}

// match holds the segments against a route's path, which was checked. fill is
// told of each placeholder; nil tells nobody.
func (s *Segments) match(pattern string, fill func(name, value string)) bool {
	pattern = strings.TrimSuffix(pattern[1:], "/")
	i := 0
	for more := pattern != ""; more; i++ {
		var want string
		want, pattern, more = strings.Cut(pattern, "/")
		if want == "*" {
			return true
		}
		if i == s.n {
			return false
		}
		name, isName := placeholder(want)
		if isName && fill != nil {
			fill(name, s.of[i])
		}
		if !isName && want != s.of[i] {
			return false
		}
	}
	return i == s.n
}
