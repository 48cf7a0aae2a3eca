// Runs every operation of the Cycle document with openapi-fetch, set up as the
// vendor's present client is: bearer and X-Hub-Id in every request, and the
// defaults of its serializers.
//
// The environment is that of cycle-api.mjs.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";

const { URL: baseUrl, HUB: hub, KEY: key, ROLE: role, OTHER_ROLE: otherRole, DISABLED: disabled } = process.env;
const client = (token, hubID) => createClient({ baseUrl, headers: { Authorization: `Bearer ${token}`, "X-Hub-Id": hubID } });
const api = client(key, hub);
const zeroTimeString = "0001-01-01T00:00:00Z";
let operations = 0;

function took({ data, error, response }, status = 200) {
  operations++;
  assert.equal(error, undefined, JSON.stringify(error));
  assert.equal(response.status, status);
  assert.match(response.headers.get("Content-Type"), /json/);
  return data;
}

function refused({ data, error, response }, status, code, source) {
  operations++;
  assert.equal(data, undefined);
  assert.equal(response.status, status);
  assert.equal(error.data, null);
  assert.equal(error.error.status, status);
  assert.equal(error.error.code, code);
  assert.equal(error.error.source, source);
}

const collection = "/v1/hubs/current/api-keys";
const one = `${collection}/{apikeyId}`;
const at = (apikeyId, query) => ({ params: { path: { apikeyId }, query } });

// A role, without which no key can be made
const roles = took(await api.GET("/v1/hubs/current/roles", { params: { query: { sort: ["-rank"], filter: { search: "o" }, page: { size: 50, number: 1 } } } })).data;
assert.equal(roles[0].identifier, "owner");
assert.ok(roles.some((r) => r.id === role) || roles.length > 0);
assert.equal(took(await api.GET("/v1/hubs/current/roles/{roleId}", { params: { path: { roleId: role } } })).data.id, role);
refused(await api.GET("/v1/hubs/current/roles/{roleId}", { params: { path: { roleId: "651586fca6078e98982dbd90" } } }), 404, "404.hub.role");

// createApiKey
const made = took(await api.POST(collection, { body: { name: "from fetch", role_id: role, ips: ["192.0.2.0/24"] } }), 201).data;
assert.equal(made.events.updated, zeroTimeString);
assert.equal(made.events.deleted, zeroTimeString);
refused(await api.POST(collection, { body: { role_id: role } }), 422, "422.missing-argument", "/name");
refused(await api.POST(collection, { body: { name: "x", role_id: "651586fca6078e98982dbd90" } }), 422, "422.invalid-input", "/role_id");
refused(await api.POST(collection, { body: { name: "x", role_id: role, ips: ["x"] } }), 422, "422.invalid-argument", "/ips/0");

// getApiKeys: sort is repeated, filter[…] and page[…] have raw brackets
const list = took(await api.GET(collection, { params: { query: { sort: ["-name", "id"], filter: { state: "live,deleted" }, page: { size: 100, number: 1 } } } })).data;
const names = list.map((k) => k.name);
assert.deepEqual(names, [...names].sort().reverse());
assert.ok(list.some((k) => k.id === made.id && k.secret === `${made.secret.slice(0, "lk_live_".length + 16)}_...`));
took(await api.GET(collection));
refused(await api.GET(collection, { params: { query: { filter: { tags: "a" } } } }), 422, "422.invalid-argument", "/query/filter/tags");
refused(await api.GET(collection, { params: { query: { page: { size: 1001 } } } }), 422, "422.invalid-argument", "/query/page/size");

// getAPIKey
assert.equal(took(await api.GET(one, at(made.id, { include: ["roles"] }))).includes.roles[role].id, role);
assert.equal(took(await api.GET(one, at(made.id))).includes, undefined);
refused(await api.GET(one, at("nonsense")), 404, "404.hub.api-key");

// updateAPIKey
const updated = took(await api.PATCH(one, { ...at(made.id), body: { name: "renamed", role_id: otherRole, ips: null } })).data;
assert.equal(updated.name, "renamed");
assert.equal(updated.ips, null);
assert.notEqual(updated.events.updated, zeroTimeString);
assert.deepEqual(took(await api.PATCH(one, { ...at(made.id), body: {} })).data, updated);
refused(await api.PATCH(one, { ...at(made.id), body: { name: null } }), 422, "422.invalid-argument", "/name");

// deleteAPIKey carries a body: without one this client would hand out no data
assert.equal(took(await api.DELETE(one, at(made.id))).data.state.current, "deleted");
refused(await api.DELETE(one, at(made.id)), 404, "404.hub.api-key");

// Who may not
refused(await client("nonsense", hub).GET(collection), 401, "401.auth-invalid");
refused(await client(made.secret, hub).GET(collection), 401, "401.auth-invalid");
refused(await client(disabled, hub).GET(collection), 403, "403.invalid-state");
refused(await client(key, "651586fca6078e98982dbd90").GET(collection), 403, "403.wrong-hub", "/headers/x-hub-id");
refused(await createClient({ baseUrl, headers: { Authorization: `Bearer ${key}` } }).GET(collection), 401, "401.auth-invalid", "/headers/x-hub-id");

console.log(`${operations} operations`);
