package rest

import (
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
)

// operation is one route: everything about it but what it does is here, for the
// door and for the OpenAPI document alike.
type operation struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	description  string

	open        bool // answered to anyone
	often       bool // too often for a line in the log each time
	needs       latchkey.Permission
	wide        bool                  // needed over the whole organization: a caller bound to a project has it nowhere
	operator    bool                  // needed as the operator's owner or admin
	bound       func(*API) door.Bound // nil: managing
	idempotent  bool                  // takes an Idempotency-Key
	conditional bool                  // takes If-Match

	query  []parameter
	limit  int64 // of the body in bytes; 0: there is none
	body   body.Option
	in     any                   // a zero value of the body's type
	quick  func(data []byte) any // reads the body where it is as usual; nil, or its nil, leaves it to package body
	status int                   // of success
	out    any                   // a zero value of the answer's type

	run func(x *exchange) error
}

// operations is the API. The order is that of the documentation.
func (api *API) operations() []operation {
	return []operation{
		{
			method: http.MethodPost, path: "/v1/keys", id: "createKey", tag: "keys", summary: "Create a key",
			description: "The secret is in this answer and in no other. A 201 whose `usable` is `everywhere` means that the key is valid on every node now.",
			needs:       latchkey.KeyCreate, idempotent: true, limit: body.MaxManagement, in: KeyInput{}, query: patience, status: http.StatusCreated, out: issuedAnswer{}, run: api.createKey,
		},
		{
			method: http.MethodGet, path: "/v1/keys", id: "listKeys", tag: "keys", summary: "List keys",
			description: "Keys in every state, revoked ones included, unless `state` says otherwise. Newest first by default.",
			needs:       latchkey.KeyRead, query: keyFilters, status: http.StatusOK, out: page[keyAnswer]{}, run: api.listKeys,
		},
		{
			method: http.MethodPost, path: "/v1/keys/verify", id: "verifyKey", tag: "verification", summary: "Verify a key",
			description: "Always 200 with a verdict. Whatever is not `valid` is a refusal; `code` says why, and who the key is is told only if its secret was right.",
			needs:       latchkey.KeyVerify, bound: verifying, limit: body.MaxVerify, body: body.NUL, in: verifyInput{}, quick: quickVerify, often: true, status: http.StatusOK, out: VerdictAnswer{}, run: api.verify,
		},
		{
			method: http.MethodPost, path: "/v1/keys/batch-verify", id: "batchVerifyKeys", tag: "verification", summary: "Verify up to 100 keys",
			description: "The results are in the order of the items.",
			needs:       latchkey.KeyVerify, bound: verifying, limit: body.MaxBatch, body: body.NUL, in: batchVerifyInput{}, quick: quickBatch, often: true, status: http.StatusOK, out: batchVerifyAnswer{}, run: api.batchVerify,
		},
		{
			method: http.MethodPost, path: "/v1/keys/explain", id: "explainKey", tag: "verification", summary: "Explain a verdict",
			description: "Runs every check and reports each, where a verification stops at the first failure. It counts as no use of the key.",
			needs:       latchkey.KeyVerify, bound: verifying, limit: body.MaxVerify, body: body.NUL, in: verifyInput{}, status: http.StatusOK, out: explainAnswer{}, run: api.explain,
		},
		{
			method: http.MethodPost, path: "/v1/keys/batch-create", id: "batchCreateKeys", tag: "keys", summary: "Create up to 1,000 keys",
			description: "All or none, in one transaction.",
			needs:       latchkey.KeyCreate, idempotent: true, limit: body.MaxBatch, in: batchCreateInput{}, query: patience, status: http.StatusCreated, out: batchIssuedAnswer{}, run: api.batchCreate,
		},
		{
			method: http.MethodPost, path: "/v1/keys/import", id: "importKeys", tag: "keys", summary: "Import up to 1,000 foreign keys",
			description: "Takes over keys that were made elsewhere by the SHA-256 of each; their holders notice nothing. All or none, in one transaction with one event.",
			needs:       latchkey.KeyCreate, idempotent: true, limit: body.MaxBatch, in: importInput{}, query: patience, status: http.StatusCreated, out: batchIssuedAnswer{}, run: api.importKeys,
		},
		{
			method: http.MethodPost, path: "/v1/keys/revoke-self", id: "revokeSelf", tag: "keys", summary: "Revoke a key by presenting it",
			description: "Whoever holds a leaked key may kill it: no other credential is needed.",
			open:        true, bound: opening, limit: body.MaxVerify, in: revokeSelfInput{}, query: patience, status: http.StatusOK, out: revokedSelfAnswer{}, run: api.revokeSelf,
		},
		{
			method: http.MethodGet, path: "/v1/keys/{id}", id: "getKey", tag: "keys", summary: "Get a key",
			needs: latchkey.KeyRead, status: http.StatusOK, out: keyAnswer{}, run: api.getKey,
		},
		{
			method: http.MethodGet, path: "/v1/keys/{id}/usage", id: "getKeyUsage", tag: "keys", summary: "Tell how a key was used",
			description: "The hours in which somebody presented the key with the right secret, the latest first; `limit` counts hours. At most a minute behind; kept for 90 days.",
			needs:       latchkey.KeyRead, query: usageFilters, status: http.StatusOK, out: page[usageAnswer]{}, run: api.keyUsage,
		},
		{
			method: http.MethodPatch, path: "/v1/keys/{id}", id: "updateKey", tag: "keys", summary: "Change a key",
			description: "Absent members stay as they are; null clears `role`, `expires_at` and restrictions.",
			needs:       latchkey.KeyUpdate, conditional: true, limit: body.MaxManagement, in: keyPatch{}, query: patience, status: http.StatusOK, out: changedKeyAnswer{}, run: api.updateKey,
		},
		{
			method: http.MethodDelete, path: "/v1/keys/{id}", id: "deleteKey", tag: "keys", summary: "Revoke a key, by deleting it",
			description: "The same as revoke, with a default reason.",
			needs:       latchkey.KeyDelete, conditional: true, query: patience, status: http.StatusOK, out: changedKeyAnswer{}, run: api.deleteKey,
		},
		{
			method: http.MethodPost, path: "/v1/keys/{id}/revoke", id: "revokeKey", tag: "keys", summary: "Revoke a key",
			description: "For good. To revoke a revoked key changes nothing and succeeds.",
			needs:       latchkey.KeyDelete, conditional: true, limit: body.MaxManagement, body: body.EmptyBody | body.MissingContentType, in: revokeInput{}, query: patience, status: http.StatusOK, out: changedKeyAnswer{}, run: api.revokeKey,
		},
		{
			method: http.MethodPost, path: "/v1/keys/{id}/rotate", id: "rotateKey", tag: "keys", summary: "Rotate a key's secret",
			description: "The key keeps its id and gets a second secret; the first lives on for `overlap`. One rotation at a time.",
			needs:       latchkey.KeyUpdate, idempotent: true, conditional: true, limit: body.MaxManagement, body: body.EmptyBody | body.MissingContentType, in: rotateInput{}, query: patience, status: http.StatusOK, out: issuedAnswer{}, run: api.rotateKey,
		},
		{
			method: http.MethodPost, path: "/v1/keys/{id}/rotation/complete", id: "completeRotation", tag: "keys", summary: "End a rotation now: the old secret dies",
			needs: latchkey.KeyUpdate, conditional: true, query: patience, status: http.StatusOK, out: changedKeyAnswer{}, run: api.completeRotation,
		},
		{
			method: http.MethodPost, path: "/v1/keys/{id}/rotation/cancel", id: "cancelRotation", tag: "keys", summary: "Take a rotation back: the new secret dies",
			needs: latchkey.KeyUpdate, conditional: true, query: patience, status: http.StatusOK, out: changedKeyAnswer{}, run: api.cancelRotation,
		},
		{
			method: http.MethodPost, path: "/v1/keys/{id}/reveal", id: "revealKey", tag: "keys", summary: "Tell a retrievable key's value",
			description: "The event is committed before the value leaves.",
			needs:       latchkey.KeySecretRead, limit: body.MaxManagement, in: revealInput{}, status: http.StatusOK, out: revealAnswer{}, run: api.revealKey,
		},

		{
			method: http.MethodGet, path: "/v1/organizations", id: "listOrganizations", tag: "organizations", summary: "List organizations",
			description: "The operator's people see all, everyone else their own.",
			needs:       latchkey.OrganizationRead, query: paging, status: http.StatusOK, out: page[OrganizationAnswer]{}, run: api.listOrganizations,
		},
		{
			method: http.MethodPost, path: "/v1/organizations", id: "createOrganization", tag: "organizations", summary: "Create an organization",
			description: "It starts with a default project. The operator makes its first user or key by acting in it (Latchkey-Organization).",
			needs:       latchkey.OrganizationCreate, operator: true, idempotent: true, limit: body.MaxManagement, in: organizationInput{}, status: http.StatusCreated, out: OrganizationAnswer{}, run: api.createOrganization,
		},
		{
			method: http.MethodGet, path: "/v1/organizations/{id}", id: "getOrganization", tag: "organizations", summary: "Get an organization",
			needs: latchkey.OrganizationRead, status: http.StatusOK, out: OrganizationAnswer{}, run: api.getOrganization,
		},
		{
			method: http.MethodPatch, path: "/v1/organizations/{id}", id: "updateOrganization", tag: "organizations", summary: "Change an organization",
			description: "`state` and `limits` are the operator's to set.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: organizationPatch{}, query: patience, status: http.StatusOK, out: changedOrganizationAnswer{}, run: api.updateOrganization,
		},
		{
			method: http.MethodDelete, path: "/v1/organizations/{id}", id: "deleteOrganization", tag: "organizations", summary: "Delete an organization",
			needs: latchkey.OrganizationDelete, operator: true, conditional: true, query: revoking, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteOrganization,
		},
		{
			method: http.MethodGet, path: "/v1/projects", id: "listProjects", tag: "projects", summary: "List projects",
			needs: latchkey.ProjectRead, query: paging, status: http.StatusOK, out: page[ProjectAnswer]{}, run: api.listProjects,
		},
		{
			method: http.MethodPost, path: "/v1/projects", id: "createProject", tag: "projects", summary: "Create a project",
			needs: latchkey.ProjectCreate, wide: true, idempotent: true, limit: body.MaxManagement, in: projectInput{}, status: http.StatusCreated, out: ProjectAnswer{}, run: api.createProject,
		},
		{
			method: http.MethodGet, path: "/v1/projects/{id}", id: "getProject", tag: "projects", summary: "Get a project",
			needs: latchkey.ProjectRead, status: http.StatusOK, out: ProjectAnswer{}, run: api.getProject,
		},
		{
			method: http.MethodPatch, path: "/v1/projects/{id}", id: "updateProject", tag: "projects", summary: "Change a project",
			description: "Prefix and environment are in the keys and stay.",
			needs:       latchkey.ProjectUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: projectPatch{}, query: patience, status: http.StatusOK, out: changedProjectAnswer{}, run: api.updateProject,
		},
		{
			method: http.MethodDelete, path: "/v1/projects/{id}", id: "deleteProject", tag: "projects", summary: "Delete a project",
			needs: latchkey.ProjectDelete, wide: true, conditional: true, query: revoking, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteProject,
		},
		{
			method: http.MethodGet, path: "/v1/users", id: "listUsers", tag: "users", summary: "List users",
			needs: latchkey.UserRead, wide: true, query: paging, status: http.StatusOK, out: page[UserAnswer]{}, run: api.listUsers,
		},
		{
			method: http.MethodPost, path: "/v1/users", id: "createUser", tag: "users", summary: "Create a user",
			needs: latchkey.UserCreate, wide: true, idempotent: true, limit: body.MaxManagement, in: userInput{}, status: http.StatusCreated, out: UserAnswer{}, run: api.createUser,
		},
		{
			method: http.MethodGet, path: "/v1/users/{id}", id: "getUser", tag: "users", summary: "Get a user",
			needs: latchkey.UserRead, status: http.StatusOK, out: UserAnswer{}, run: api.getUser,
		},
		{
			method: http.MethodPatch, path: "/v1/users/{id}", id: "updateUser", tag: "users", summary: "Change a user",
			description: "A suspended user's keys give the verdict `disabled` at once. Nobody changes a user who stands above them.",
			needs:       latchkey.UserUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: userPatch{}, query: patience, status: http.StatusOK, out: changedUserAnswer{}, run: api.updateUser,
		},
		{
			method: http.MethodDelete, path: "/v1/users/{id}", id: "deleteUser", tag: "users", summary: "Delete a user",
			needs: latchkey.UserDelete, wide: true, conditional: true, query: revoking, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteUser,
		},
		{
			method: http.MethodGet, path: "/v1/roles", id: "listRoles", tag: "roles", summary: "List roles",
			description: "The built-in roles come first, on the first page and beyond its limit.",
			needs:       latchkey.RoleRead, query: paging, status: http.StatusOK, out: page[RoleAnswer]{}, run: api.listRoles,
		},
		{
			method: http.MethodPost, path: "/v1/roles", id: "createRole", tag: "roles", summary: "Create a role",
			needs: latchkey.RoleCreate, wide: true, idempotent: true, limit: body.MaxManagement, in: roleInput{}, status: http.StatusCreated, out: RoleAnswer{}, run: api.createRole,
		},
		{
			method: http.MethodGet, path: "/v1/roles/{id}", id: "getRole", tag: "roles", summary: "Get a role",
			description: "By its id or its identifier.",
			needs:       latchkey.RoleRead, status: http.StatusOK, out: RoleAnswer{}, run: api.getRole,
		},
		{
			method: http.MethodPatch, path: "/v1/roles/{id}", id: "updateRole", tag: "roles", summary: "Change a role",
			description: "All who have it change with it, at once.",
			needs:       latchkey.RoleUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: rolePatch{}, query: patience, status: http.StatusOK, out: changedRoleAnswer{}, run: api.updateRole,
		},
		{
			method: http.MethodDelete, path: "/v1/roles/{id}", id: "deleteRole", tag: "roles", summary: "Delete a role",
			needs: latchkey.RoleDelete, wide: true, conditional: true, query: revoking, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteRole,
		},

		{
			method: http.MethodGet, path: "/v1/gateways", id: "listGateways", tag: "gateways", summary: "List gateways",
			needs: latchkey.OrganizationRead, wide: true, query: paging, status: http.StatusOK, out: page[GatewayAnswer]{}, run: api.listGateways,
		},
		{
			method: http.MethodPost, path: "/v1/gateways", id: "createGateway", tag: "gateways", summary: "Create a gateway",
			description: "What stands before an API and asks about the key in each request. Its token is in this answer and in no other. What is required of a request is said here, and never by the request; whoever makes a gateway must be able to give `api_key:verify`. A broker (`rabbitmq`) has no routes: the scopes `amqp:configure|write|read:<glob>` say what a key may do there.",
			needs:       latchkey.OrganizationUpdate, wide: true, idempotent: true, limit: body.MaxManagement, in: gatewayInput{}, query: patience, status: http.StatusCreated, out: issuedGatewayAnswer{}, run: api.createGateway,
		},
		{
			method: http.MethodGet, path: "/v1/gateways/{id}", id: "getGateway", tag: "gateways", summary: "Get a gateway",
			needs: latchkey.OrganizationRead, wide: true, status: http.StatusOK, out: GatewayAnswer{}, run: api.getGateway,
		},
		{
			method: http.MethodPatch, path: "/v1/gateways/{id}", id: "updateGateway", tag: "gateways", summary: "Change a gateway",
			description: "From the next request that it asks about. `routes`, `key_headers` and `management` are replaced as a whole; null lets keys of either environment through.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: gatewayPatch{}, query: patience, status: http.StatusOK, out: changedGatewayAnswer{}, run: api.updateGateway,
		},
		{
			method: http.MethodPost, path: "/v1/gateways/{id}/rotate-token", id: "rotateGatewayToken", tag: "gateways", summary: "Give a gateway a new token",
			description: "The old one ends at once, and the gateway lets nothing through until it has the new one.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, query: patience, status: http.StatusOK, out: issuedGatewayAnswer{}, run: api.rotateGatewayToken,
		},
		{
			method: http.MethodDelete, path: "/v1/gateways/{id}", id: "deleteGateway", tag: "gateways", summary: "Delete a gateway",
			description: "Its token opens nothing from now on.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, query: patience, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteGateway,
		},

		{
			method: http.MethodGet, path: "/v1/issuers", id: "listIssuers", tag: "issuers", summary: "List issuers",
			needs: latchkey.OrganizationRead, wide: true, query: paging, status: http.StatusOK, out: page[IssuerAnswer]{}, run: api.listIssuers,
		},
		{
			method: http.MethodPost, path: "/v1/issuers", id: "createIssuer", tag: "issuers", summary: "Create an issuer",
			description: "An OpenID provider whose tokens are credentials: whoever has one, for one of the audiences, may do what the roles may to which its claim is mapped. Its keys are found by OpenID Connect Discovery. Nobody maps to more than they could give, and no two issuers have the same URL and an audience in common.",
			needs:       latchkey.OrganizationUpdate, wide: true, idempotent: true, limit: body.MaxManagement, in: issuerInput{}, status: http.StatusCreated, out: IssuerAnswer{}, run: api.createIssuer,
		},
		{
			method: http.MethodGet, path: "/v1/issuers/{id}", id: "getIssuer", tag: "issuers", summary: "Get an issuer",
			needs: latchkey.OrganizationRead, wide: true, status: http.StatusOK, out: IssuerAnswer{}, run: api.getIssuer,
		},
		{
			method: http.MethodPatch, path: "/v1/issuers/{id}", id: "updateIssuer", tag: "issuers", summary: "Change an issuer",
			description: "From the next of its tokens. Its URL stays. `audiences`, `algorithms` and `roles` are replaced as a whole.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, limit: body.MaxManagement, in: issuerPatch{}, query: patience, status: http.StatusOK, out: changedIssuerAnswer{}, run: api.updateIssuer,
		},
		{
			method: http.MethodDelete, path: "/v1/issuers/{id}", id: "deleteIssuer", tag: "issuers", summary: "Delete an issuer",
			description: "Its tokens open nothing from now on. The keys that its callers made stay.",
			needs:       latchkey.OrganizationUpdate, wide: true, conditional: true, query: patience, status: http.StatusOK, out: effectiveAnswer{}, run: api.deleteIssuer,
		},

		{
			method: http.MethodGet, path: "/v1/events", id: "listEvents", tag: "events", summary: "Read the record of changes",
			description: "Oldest first; give `next_cursor` as `after` to read on. `Accept: text/event-stream` follows it as it grows; `application/x-ndjson` exports all of it, an event a line.",
			needs:       latchkey.EventRead, wide: true, query: eventFilters, status: http.StatusOK, out: page[eventAnswer]{}, run: api.listEvents,
		},

		{
			method: http.MethodGet, path: "/v1/nodes", id: "listNodes", tag: "nodes", summary: "List the nodes",
			description: "The operator's to read: which processes answer verifications from memory, and up to which position each has every change.",
			needs:       latchkey.OrganizationRead, operator: true, status: http.StatusOK, out: nodesAnswer{}, run: api.listNodes,
		},
		{
			method: http.MethodDelete, path: "/v1/nodes/{id}", id: "forgetNode", tag: "nodes", summary: "Forget a node",
			description: "On your word that it is dead: changes do not wait for it any longer, and are answered as effective everywhere without it. A node that lives joins again, but may have accepted a revoked key meanwhile.",
			needs:       latchkey.OrganizationUpdate, operator: true, status: http.StatusOK, out: forgottenAnswer{}, run: api.forgetNode,
		},

		{
			method: http.MethodGet, path: "/v1/keyring", id: "getKeyRing", tag: "key ring", summary: "Get the key ring's versions",
			description: "The operator's to read: numbers, states, fingerprints and how many secrets depend on each; never a key.",
			needs:       latchkey.OrganizationUpdate, operator: true, status: http.StatusOK, out: ringAnswer{}, run: api.getRing,
		},
		{
			method: http.MethodPost, path: "/v1/keyring/versions", id: "addKeyRingVersion", tag: "key ring", summary: "Add a version",
			description: "Pending until it is activated.",
			needs:       latchkey.OrganizationUpdate, operator: true, status: http.StatusCreated, out: ringVersionAnswer{}, run: api.addRingVersion,
		},
		{
			method: http.MethodPost, path: "/v1/keyring/versions/{version}/activate", id: "activateKeyRingVersion", tag: "key ring", summary: "Activate a version",
			needs: latchkey.OrganizationUpdate, operator: true, query: patience, status: http.StatusOK, out: effectiveAnswer{}, run: api.activateRingVersion,
		},
		{
			method: http.MethodPost, path: "/v1/keyring/versions/{version}/retire", id: "retireKeyRingVersion", tag: "key ring", summary: "Retire a version",
			description: "Erases it. Refused while secrets depend on it, unless `force` says that those may die.",
			needs:       latchkey.OrganizationUpdate, operator: true, limit: body.MaxManagement, body: body.EmptyBody | body.MissingContentType, in: retireInput{}, query: patience, status: http.StatusOK, out: effectiveAnswer{}, run: api.retireRingVersion,
		},

		{
			method: http.MethodGet, path: "/v1/tokens/keys", id: "listTokenKeys", tag: "tokens", summary: "Get the keys that sign tokens",
			description: "The operator's to read: which signs, which will, and which are published until their last token has ended.",
			needs:       latchkey.OrganizationUpdate, operator: true, status: http.StatusOK, out: tokenKeysAnswer{}, run: api.listTokenKeys,
		},
		{
			method: http.MethodPost, path: "/v1/tokens/keys/rotate", id: "rotateTokenKeys", tag: "tokens", summary: "Rotate the keys that sign tokens",
			description: "New keys are published, and sign 24 hours later; `now` lets them sign at once. Tokens that were issued stay valid. It happens by itself every 90 days.",
			needs:       latchkey.OrganizationUpdate, operator: true, limit: body.MaxManagement, body: body.EmptyBody | body.MissingContentType, in: rotateTokenKeysInput{}, query: patience, status: http.StatusOK, out: effectiveAnswer{}, run: api.rotateTokenKeys,
		},
		{
			method: http.MethodGet, path: keySetPath, id: "getKeySet", tag: "tokens", summary: "Get the public keys of tokens",
			description: "A JSON Web Key Set (RFC 7517), for whoever checks tokens without asking. The same is at `/.well-known/jwks`.",
			open:        true, bound: opening, status: http.StatusOK, out: keySetAnswer{}, run: api.getKeySet,
		},

		{
			method: http.MethodGet, path: "/healthz", id: "health", tag: "health", summary: "Is the process alive?",
			open: true, bound: unbounded, status: http.StatusOK, out: healthAnswer{}, run: api.health,
		},
		{
			method: http.MethodGet, path: "/readyz", id: "readiness", tag: "health", summary: "Should this node get traffic?",
			open: true, bound: unbounded, status: http.StatusOK, out: readinessAnswer{}, run: api.readiness,
		},
	}
}

func verifying(api *API) door.Bound { return api.verifying }

func opening(api *API) door.Bound { return api.opening }

// unbounded work is answered however busy the node is.
func unbounded(*API) door.Bound { return nil }

// parameter is one query parameter, always a scalar and at most once.
type parameter struct {
	name        string
	kind        string // string, integer, boolean, date-time
	description string
	enum        []string
}

var (
	paging = []parameter{
		{name: "limit", kind: "integer", description: "How many at most, 1 to 100; 25 by default."},
		{name: "cursor", kind: "string", description: "`next_cursor` of the page before."},
	}
	keyFilters = append([]parameter{
		{name: "state", kind: "string", description: "Only keys in this state.", enum: []string{"live", "disabled", "expired", "revoked"}},
		{name: "project_id", kind: "string", description: "Only keys of this project."},
		{name: "role", kind: "string", description: "Only keys with this role, by id or identifier."},
		{name: "owner_id", kind: "string", description: "Only keys that this user owns."},
		{name: "partner", kind: "string", description: "Only keys for this partner, exactly."},
		{name: "search", kind: "string", description: "A part of the name in either case, or the beginning of a kid."},
		{name: "expiring_before", kind: "date-time", description: "Only keys that expire before this time and are not revoked."},
		{name: "unused_since", kind: "date-time", description: "Only keys made before this time, not used since and not revoked."},
		{name: "sort", kind: "string", description: "The order; `-` before the name is descending. `-created` by default.", enum: []string{"created", "-created", "updated", "-updated", "name", "-name", "expires_at", "-expires_at"}},
	}, paging...)
	usageFilters = append([]parameter{
		{name: "since", kind: "date-time", description: "Only hours that began at this time or later."},
		{name: "before", kind: "date-time", description: "Only hours that began before this time."},
	}, paging...)
	eventFilters = []parameter{
		{name: "after", kind: "integer", description: "Only events after this position; 0 for all. A stream takes the Last-Event-ID header before it."},
		{name: "type", kind: "string", description: "Only events of this type."},
		{name: "object", kind: "string", description: "Only events about this object, by its native id."},
		{name: "limit", kind: "integer", description: "How many at most, 1 to 100; 25 by default."},
		{name: "everywhere", kind: "boolean", description: "Every organization's events and the installation's; the operator's to ask."},
	}
	patience = []parameter{
		{name: waiting, kind: "string", description: "How long to wait for every node, 0s to 30s; 2s by default. What is not everywhere by then is answered as pending."},
	}
	revoking = append([]parameter{
		{name: "revoke_keys", kind: "boolean", description: "Revoke the keys that hang on it first; without it they are in the way (409)."},
	}, patience...)
)
