package rest

import "latchkey.dev/latchkey"

// advice is what the page says of an error code: what happened, and what to do.
type advice struct{ Meaning, Do string }

// advices explains every code; a test counts them.
var advices = map[latchkey.ErrorCode]advice{
	latchkey.CodeUnauthenticated: {
		"No credential came, or more than one, or one that does not hold: unknown, revoked, disabled, expired, or no longer good when the change was to be made. These are not told apart.",
		"Send one key of yours as `Authorization: Bearer …`. To find out what is wrong with it, ask `POST /v1/keys/explain` with another one.",
	},
	latchkey.CodeTooManyRequests: {
		"Too many failed credentials came from your address, or your organization makes more changes than its `limits.changes_per_second`. A good credential is not held up by failed ones.",
		"Wait as long as `Retry-After` says, and send the request again.",
	},
	latchkey.CodeBusy: {
		"This node has as much work in flight as it takes. Nothing was done.",
		"Send the request again in a moment.",
	},
	latchkey.CodeForbidden: {
		"Your key is good, but lacks the permission that the operation needs, or is bound to one project where the whole organization is concerned, or may not be used from this address, or what was asked is for the operator's owner and admin.",
		"Use a key that has the permission that `detail` names, or have it given.",
	},
	latchkey.CodeMethodNotAllowed: {
		"The path exists, the method does not.",
		"Use a method of the `Allow` header.",
	},
	latchkey.CodeUnsupportedMediaType: {
		"The body is not announced as plain JSON, or is compressed.",
		"Send `Content-Type: application/json`, once, and no `Content-Encoding`.",
	},
	latchkey.CodeTooLarge: {
		"The body is longer than the operation takes: 64 KiB, 16 KiB for a verification, 1 MiB for many items.",
		"Send less at a time.",
	},
	latchkey.CodeMalformedBody: {
		"The body cannot be read: it is not JSON, not UTF-8, nested deeper than 32, has a member twice or one that does not exist, or a value of the wrong type. `errors` says where.",
		"Mend that place; the schema of the body is with the operation.",
	},
	latchkey.CodeInvalid: {
		"The request was read and breaks a rule: of a member, a query parameter or a header. `errors` has every broken rule, up to a hundred.",
		"Mend what `errors` names. An object that it calls unknown does not exist or is out of your reach.",
	},
	latchkey.CodeCeiling: {
		"What would come about could do more than you can, or stand in rank above you. Nobody gives away what they do not have, save what a permission `grant:…` lets them give, and nothing lifts rank.",
		"Give less, or have it done by somebody who may.",
	},
	latchkey.CodeNotFound: {
		"There is no such object, or it is not within your reach: another organization's, or another project's. The two are the same answer.",
		"Check the id, and that your key belongs to the right organization and reaches its project.",
	},
	latchkey.CodeConflict: {
		"The present state does not allow it: a name is taken, keys still hang on what is to be deleted, the key is revoked.",
		"`detail` says what is in the way.",
	},
	latchkey.CodePreconditionFailed: {
		"The object was changed after you read it: `If-Match` names another revision.",
		"Read it again, decide again, and send the new `ETag`.",
	},
	latchkey.CodeIdempotencyMismatch: {
		"This `Idempotency-Key` was used for the same route with another body.",
		"Use a new one for each call, and the same one for its repetitions alone.",
	},
	latchkey.CodeIdempotentSecretExpired: {
		"The call was made before and has succeeded, but more than 15 minutes ago, so its secret cannot be told again. `object` is the key that was made.",
		"Rotate that key to get a new secret, or revoke it and make another.",
	},
	latchkey.CodeRotationInProgress: {
		"The key has two secrets already, and a third would leave one without an end.",
		"Complete or cancel the rotation that runs, or wait for its end.",
	},
	latchkey.CodeUnavailable: {
		"The store cannot be used now, and nothing was changed, unless `detail` says that the change may have been made.",
		"Send the request again later; a creating one with the same `Idempotency-Key`, so that it is not made twice.",
	},
	latchkey.CodeInternal: {
		"Something failed on our side. The cause is in the log and is not told.",
		"Tell whoever runs the authority the `request_id`.",
	},
}

// verdictMeanings explains every verdict; a test counts them.
var verdictMeanings = map[latchkey.Code]string{
	latchkey.CodeValid:              "The key may do this, now.",
	latchkey.CodeMalformed:          "This has not the form of a key, and no imported key is it.",
	latchkey.CodeUnknown:            "There is no such key within your reach, or its secret is wrong.",
	latchkey.CodeRevoked:            "The key was revoked, for good.",
	latchkey.CodeDisabled:           "The key is disabled, or its owner is suspended or gone, or its organization is suspended.",
	latchkey.CodeExpired:            "The key has expired, or this secret of it, after a rotation.",
	latchkey.CodeWrongEnvironment:   "The key is for the other environment than `environment` asks for.",
	latchkey.CodeIPNotAllowed:       "The key has a list of addresses, and `ip` is not on it or was not given.",
	latchkey.CodeSignatureRequired:  "The key's requests have to be signed, and this one is not, or its `signature` was not given.",
	latchkey.CodeSignatureInvalid:   "The signature does not hold over this request, is too old, or was used before. `explain` says which.",
	latchkey.CodeResourceNotAllowed: "The key is restricted to other resources of this type.",
	latchkey.CodeInsufficientScope:  "The key lacks a permission that `scopes` asks for.",
	latchkey.CodeRateLimited:        "Reserved; not given by this version.",
	latchkey.CodeQuotaExceeded:      "Reserved; not given by this version.",
	latchkey.CodeVerifyUnavailable:  "Nothing can be said now. Treat it as a refusal.",
}

// example is a call that works as it stands, once its ids and its key are real.
// A test runs every one, and holds the answer against the one that is shown.
type example struct {
	path    string // with the ids and the query; "" for the operation's
	headers []string
	body    string
	answer  string // as much of it as is worth showing; "" for none
}

// examples are the calls that most people need first.
var examples = map[string]example{
	"createKey": {
		headers: []string{"Idempotency-Key: $(uuidgen)"},
		body: `{
    "name": "Acme production",
    "partner": "Acme Inc.",
    "scopes": ["orders:read"],
    "restrictions": {"addresses": ["203.0.113.0/24"]}
  }`,
		answer: createdKey,
	},
	"listKeys": {path: "/v1/keys?state=live&search=acme&sort=name&limit=50"},
	"verifyKey": {
		body: `{
    "key": "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp",
    "ip": "203.0.113.9",
    "scopes": ["orders:read"]
  }`,
		answer: verdict,
	},
	"explainKey": {body: `{"key": "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp"}`},
	"importKeys": {body: `{
    "scheme": "sha256",
    "items": [{
      "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      "public": "old_9f2c",
      "name": "From the old system"
    }]
  }`},
	"revokeSelf":         {body: `{"key": "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp"}`},
	"getKey":             {path: "/v1/keys/key_0d5qh0w2e9x8v3k7m1ac"},
	"updateKey":          {path: "/v1/keys/key_0d5qh0w2e9x8v3k7m1ac", body: `{"scopes": ["orders:*"], "restrictions": null}`},
	"rotateKey":          {path: "/v1/keys/key_0d5qh0w2e9x8v3k7m1ac/rotate", body: `{"overlap": "24h"}`},
	"revokeKey":          {path: "/v1/keys/key_0d5qh0w2e9x8v3k7m1ac/revoke", body: `{"reason": "found in a public repository"}`},
	"createOrganization": {body: `{"name": "Acme Inc."}`},
	"createProject":      {body: `{"name": "Sandbox", "prefix": "acme", "environment": "test"}`},
	"createUser":         {body: `{"name": "Ada Lovelace", "email": "ada@example.com", "roles": [{"role": "manager"}]}`},
	"createRole":         {body: `{"identifier": "order_clerk", "name": "Order clerk", "rank": 1, "permissions": ["orders:*"]}`},
	"listEvents":         {path: "/v1/events?after=0&type=key.created"},
}

const createdKey = `{
  "key": {
    "id": "key_0d5qh0w2e9x8v3k7m1ac",
    "organization_id": "org_0d5qh0w2e9x8v3k7m1ac",
    "project_id": "prj_0d5qh0w2e9x8v3k7m1ac",
    "reach": "project",
    "name": "Acme production",
    "environment": "live",
    "owner_id": null,
    "partner": "Acme Inc.",
    "role": null,
    "scopes": ["orders:read"],
    "restrictions": {"addresses": ["203.0.113.0/24"], "resources": {}},
    "state": "live",
    "enabled": true,
    "retrievable": false,
    "masked": "acme_live_7Hk2mQ9xTz4LpW0e_...",
    "secrets": [{
      "kid": "7Hk2mQ9xTz4LpW0e",
      "created_at": "2026-01-02T03:04:05.678Z",
      "expires_at": null,
      "last_used_at": null
    }],
    "rotation": null,
    "signing": null,
    "metadata": {},
    "created_at": "2026-01-02T03:04:05.678Z",
    "updated_at": "2026-01-02T03:04:05.678Z",
    "created_by": "usr_0d5qh0w2e9x8v3k7m1ac",
    "expires_at": null,
    "last_used_at": null,
    "last_address": null,
    "last_user_agent": null
  },
  "secret": "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp",
  "usable": "everywhere",
  "position": 42
}`

const verdict = `{
  "valid": true,
  "code": "valid",
  "as_of": "2026-01-02T03:04:05.678Z",
  "node": "keys-1",
  "key_id": "key_0d5qh0w2e9x8v3k7m1ac",
  "kid": "7Hk2mQ9xTz4LpW0e",
  "organization_id": "org_0d5qh0w2e9x8v3k7m1ac",
  "project_id": "prj_0d5qh0w2e9x8v3k7m1ac",
  "environment": "live",
  "owner_id": null,
  "partner": "Acme Inc.",
  "role": null,
  "permissions": ["orders:read"],
  "metadata": {},
  "signed": false,
  "expires_at": null
}`
