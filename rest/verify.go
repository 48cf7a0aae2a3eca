package rest

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/verify"
)

// verifyInput is a key that was presented to a gateway or to the customer's own
// API, and what is asked of it.
type verifyInput struct {
	Key         string          `json:"key" doc:"What was presented, whatever it is."`
	IP          *string         `json:"ip" required:"false" doc:"The client's address. A key with an address list is refused without one."`
	UserAgent   *string         `json:"user_agent" required:"false" doc:"What the client program calls itself. It is kept with the key's last use, and nothing is decided by it."`
	Method      *string         `json:"method" required:"false" doc:"Of the request that the key came with; a signature covers it."`
	Host        *string         `json:"host" required:"false" doc:"Of the request that the key came with, as its field Host has it: with a port unless it is the scheme's own; a signature covers it."`
	Path        *string         `json:"path" required:"false" doc:"Of the request that the key came with, before anything is decoded, without the query; a signature covers it."`
	Query       *string         `json:"query" required:"false" doc:"Of the request that the key came with, before anything is decoded, without the question mark; a signature covers it."`
	Environment *string         `json:"environment" required:"false" enum:"live,test" doc:"Refuse keys of the other one."`
	Scopes      *scopesInput    `json:"scopes" required:"false"`
	Resource    *resourceInput  `json:"resource" required:"false" doc:"What is to be touched. Without it the resource restriction is not looked at."`
	Cost        jsontext.Value  `json:"cost" required:"false" doc:"Reserved for rate limits and quotas; not offered by this version."`
	Signature   *signatureInput `json:"signature" required:"false" doc:"How the request that the key came with was signed (RFC 9421, profile apikey-v1). Give it whenever the request has a field Signature-Input; method, host and path are then required. A verdict on a signed request is given once: its nonce is spent."`
}

type resourceInput struct {
	Type string `json:"type" minLength:"1" maxLength:"128"`
	ID   string `json:"id" minLength:"1" maxLength:"128"`
}

// scopesInput is a list, all of which are required, or an object with all or any.
type scopesInput struct {
	All  latchkey.Permissions
	Any  latchkey.Permissions
	list bool // given as a list
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *scopesInput) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if s.list = d.PeekKind() == jsontext.KindBeginArray; s.list {
		return json.UnmarshalDecode(d, &s.All)
	}
	var either struct {
		All latchkey.Permissions `json:"all"`
		Any latchkey.Permissions `json:"any"`
	}
	if err := json.UnmarshalDecode(d, &either); err != nil {
		return err
	}
	s.All, s.Any = either.All, either.Any
	return nil
}

type batchVerifyInput struct {
	Items []verifyInput `json:"items" minItems:"1" maxItems:"100" nullable:"false"`
}

// VerdictAnswer is the outcome. Who the key is is told only when the secret was
// right.
type VerdictAnswer struct {
	Valid bool   `json:"valid"`
	Code  string `json:"code" enum:"valid,malformed,unknown,revoked,disabled,expired,wrong_environment,ip_not_allowed,signature_required,signature_invalid,resource_not_allowed,insufficient_scope,rate_limited,quota_exceeded,unavailable"`
	AsOf  moment `json:"as_of" doc:"The verdict reflects every change acknowledged before."`
	Node  string `json:"node" doc:"Who answered."`
	*Identity
}

// Identity is whose key it is and what it may do.
type Identity struct {
	KeyID          string              `json:"key_id" required:"false"`
	KID            string              `json:"kid" required:"false" doc:"Which secret of the key was presented."`
	OrganizationID string              `json:"organization_id" required:"false"`
	ProjectID      string              `json:"project_id" required:"false"`
	Environment    string              `json:"environment" required:"false"`
	OwnerID        *string             `json:"owner_id" required:"false"`
	Partner        *string             `json:"partner" required:"false"`
	Role           *string             `json:"role" required:"false" doc:"Identifier of its own role."`
	Permissions    []string            `json:"permissions" required:"false" doc:"What the key may do: its role's and its scopes together. A trailing * stands for the rest."`
	Resources      map[string][]string `json:"resources,omitzero" required:"false" doc:"Allowed ids by resource type; absent: unrestricted."`
	Metadata       metadata            `json:"metadata" required:"false"`
	Signed         bool                `json:"signed" required:"false" doc:"The request was signed with the key, and the signature holds. False too where signatures are not looked at."`
	ExpiresAt      moment              `json:"expires_at" required:"false" nullable:"true" doc:"When the presented secret ends at the latest; null: never."`
}

type batchVerifyAnswer struct {
	Results []VerdictAnswer `json:"results" nullable:"false"`
}

type explainAnswer struct {
	VerdictAnswer
	Checks []checkAnswer `json:"checks" nullable:"false"`
}

type checkAnswer struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome" enum:"passed,failed,not_asked,not_reached"`
	Detail  string `json:"detail"`
}

func (api *API) verify(x *exchange) error {
	r := &verify.Request{}
	if err := x.verification(single, x.in.(*verifyInput), r); err != nil {
		return err
	}
	var id verify.Identity
	body.WriteText(x.w, x.op.status, api.appendDecision(make([]byte, 0, verdictRoom), x.r.Context(), r, &id))
	return nil
}

// appendDecision decides, and appends the verdict. id has who it is for that time.
func (api *API) appendDecision(b []byte, ctx context.Context, r *verify.Request, id *verify.Identity) []byte {
	v, matched := api.Verifier.VerifyInto(ctx, r, id)
	if matched {
		v.Identity = id
	}
	api.ObserveVerdict(v.Code)
	return appendVerdict(b, &v)
}

func (api *API) batchVerify(x *exchange) error {
	items := x.in.(*batchVerifyInput).Items
	if len(items) < 1 || len(items) > latchkey.MaxBatchVerify {
		return latchkey.Invalid("/items", "length", "A batch has 1 to 100 items.")
	}
	requests := make([]verify.Request, len(items))
	for i := range items {
		if err := x.verification(i, &items[i], &requests[i]); err != nil {
			return err
		}
	}
	var id verify.Identity
	b := append(make([]byte, 0, verdictRoom/2*len(items)), `{"results":[`...)
	for i := range requests {
		if i > 0 {
			b = append(b, ',')
		}
		b = api.appendDecision(b, x.r.Context(), &requests[i], &id)
	}
	body.WriteText(x.w, x.op.status, append(b, "]}"...))
	return nil
}

func (api *API) explain(x *exchange) error {
	r := &verify.Request{}
	if err := x.verification(single, x.in.(*verifyInput), r); err != nil {
		return err
	}
	v, checks := api.Verifier.Explain(x.r.Context(), r)
	out := explainAnswer{VerdictAnswer: spellVerdict(&v), Checks: make([]checkAnswer, len(checks))}
	for i, c := range checks {
		out.Checks[i] = checkAnswer{c.Check.String(), string(c.Outcome), c.Detail}
	}
	return x.answer(out)
}

// Bounds on the parts of a request that are told along with a key.
const (
	maxMethod = 32
	maxPart   = 8 << 10
)

// single is the place of a question that is not one of a batch.
const single = -1

// pointerOf points to a member of the body that has the question at a place.
func pointerOf(place int, member string) string {
	if place == single {
		return member
	}
	return "/items/" + strconv.Itoa(place) + member
}

// verification reads what is asked. Everything but the key itself comes from
// the asker, so mistakes in it are told; the key may be anything. place is where in
// a batch it stands, or single.
func (x *exchange) verification(place int, in *verifyInput, r *verify.Request) error {
	var broken []latchkey.FieldError
	wrong := func(member, rule, detail string) {
		broken = append(broken, latchkey.FieldError{Pointer: pointerOf(place, member), Code: rule, Detail: detail})
	}
	*r = verify.Request{Key: latchkey.NewPlaintext(in.Key), Within: x.Within(), Environment: latchkey.Environment(value(in.Environment)), Agent: value(in.UserAgent)}
	if in.Environment != nil && !r.Environment.Valid() {
		wrong("/environment", "not_allowed", "An environment is live or test.")
	}
	if in.IP != nil {
		var err error
		if r.Address, err = netip.ParseAddr(*in.IP); err != nil || r.Address.Zone() != "" {
			wrong("/ip", "format", "This is one IPv4 or IPv6 address, without a port and a zone.")
		}
	}
	if in.Resource != nil {
		r.Resource = latchkey.Resource(*in.Resource)
		if n := len(r.Resource.Type); n < 1 || n > latchkey.MaxResourceLen {
			wrong("/resource/type", "length", "A resource type is 1 to 128 bytes.")
		}
		if n := len(r.Resource.ID); n < 1 || n > latchkey.MaxResourceLen {
			wrong("/resource/id", "length", "A resource id is 1 to 128 bytes.")
		}
	}
	if s := in.Scopes; s != nil {
		all := "/scopes/all"
		if s.list {
			all = "/scopes"
		}
		r.Scopes = latchkey.Requirement{All: s.All, Any: s.Any}
		checkRequired(all, s.All, wrong)
		checkRequired("/scopes/any", s.Any, wrong)
		if s.Any != nil && len(s.Any) == 0 {
			wrong("/scopes/any", "required", "One of none can never be held; leave it out to require none.")
		}
	}
	for _, part := range [...]struct {
		member string
		text   *string
		most   int
	}{{"/method", in.Method, maxMethod}, {"/host", in.Host, maxPart}, {"/path", in.Path, maxPart}, {"/query", in.Query, maxPart}, {"/user_agent", in.UserAgent, maxPart}} {
		if part.text != nil && len(*part.text) > part.most {
			wrong(part.member, "length", "This is at most "+strconv.Itoa(part.most)+" bytes.")
		}
	}
	if in.Cost != nil {
		wrong("/cost", "not_offered", "Rate limits and quotas are not offered by this version; leave it out.")
	}
	if in.Signature != nil {
		r.Signature = in.message(wrong)
	}
	return refusedFields(broken)
}

func checkRequired(member string, given latchkey.Permissions, wrong func(member, rule, detail string)) {
	if len(given) > latchkey.MaxScopes {
		wrong(member, "too_many", "There are at most 256 of these.")
		return
	}
	for i, s := range given {
		if found := latchkey.CheckPermission(string(s)); found != nil {
			wrong(member+"/"+strconv.Itoa(i), found.Code, found.Detail)
		}
	}
}

func spellVerdict(v *verify.Verdict) VerdictAnswer {
	out := VerdictAnswer{Valid: v.Code == latchkey.CodeValid, Code: string(v.Code), AsOf: moment(v.AsOf), Node: v.Node}
	id := v.Identity
	if id == nil {
		return out
	}
	out.Identity = &Identity{
		KeyID: id.KeyID.Native(latchkey.KindKey), KID: string(id.KID),
		OrganizationID: id.Key.Organization.Native(latchkey.KindOrganization), ProjectID: id.Key.Project.Native(latchkey.KindProject),
		Environment: string(id.Key.Environment), OwnerID: optional(id.Key.Owner.Native(latchkey.KindUser)),
		Partner: optional(id.Key.Partner), Role: optional(id.Role), Permissions: texts(id.Grant.Permissions),
		Resources: id.Grant.Resources, Metadata: spellMetadata(id.Key.Metadata), Signed: v.Signed, ExpiresAt: moment(id.ExpiresAt()),
	}
	return out
}
