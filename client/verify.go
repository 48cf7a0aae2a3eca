package client

import (
	"context"
	"encoding/json"
	"time"
)

// Verification is a key that was presented, and what is asked of it.
type Verification struct {
	Key         Secret
	IP          string    // the address it was presented from; "" if that is not known
	UserAgent   string    // what the client program calls itself; kept with the key's last use
	Environment string    // required: live or test; "" for either
	AllScopes   []string  // all of these are required
	AnyScopes   []string  // and one of these, if there are any
	Resource    *Resource // required; nil for none

	// The request that the key came with, before anything was decoded. A signature
	// covers it; without one it may be left out. Of fills it in.
	Method    string
	Host      string // with a port, unless it is the scheme's own
	Path      string
	Query     string     // without the question mark
	Signature *Signature // nil: it is not signed
}

// Resource is one object of the customer's.
type Resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Verdict is the answer to a verification. Fields about the key are filled only
// if the presented key is a known one.
type Verdict struct {
	Valid  bool      `json:"valid"`
	Code   string    `json:"code"`   // valid, or why not
	Signed bool      `json:"signed"` // the request was signed with the key, and the signature holds
	AsOf   time.Time `json:"as_of"`
	Node   string    `json:"node"`

	KeyID          string              `json:"key_id"`
	KID            string              `json:"kid"`
	OrganizationID string              `json:"organization_id"`
	ProjectID      string              `json:"project_id"`
	Environment    string              `json:"environment"`
	OwnerID        string              `json:"owner_id"`
	Partner        string              `json:"partner"`
	Role           string              `json:"role"`
	Permissions    []string            `json:"permissions"`
	Resources      map[string][]string `json:"resources"`
	Metadata       json.RawMessage     `json:"metadata"`
	ExpiresAt      time.Time           `json:"expires_at"` // zero: never
}

// Verdicts are the answers to several verifications, in their order.
type Verdicts struct {
	Results []Verdict `json:"results"`
}

// Explanation is a verdict with every check that led to it.
type Explanation struct {
	Verdict
	Checks []Check `json:"checks"`
}

// Check is one step of a decision.
type Check struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"` // passed, failed, not_asked or not_reached
	Detail  string `json:"detail"`
}

// wireVerification is a Verification as it is sent.
type wireVerification struct {
	Key         string     `json:"key"`
	IP          string     `json:"ip,omitempty"`
	UserAgent   string     `json:"user_agent,omitempty"`
	Method      string     `json:"method,omitempty"`
	Host        string     `json:"host,omitempty"`
	Path        string     `json:"path,omitempty"`
	Query       string     `json:"query,omitempty"`
	Environment string     `json:"environment,omitempty"`
	Scopes      any        `json:"scopes,omitempty"`
	Resource    *Resource  `json:"resource,omitempty"`
	Signature   *Signature `json:"signature,omitempty"`
}

func (v *Verification) wire() wireVerification {
	w := wireVerification{
		Key: v.Key.Expose(), IP: v.IP, UserAgent: v.UserAgent, Environment: v.Environment, Resource: v.Resource,
		Method: v.Method, Host: v.Host, Path: v.Path, Query: v.Query, Signature: v.Signature,
	}
	switch {
	case len(v.AnyScopes) > 0:
		w.Scopes = struct {
			All []string `json:"all,omitempty"`
			Any []string `json:"any"`
		}{v.AllScopes, v.AnyScopes}
	case len(v.AllScopes) > 0:
		w.Scopes = v.AllScopes
	}
	return w
}

// Verify decides whether the presented key may do what is asked. That it may
// not is a verdict and no error; whoever gets an error refuses as well.
func (k Keys) Verify(ctx context.Context, v Verification) (Answer[Verdict], error) {
	return send[Verdict](ctx, k.c, ask(keysPath+"/verify", v.wire()))
}

// VerifyBatch decides on up to 100 keys.
func (k Keys) VerifyBatch(ctx context.Context, vs []Verification) (Answer[Verdicts], error) {
	items := make([]wireVerification, len(vs))
	for i := range vs {
		items[i] = vs[i].wire()
	}
	return send[Verdicts](ctx, k.c, ask(keysPath+"/batch-verify", struct {
		Items []wireVerification `json:"items"`
	}{items}))
}

// Explain gives the verdict and how each check went. It counts as no use of the
// key.
func (k Keys) Explain(ctx context.Context, v Verification) (Answer[Explanation], error) {
	return send[Explanation](ctx, k.c, ask(keysPath+"/explain", v.wire()))
}
