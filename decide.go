package latchkey

import (
	"net/netip"
	"time"
)

// Code is the outcome of a verification. The set is closed.
type Code string

// The verdicts, in the order in which they are decided after CodeValid.
const (
	CodeValid              Code = "valid"
	CodeMalformed          Code = "malformed"
	CodeUnknown            Code = "unknown"
	CodeRevoked            Code = "revoked"
	CodeDisabled           Code = "disabled"
	CodeExpired            Code = "expired"
	CodeWrongEnvironment   Code = "wrong_environment"
	CodeIPNotAllowed       Code = "ip_not_allowed"
	CodeSignatureRequired  Code = "signature_required"
	CodeSignatureInvalid   Code = "signature_invalid"
	CodeResourceNotAllowed Code = "resource_not_allowed"
	CodeInsufficientScope  Code = "insufficient_scope"
	CodeRateLimited        Code = "rate_limited"   // reserved
	CodeQuotaExceeded      Code = "quota_exceeded" // reserved
	CodeVerifyUnavailable  Code = "unavailable"    // nothing can be said now; treat as a refusal
)

// Codes lists the closed set.
func Codes() []Code {
	return []Code{
		CodeValid, CodeMalformed, CodeUnknown, CodeRevoked, CodeDisabled, CodeExpired, CodeWrongEnvironment,
		CodeIPNotAllowed, CodeSignatureRequired, CodeSignatureInvalid, CodeResourceNotAllowed, CodeInsufficientScope,
		CodeRateLimited, CodeQuotaExceeded, CodeVerifyUnavailable,
	}
}

// HTTPStatus is the status where a verdict has to be told as one (RFC 9110,
// sections 15.5.2 and 15.5.4; RFC 6585, section 4).
func (c Code) HTTPStatus() int {
	switch c {
	case CodeValid:
		return 200
	case CodeMalformed, CodeUnknown, CodeRevoked, CodeDisabled, CodeExpired, CodeSignatureRequired, CodeSignatureInvalid:
		return 401
	case CodeWrongEnvironment, CodeIPNotAllowed, CodeResourceNotAllowed, CodeInsufficientScope:
		return 403
	case CodeRateLimited, CodeQuotaExceeded:
		return 429
	case CodeVerifyUnavailable:
		return 503
	}
	return 503
}

// Grant is what many keys have in common and a verification needs: effective
// permissions, restrictions, and whether the owner or organization is
// suspended. It is resolved when it is loaded and shared, never copied.
type Grant struct {
	Suspended   bool // the owner, its absence included, or the organization
	Permissions Permissions
	Rank        int
	Addresses   AddressList
	Resources   Resources
}

// Powers is what a credential with this grant may do.
func (g *Grant) Powers() Powers { return Powers{g.Permissions, g.Rank} }

// Entry is one secret as verification sees it.
type Entry struct {
	Grant         *Grant
	Environment   Environment
	Enabled       bool
	Revoked       bool
	KeyExpires    time.Time // zero: never
	SecretExpires time.Time // zero: with its key
	Signing       SigningMode
}

// Presence is what became of the signature of the request with which a key was
// presented.
type Presence int

// The zero value is a request that is not signed, as far as anyone looked.
const (
	SignatureAbsent Presence = iota
	SignatureHolds
	SignatureFails
)

// Attempt is what was presented and what is asked of it.
type Attempt struct {
	WellFormed  bool        // shape and checksum held, or a foreign digest was found
	Match       bool        // the digest is the entry's
	Environment Environment // required; "" for either
	Address     netip.Addr  // the client's; the zero value is undetermined
	Signature   Presence    // not looked at where the key does not sign
	Fault       string      // why the signature fails, in words for the key's holder
	Anywhere    bool        // the address is not asked about: whoever asks does so in another question
	Resource    Resource    // the zero value names none
	Scopes      Requirement
}

// Check is one step of the decision.
type Check int

// The checks in the order in which they are made.
const (
	CheckShape Check = iota
	CheckKID
	CheckDigest
	CheckRevoked
	CheckDisabled
	CheckExpired
	CheckEnvironment
	CheckAddress
	CheckSignature
	CheckResource
	CheckScopes
	checkEnd
)

// String names the check as explanations do.
func (c Check) String() string {
	switch c {
	case CheckShape:
		return "shape"
	case CheckKID:
		return "kid"
	case CheckDigest:
		return "digest"
	case CheckRevoked:
		return "revoked"
	case CheckDisabled:
		return "disabled"
	case CheckExpired:
		return "expired"
	case CheckEnvironment:
		return "environment"
	case CheckAddress:
		return "address"
	case CheckSignature:
		return "signature"
	case CheckResource:
		return "resource"
	case CheckScopes:
		return "scopes"
	case checkEnd:
	}
	return "none"
}

// Decide gives the verdict on an attempt against the entry that its kid names;
// entry is nil where there is none. The first check that fails decides. It
// reads nothing else and allocates nothing, unless a plant's id is in upper case.
func Decide(entry *Entry, attempt *Attempt, now time.Time) Code {
	switch {
	case !attempt.WellFormed:
		return CheckShape.refusal(attempt)
	case entry == nil:
		return CheckKID.refusal(attempt)
	case !attempt.Match:
		return CheckDigest.refusal(attempt)
	case entry.Revoked:
		return CheckRevoked.refusal(attempt)
	case entry.disabled():
		return CheckDisabled.refusal(attempt)
	case entry.expired(now):
		return CheckExpired.refusal(attempt)
	case !entry.in(attempt.Environment):
		return CheckEnvironment.refusal(attempt)
	case !entry.at(attempt):
		return CheckAddress.refusal(attempt)
	case !entry.signed(attempt.Signature):
		return CheckSignature.refusal(attempt)
	case !entry.allows(attempt.Resource):
		return CheckResource.refusal(attempt)
	case !attempt.Scopes.MetBy(entry.Grant.Permissions):
		return CheckScopes.refusal(attempt)
	}
	return CodeValid
}

func (e *Entry) disabled() bool { return !e.Enabled || e.Grant.Suspended }

func (e *Entry) expired(now time.Time) bool {
	return passed(e.KeyExpires, now) || passed(e.SecretExpires, now)
}

func (e *Entry) in(required Environment) bool { return required == "" || required == e.Environment }

func (e *Entry) at(a *Attempt) bool { return a.Anywhere || e.Grant.Addresses.Allows(a.Address) }

func (e *Entry) signed(p Presence) bool {
	return e.Signing == SigningOff || p == SignatureHolds || e.Signing == SigningOptional && p == SignatureAbsent
}

func (e *Entry) allows(r Resource) bool { return r == Resource{} || e.Grant.Resources.Allow(r) }

// passes reports whether a check passes or does not apply, whatever became of the
// others. Those after CheckKID need an entry.
func (c Check) passes(e *Entry, a *Attempt, now time.Time) bool {
	switch c {
	case CheckShape:
		return a.WellFormed
	case CheckKID:
		return e != nil
	case CheckDigest:
		return a.Match
	case CheckRevoked:
		return !e.Revoked
	case CheckDisabled:
		return !e.disabled()
	case CheckExpired:
		return !e.expired(now)
	case CheckEnvironment:
		return e.in(a.Environment)
	case CheckAddress:
		return e.at(a)
	case CheckSignature:
		return e.signed(a.Signature)
	case CheckResource:
		return e.allows(a.Resource)
	case CheckScopes:
		return a.Scopes.MetBy(e.Grant.Permissions)
	case checkEnd:
	}
	return false
}

// refusal is the verdict where the check fails.
func (c Check) refusal(a *Attempt) Code {
	switch c {
	case CheckShape:
		return CodeMalformed
	case CheckKID, CheckDigest:
		return CodeUnknown
	case CheckRevoked:
		return CodeRevoked
	case CheckDisabled:
		return CodeDisabled
	case CheckExpired:
		return CodeExpired
	case CheckEnvironment:
		return CodeWrongEnvironment
	case CheckAddress:
		return CodeIPNotAllowed
	case CheckSignature:
		if a.Signature == SignatureAbsent {
			return CodeSignatureRequired
		}
		return CodeSignatureInvalid
	case CheckResource:
		return CodeResourceNotAllowed
	case CheckScopes:
		return CodeInsufficientScope
	case checkEnd:
	}
	return CodeUnknown
}

// Outcome is how a check went.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	NotAsked   Outcome = "not_asked"   // the request or the key has nothing for it to compare
	NotReached Outcome = "not_reached" // nothing is told of a key before its digest matched
)

// Explanation is one check with its outcome, in words for the key's issuer.
type Explanation struct {
	Check   Check
	Outcome Outcome
	Detail  string
}

// Explain runs every check and reports each, where [Decide] stops at the first
// failure. Nothing is told about a key whose digest did not match.
func Explain(entry *Entry, attempt *Attempt, now time.Time) []Explanation {
	all := make([]Explanation, 0, checkEnd)
	reached := true
	for c := range checkEnd {
		x := Explanation{Check: c, Outcome: NotReached, Detail: "not reached: the presented key is not a known one"}
		if reached {
			x.Outcome, x.Detail = c.explain(entry, attempt, now)
			reached = x.Outcome != Failed || c > CheckDigest
		}
		all = append(all, x)
	}
	return all
}

func (c Check) explain(e *Entry, a *Attempt, now time.Time) (Outcome, string) {
	failed := !c.passes(e, a, now)
	pick := func(good, bad string) (Outcome, string) {
		if failed {
			return Failed, bad
		}
		return Passed, good
	}
	switch c {
	case CheckShape:
		return pick("shape and checksum hold", "not the shape of a key, or the checksum does not match: mistyped or cut off")
	case CheckKID:
		return pick("the public key id is known", "no key has this public key id, or it is out of the caller's reach")
	case CheckDigest:
		return pick("the secret is right", "the public key id is known, the secret is wrong")
	case CheckRevoked:
		return pick("not revoked", "the key was revoked")
	case CheckDisabled:
		if failed && e.Enabled {
			return Failed, "the key's owner or organization is suspended or gone"
		}
		return pick("enabled, and so are its owner and organization", "the key is disabled")
	case CheckExpired:
		if failed && !passed(e.KeyExpires, now) {
			return Failed, "this secret ended with a rotation; the key has another one"
		}
		return pick("not expired", "the key has expired")
	case CheckEnvironment:
		if a.Environment == "" {
			return NotAsked, "no environment was required"
		}
		return pick("the key is for the "+string(e.Environment)+" environment", "the key is for the "+string(e.Environment)+" environment, "+string(a.Environment)+" was required")
	case CheckAddress:
		if e.Grant.Addresses.Unrestricted() {
			return NotAsked, "the key may be used from any address"
		}
		if failed && !a.Address.IsValid() {
			return Failed, "the key has an address list and the client's address was not given or could not be determined"
		}
		return pick("the address is in the key's list", "the address is not in the key's list")
	case CheckSignature:
		switch {
		case e.Signing == SigningOff:
			return NotAsked, "the key's requests are not signed"
		case a.Signature == SignatureAbsent && !failed:
			return NotAsked, "the key's requests may be signed, and this one is not"
		case a.Signature == SignatureAbsent:
			return Failed, "the key's requests have to be signed, and this one is not"
		}
		return pick("the signature holds, and its nonce is new", "the signature does not hold: "+a.Fault)
	case CheckResource:
		if (a.Resource == Resource{}) {
			return NotAsked, "the request names no resource, so the key's resource restriction was not looked at"
		}
		if _, restricted := e.Grant.Resources[a.Resource.Type]; !restricted {
			return NotAsked, "the key is not restricted for resources of this type"
		}
		return pick("the resource is in the key's list", "the resource is not in the key's list for its type")
	case CheckScopes:
		if len(a.Scopes.All)+len(a.Scopes.Any) == 0 {
			return NotAsked, "no scope was required"
		}
		return pick("the key holds what was required", "the key's role and scopes together do not hold what was required")
	case checkEnd:
	}
	return NotReached, ""
}
