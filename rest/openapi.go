package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// The OpenAPI 3.1 document is made from the operations and the Go types that
// they decode and encode; huma makes the schemas. Nothing is validated by it at
// run time: the rules are the authority's, and tests hold every recorded answer
// against the document.

// describe makes the document and the page once, at the start.
func (api *API) describe() error {
	doc := api.openAPI()
	var err error
	if api.document, err = json.MarshalIndent(doc, "", " "); err != nil {
		return fmt.Errorf("making the OpenAPI document: %w", err)
	}
	api.page, api.pagePolicy, err = renderPage(doc, api.operations())
	return err
}

func (api *API) openAPI() *huma.OpenAPI {
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Latchkey", Version: api.Version,
			Description: "The API-key authority: issues, restricts, verifies, rotates and revokes the keys of your API.",
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Security: []map[string][]string{{"key": {}}},
		Tags:     tags,
		Paths:    map[string]*huma.PathItem{},
		Components: &huma.Components{
			Schemas: newRegistry(),
			SecuritySchemes: map[string]*huma.SecurityScheme{"key": {
				Type: "http", Scheme: "bearer", Description: "A key of yours that has the permissions. Over the authority's own socket none is needed.",
			}},
		},
	}
	if api.PublicURL != "" {
		doc.Servers = []*huma.Server{{URL: api.PublicURL}}
	}
	for _, op := range api.operations() {
		item := doc.Paths[op.path]
		if item == nil {
			item = &huma.PathItem{}
			doc.Paths[op.path] = item
		}
		*slot(item, op.method) = op.describe(doc.Components.Schemas)
	}
	for _, s := range doc.Components.Schemas.Map() {
		settle(s)
	}
	orNull(doc.Components.Schemas.Map()["Key"], "rotation")
	orNull(doc.Components.Schemas.Map()["Key"], "signing")
	for _, name := range []string{"Gateway", "ChangedGateway", "GatewayInput", "GatewayPatch"} {
		orNull(doc.Components.Schemas.Map()[name], "trusted_proxies")
	}
	orNull(doc.Components.Schemas.Map()["Event"], "object")
	orNull(doc.Components.Schemas.Map()["KeyPatch"], "restrictions")
	orNull(doc.Components.Schemas.Map()["KeyPatch"], "signing")
	return doc
}

// orNull lets a member that is an object be null, which the schema maker cannot say.
func orNull(s *huma.Schema, member string) {
	object := s.Properties[member]
	s.Properties[member] = &huma.Schema{Description: object.Description, OneOf: []*huma.Schema{{Ref: object.Ref}, {Type: "null"}}}
}

// tags are the chapters of the documentation.
var tags = []*huma.Tag{
	{Name: "keys", Description: "Identities that are granted something."},
	{Name: "verification", Description: "May this key do this, now?"},
	{Name: "organizations", Description: "Tenants; nothing crosses them but the operator."},
	{Name: "projects", Description: "Sets of keys with a prefix and an environment."},
	{Name: "users", Description: "People and service accounts that own keys."},
	{Name: "roles", Description: "Named sets of permissions with a rank."},
	{Name: "gateways", Description: "What stands before APIs and asks about the keys in their requests."},
	{Name: "issuers", Description: "OpenID providers whose tokens are credentials."},
	{Name: "events", Description: "The record of every change."},
	{Name: "nodes", Description: "The processes that answer verifications from memory."},
	{Name: "tokens", Description: "The keys with which JSON Web Tokens are signed."},
	{Name: "key ring", Description: "The root keys under which digests and sealed values are made."},
	{Name: "health", Description: "For load balancers and supervisors."},
}

// newRegistry teaches the schema maker our wire types.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", func(t reflect.Type, hint string) string {
		return strings.NewReplacer("Answer", "", "Input", "Input").Replace(huma.DefaultSchemaNamer(t, hint))
	})
	for wire, standard := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[body.Time]():                          reflect.TypeFor[time.Time](),
		reflect.TypeFor[body.Duration]():                      reflect.TypeFor[string](),
		reflect.TypeFor[jsontext.Value]():                     reflect.TypeFor[any](),
		reflect.TypeFor[metadata]():                           reflect.TypeFor[map[string]any](),
		reflect.TypeFor[body.Optional[string]]():              reflect.TypeFor[*string](),
		reflect.TypeFor[body.Optional[bool]]():                reflect.TypeFor[*bool](),
		reflect.TypeFor[body.Optional[int]]():                 reflect.TypeFor[*int](),
		reflect.TypeFor[body.Optional[int64]]():               reflect.TypeFor[*int64](),
		reflect.TypeFor[body.Optional[body.Time]]():           reflect.TypeFor[*time.Time](),
		reflect.TypeFor[body.Optional[[]string]]():            reflect.TypeFor[[]string](),
		reflect.TypeFor[body.Optional[metadata]]():            reflect.TypeFor[map[string]any](),
		reflect.TypeFor[body.Optional[restrictionsPatch]]():   reflect.TypeFor[restrictionsPatch](),
		reflect.TypeFor[body.Optional[signingPatch]]():        reflect.TypeFor[signingPatch](),
		reflect.TypeFor[body.Optional[limitsPatch]]():         reflect.TypeFor[limitsPatch](),
		reflect.TypeFor[body.Optional[map[string][]string]](): reflect.TypeFor[map[string][]string](),
		reflect.TypeFor[body.Optional[[]mappingInput]]():      reflect.TypeFor[[]mappingInput](),
		reflect.TypeFor[body.Optional[[]gatewayRoute]]():      reflect.TypeFor[[]gatewayRoute](),
		reflect.TypeFor[body.Optional[trustedProxies]]():      reflect.TypeFor[trustedProxies](),
		reflect.TypeFor[body.Optional[managementInput]]():     reflect.TypeFor[managementInput](),
		reflect.TypeFor[body.Optional[[]memberRoleInput]]():   reflect.TypeFor[[]memberRoleInput](),
	} {
		r.RegisterTypeAlias(wire, standard)
	}
	return r
}

// settle corrects what the schema maker assumes of Go: our lists are never null.
func settle(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	settle(s.Items)
	for _, p := range s.Properties {
		settle(p)
	}
	if p, ok := s.AdditionalProperties.(*huma.Schema); ok {
		settle(p)
	}
	for _, one := range s.OneOf {
		settle(one)
	}
}

// Schema implements huma.SchemaProvider.
func (scopesInput) Schema(huma.Registry) *huma.Schema {
	words := func() *huma.Schema {
		return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MaxItems: new(int(latchkey.MaxScopes))}
	}
	return &huma.Schema{
		Description: "A list, or `{\"all\": […]}`: all of them are required. `{\"any\": […]}`: one of them.",
		OneOf: []*huma.Schema{words(), {
			Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{"all": words(), "any": words()},
		}},
	}
}

func slot(item *huma.PathItem, method string) **huma.Operation {
	switch method {
	case http.MethodPost:
		return &item.Post
	case http.MethodPatch:
		return &item.Patch
	case http.MethodDelete:
		return &item.Delete
	}
	return &item.Get
}

// describe is the operation in the document.
func (op *operation) describe(r huma.Registry) *huma.Operation {
	out := &huma.Operation{
		OperationID: op.id, Tags: []string{op.tag}, Summary: op.summary, Description: op.describePermission(),
		Parameters: op.parameters(), Responses: map[string]*huma.Response{},
	}
	if op.open {
		out.Security = []map[string][]string{}
	}
	if op.in != nil {
		out.RequestBody = &huma.RequestBody{
			Required: op.body&body.EmptyBody == 0,
			Content:  map[string]*huma.MediaType{"application/json": {Schema: r.Schema(reflect.TypeOf(op.in), true, op.id)}},
		}
	}
	success := &huma.Response{
		Description: http.StatusText(op.status),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: r.Schema(reflect.TypeOf(op.out), true, op.id)}},
	}
	if op.id == "listEvents" {
		success.Content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		success.Content["application/x-ndjson"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	out.Responses[strconv.Itoa(op.status)] = success
	told := map[string][]string{}
	for _, code := range op.refusals() {
		status := strconv.Itoa(meanings[code].status)
		told[status] = append(told[status], string(code))
	}
	for status, codes := range told {
		out.Responses[status] = &huma.Response{
			Description: strings.Join(codes, ", "),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: r.Schema(reflect.TypeFor[problem](), true, "Problem")}},
		}
	}
	return out
}

func (op *operation) describePermission() string {
	if op.needs == "" {
		return op.description
	}
	needs := "Needs `" + string(op.needs) + "`"
	switch {
	case op.operator:
		needs += " as the operator's owner or admin"
	case op.wide:
		needs += " over the whole organization"
	}
	return strings.TrimSpace(op.description + "\n\n" + needs + ".")
}

func (op *operation) parameters() []*huma.Param {
	var params []*huma.Param
	for part := range strings.SplitSeq(op.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, &huma.Param{Name: strings.TrimSuffix(name, "}"), In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
	for _, q := range op.query {
		s := &huma.Schema{Type: q.kind}
		switch {
		case q.kind == "date-time":
			s.Type, s.Format = huma.TypeString, q.kind
		case q.name == "limit":
			s.Minimum, s.Maximum, s.Default = bounded(1), bounded(authority.MaxPage), authority.DefaultPage
		}
		for _, word := range q.enum {
			s.Enum = append(s.Enum, word)
		}
		params = append(params, &huma.Param{Name: q.name, In: "query", Description: q.description, Schema: s})
	}
	header := func(name, description string) {
		params = append(params, &huma.Param{Name: name, In: "header", Description: description, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if op.idempotent {
		header("Idempotency-Key", "16 to 255 random characters; a retry with the same ones and the same body gives the same object and, for 15 minutes, the same secret.")
	}
	if op.conditional {
		header("If-Match", "The ETag that you have seen; refused with 412 if the object was changed since.")
	}
	if !op.open {
		header(organizationHeader, "The organization to act in; for the operator's owner and admin.")
	}
	return params
}

func bounded(n int) *float64 {
	f := float64(n)
	return &f
}

// refusals are the codes that the operation can answer with.
func (op *operation) refusals() []latchkey.ErrorCode {
	codes := []latchkey.ErrorCode{latchkey.CodeInternal}
	if op.bound == nil || op.limit > 0 {
		codes = append(codes, latchkey.CodeBusy)
	}
	codes = append(codes, latchkey.CodeUnavailable, latchkey.CodeInvalid)
	if !op.open || op.id == "revokeSelf" {
		codes = append(codes, latchkey.CodeUnauthenticated, latchkey.CodeTooManyRequests)
	}
	if !op.open {
		codes = append(codes, latchkey.CodeForbidden)
	}
	if op.needs != "" || strings.Contains(op.path, "{") {
		codes = append(codes, latchkey.CodeNotFound)
	}
	codes = append(codes, latchkey.CodeMalformedBody)
	if op.limit > 0 {
		codes = append(codes, latchkey.CodeUnsupportedMediaType, latchkey.CodeTooLarge)
	}
	if op.status == http.StatusCreated || op.conditional || strings.Contains(op.path, "{") && op.method != http.MethodGet {
		codes = append(codes, latchkey.CodeCeiling, latchkey.CodeConflict)
	}
	if op.conditional {
		codes = append(codes, latchkey.CodePreconditionFailed)
	}
	if op.idempotent {
		codes = append(codes, latchkey.CodeIdempotencyMismatch, latchkey.CodeIdempotentSecretExpired)
	}
	if op.id == "rotateKey" {
		codes = append(codes, latchkey.CodeRotationInProgress)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
