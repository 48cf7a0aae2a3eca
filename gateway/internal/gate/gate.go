// Package gate is what every face of gateways does between reading a request and
// answering it: who asks, which key, which route, the verdict, and who it is.
// What differs between the faces, how a request is told and an answer given, is
// theirs.
package gate

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/verify"
)

// TokenHeader is where a gateway shows its token, if not in the path.
const TokenHeader = "Latchkey-Gateway"

// maxVerifying is how many requests of a face may be in flight.
const maxVerifying = 1024

// Config is what a gate is made of. Every field is required but Observe.
type Config struct {
	Door       *door.Door
	Verifier   *verify.Verifier
	Gateways   *verify.Gateways
	Assertions *verify.Assertions
	Observe    func(latchkey.Code) // is told of every verdict; nil tells nobody
}

// Gate is safe for concurrent use.
type Gate struct {
	Config
	Verifying door.Bound
}

// New makes a gate.
func New(config Config) *Gate {
	if config.Observe == nil {
		config.Observe = func(latchkey.Code) {}
	}
	return &Gate{Config: config, Verifying: make(door.Bound, maxVerifying)}
}

// Codes of refusals that are no verdict on a key.
const (
	codeGateway = "gateway_unknown" // whoever asks is no gateway of ours, or does not show its token where it should
	codeRefused = "request_refused" // which request it is about cannot be told for sure
	codeNoRoute = "no_route"        // no route of the gateway is for it
)

// Refusal is why nothing is let through.
type Refusal struct {
	Code       string
	Status     int
	RetryAfter time.Duration // whole seconds, with 429 and when there is no place; 0: not said
}

// Unclear refuses what cannot be told for sure.
func Unclear() *Refusal { return &Refusal{Code: codeRefused, Status: http.StatusForbidden} }

// Stranger refuses whoever is no gateway.
func Stranger() *Refusal { return &Refusal{Code: codeGateway, Status: http.StatusForbidden} }

// Verdict is the refusal that a verdict is.
func Verdict(code latchkey.Code) *Refusal {
	no := &Refusal{Code: string(code), Status: code.HTTPStatus()}
	if no.Status == http.StatusTooManyRequests {
		no.RetryAfter = time.Second
	}
	return no
}

// Busy refuses what there is no place for.
func Busy() *Refusal {
	no := Verdict(latchkey.CodeVerifyUnavailable)
	no.RetryAfter = time.Second
	return no
}

// Find is the gateway that has the token and shows it at this place. Where many
// strangers came from one address (or one peer, where that cannot be told), they are told to wait; a gateway never is.
func (g *Gate) Find(ctx context.Context, shown latchkey.Plaintext, place latchkey.TokenPlace, origin Origin) (*latchkey.Gateway, *Refusal) {
	found, err := g.Gateways.Find(ctx, shown)
	switch {
	case errors.Is(err, verify.ErrNoGateway), err == nil && found.Place != place:
		return nil, g.Unknown(origin)
	case err != nil:
		g.fault(ctx, "want of the store", err)
		return nil, Verdict(latchkey.CodeVerifyUnavailable)
	}
	return found, nil
}

// Origin tells where whoever asks is, and the other end of the connection. It is
// asked about strangers alone.
type Origin func() (from, peer netip.Addr)

// Unknown refuses a stranger, and counts it.
func (g *Gate) Unknown(origin Origin) *Refusal {
	if wait, ok := g.Door.Failed(origin()); !ok {
		return &Refusal{Code: string(latchkey.CodeTooManyRequests), Status: http.StatusTooManyRequests, RetryAfter: wait}
	}
	return Stranger()
}

// fault logs what is ours.
func (g *Gate) fault(ctx context.Context, what string, err error) {
	if ctx.Err() == nil { // or the gateway hung up
		g.Door.Log.LogAttrs(ctx, slog.LevelError, "a gateway cannot be served", slog.String("for", what), slog.Any("error", err))
	}
}

// Inbound is the request that came to the gateway, as the gateway tells it.
type Inbound struct {
	Method, Host, Path string
	Query              string     // behind the question mark; a signature covers it
	Peer               netip.Addr // whoever connected to the gateway; the zero value cannot be told

	// Header are the headers of that request, by their names as net/http spells
	// them, or in lower case.
	Header map[string][]string
	Lower  bool

	// Proxied are the lines of the header in which the gateway's trusted proxies
	// write.
	Proxied []string
}

// PathOf is a request's target without its query. A target that is a whole URL
// (RFC 9112, section 3.2.2) is no path, and no route is for it.
func PathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

// QueryOf is what follows the path in a request's target, without the question
// mark.
func QueryOf(target string) string {
	_, query, _ := strings.Cut(target, "?")
	return query
}

// signature is what of the request its signature may cover; nil where it is not
// signed. Its fields come through the gateway as the client sent them. The body
// does not, so a request that may have one must be signed with its Content-Digest,
// which the API behind compares.
func (in *Inbound) signature() *verify.Message {
	inputs := in.lines("Signature-Input", "signature-input")
	if len(inputs) == 0 {
		return nil
	}
	return &verify.Message{
		Method: in.Method, Authority: in.Host, Path: in.Path, Query: in.Query,
		Input: strings.Join(inputs, ", "), Value: strings.Join(in.lines("Signature", "signature"), ", "),
		ContentDigest: strings.Join(in.lines("Content-Digest", "content-digest"), ", "),
	}
}

// lines are those of a header, by whichever spelling of its name is in use.
func (in *Inbound) lines(canonical, lower string) []string {
	if in.Lower {
		return in.Header[lower]
	}
	return in.Header[canonical]
}

// named are the lines of a header whose name is in lower case.
func (in *Inbound) named(lower string) []string {
	switch {
	case in.Lower:
		return in.Header[lower]
	case lower == authorization:
		return in.Header["Authorization"]
	}
	return in.Header[http.CanonicalHeaderKey(lower)]
}

const authorization = "authorization"

// Judge decides about the request that came to the gateway. A key that is not
// valid is told as such whatever it asked for.
func (g *Gate) Judge(ctx context.Context, to *latchkey.Gateway, in *Inbound) (Identity, *Refusal) {
	key, ok := keyOf(in, to.KeyHeaders)
	if !ok {
		g.Observe(latchkey.CodeMalformed)
		return Identity{}, Verdict(latchkey.CodeMalformed)
	}
	route, about, routed := to.Route(in.Method, in.Host, in.Path)
	question := verify.Request{Key: key, Environment: to.Environment, Address: to.Trust.ClientAddress(in.Peer, in.Proxied), Agent: agentOf(in), Signature: in.signature()}
	if !to.All {
		question.Within.Organization = to.Organization
	}
	if routed {
		question.Scopes, question.Resource = route.Scopes, about
	}
	var who verify.Identity
	v, matched := g.Verifier.VerifyInto(ctx, &question, &who)
	g.Observe(v.Code)
	switch {
	case v.Code != latchkey.CodeValid || !matched:
		return Identity{}, Verdict(v.Code)
	case !routed:
		return Identity{}, &Refusal{Code: codeNoRoute, Status: http.StatusForbidden}
	}
	return g.identify(ctx, to, &who)
}

// agentOf is how the client calls itself; "" where it does so in two ways.
func agentOf(in *Inbound) string {
	if lines := in.lines("User-Agent", "user-agent"); len(lines) == 1 {
		return lines[0]
	}
	return ""
}

// identify spells who it is, with the assertion where the gateway has one told.
func (g *Gate) identify(ctx context.Context, to *latchkey.Gateway, who *verify.Identity) (Identity, *Refusal) {
	told := spell(who)
	if to.Audience == "" {
		return told, nil
	}
	signed, err := g.Assertions.Of(ctx, verify.Assertion{
		Audience: to.Audience, Subject: told[subject], Key: told[keyID], Organization: told[organization],
		Partner: who.Key.Partner, Role: told[role], Scope: told[scopes],
	}, who.ExpiresAt())
	switch {
	case errors.Is(err, verify.ErrEnds):
		return Identity{}, Verdict(latchkey.CodeExpired)
	case err != nil:
		g.fault(ctx, "want of an assertion", err)
		return Identity{}, Verdict(latchkey.CodeVerifyUnavailable)
	}
	told[signedAssertion] = signed.Expose()
	return told, nil
}

// keyOf reads the client's key. ok is false where there is none, where a header
// that may hold one is there twice or holds something else, and where two hold
// different ones.
func keyOf(in *Inbound, names []string) (key latchkey.Plaintext, ok bool) {
	for _, name := range names {
		values := in.named(name)
		if len(values) == 0 {
			continue
		}
		var shown latchkey.Plaintext
		if name == authorization {
			shown, _ = door.BearerOf(values)
		} else if len(values) == 1 {
			shown = latchkey.NewPlaintext(values[0])
		}
		if shown.Empty() || ok && shown.Expose() != key.Expose() {
			return latchkey.Plaintext{}, false
		}
		key, ok = shown, true
	}
	return key, ok
}
