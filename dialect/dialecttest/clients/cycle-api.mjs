// Runs every operation of the Cycle document with the vendor's older client,
// @cycleplatform/cycle-api, unmodified: only the URL is another.
//
// From the environment: URL, HUB, KEY (an administrator's), ROLE and OTHER_ROLE (ids
// of roles that it may give), DISABLED (a key that is).
import assert from "node:assert/strict";
import cycle from "@cycleplatform/cycle-api";

const { URL: url, HUB: hubId, KEY: token, ROLE: role, OTHER_ROLE: otherRole, DISABLED: disabled } = process.env;
const keys = cycle.Hubs.ApiKeys;
const to = { token, hubId, settings: { url: `${url}/v1` } };
let operations = 0;

function took(result) {
  operations++;
  assert.equal(result.ok, true, JSON.stringify(result));
  return result.value;
}

function refused(result, status, code) {
  operations++;
  assert.equal(result.ok, false, JSON.stringify(result));
  assert.equal(result.error.status, status);
  assert.equal(result.error.code, code);
  assert.ok(result.error.title);
  return result.error;
}

const fields = ["creator", "events", "hub_id", "id", "ips", "name", "role_id", "secret", "state"];

// createApiKey, also with what the client's types still have and the document has not.
const made = took(await keys.create({ ...to, value: { name: "from node", role_id: role, ips: ["10.0.0.0/8"] } })).data;
assert.deepEqual(Object.keys(made).sort(), fields);
assert.match(made.id, /^[0-9a-f]{24}$/);
assert.equal(made.hub_id, hubId);
assert.equal(made.state.current, "live");
assert.deepEqual(made.ips, ["10.0.0.0/8"]);
assert.ok(!made.secret.endsWith("..."));
const second = took(await keys.create({ ...to, value: { name: "another", role_id: role, ips: null, capabilities: { all: false, specific: [] } } })).data;
refused(await keys.create({ ...to, value: { name: "no role", capabilities: { all: true, specific: [] }, ips: null } }), 422, "422.missing-argument");

// getApiKeys
const all = took(await keys.getCollection(to)).data;
assert.ok(all.length >= 3);
assert.equal(all[0].id, second.id, "newest first");
for (const k of all) {
  assert.deepEqual(Object.keys(k).sort(), fields);
  assert.ok(k.secret.endsWith("..."));
}
const query = { sort: ["-name", "id"], filter: { search: "FROM", state: ["live", "deleted"] }, page: { number: 1, size: 5 }, include: ["roles"] };
const found = took(await keys.getCollection({ ...to, query }));
assert.deepEqual(found.data.map((k) => k.id), [made.id]);
assert.equal(found.includes.roles[role].id, role);
assert.deepEqual(took(await keys.getCollection({ ...to, query: { page: { number: 9, size: 100 } } })).data, []);
assert.deepEqual(took(await keys.getCollection({ ...to, query: { sort: ["created"], page: { number: 2, size: all.length - 1 } } })).data.map((k) => k.id), [second.id]);
assert.equal(refused(await keys.getCollection({ ...to, query: { sort: ["secret"] } }), 422, "422.invalid-argument").source, "/query/sort");

// getAPIKey
const single = took(await keys.getSingle({ ...to, apiKeyId: made.id, query: { include: ["roles"] } }));
assert.equal(single.data.name, "from node");
assert.ok(single.includes.roles[role].capabilities);
refused(await keys.getSingle({ ...to, apiKeyId: "651586fca6078e98982dbd90" }), 404, "404.hub.api-key");

// updateAPIKey
const updated = took(await keys.update({ ...to, keyId: made.id, value: { name: "renamed" } })).data;
assert.equal(updated.name, "renamed");
assert.deepEqual(updated.ips, ["10.0.0.0/8"]);
assert.equal(took(await keys.update({ ...to, keyId: made.id, value: { ips: null, role_id: otherRole } })).data.ips, null);

// The key that was made is one: it authenticates here, with what its role gives.
const own = { ...to, token: second.secret };
assert.deepEqual(refused(await keys.getCollection(own), 403, "403.permissions").extra, { capability: "api-keys-manage" });

// deleteAPIKey
const gone = took(await keys.remove({ ...to, keyId: made.id })).data;
assert.equal(gone.state.current, "deleted");
assert.notEqual(gone.events.deleted, "0001-01-01T00:00:00Z");
refused(await keys.remove({ ...to, keyId: made.id }), 404, "404.hub.api-key");
took(await keys.remove({ ...to, keyId: second.id }));
refused(await keys.getCollection(own), 401, "401.auth-invalid");

// Who may not
refused(await keys.getCollection({ ...to, token: "nonsense" }), 401, "401.auth-invalid");
refused(await keys.getCollection({ ...to, token: disabled }), 403, "403.invalid-state");
refused(await keys.getCollection({ ...to, hubId: "651586fca6078e98982dbd90" }), 403, "403.wrong-hub");

console.log(`${operations} operations`);
