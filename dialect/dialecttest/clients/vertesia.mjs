// Runs each operation of Vertesia's document with the published client named by
// CLIENT, against BASE with the key KEY, and holds every answer to the vendor's
// own schemas. It prints how many checks there were, and fails at the first that
// does not hold.
import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const { BASE, KEY, CLIENT } = process.env;
const { VertesiaClient } = await import(CLIENT);
const oldest = CLIENT.endsWith("1.2.0");

const schemas = JSON.parse(readFileSync("node_modules/@vertesia/common/lib/api-contract/components.generated.json", "utf8"));
const ajv = new Ajv2020.default({ strictSchema: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: "vertesia://openapi", components: { schemas } });

let checks = 0;
function check(holds, what) {
  checks++;
  assert.ok(holds, what);
}
function same(got, want, what) {
  checks++;
  assert.deepEqual(got, want, what);
}
function fits(name, value) {
  const valid = ajv.compile({ $ref: `vertesia://openapi#/components/schemas/${name}` });
  check(valid(value), `${name}: ${ajv.errorsText(valid.errors)} in ${JSON.stringify(value)}`);
  return value;
}
async function refused(status, call) {
  checks++;
  await assert.rejects(call, (e) => e.status === status && typeof e.payload.error === "string" && e.payload.status === status && e.message.length > 0);
}
// The clients tell of refused exchanges on the console; that is expected below.
const quietly = async (run) => {
  const loud = console.error;
  console.error = () => {};
  try {
    return await run();
  } finally {
    console.error = loud;
  }
};
const connect = (apikey) => new VertesiaClient({ serverUrl: BASE, storeUrl: BASE, tokenServerUrl: BASE, apikey });

const client = connect(KEY);
const later = new Date(Date.now() + 86400_000).toISOString();

// create
const payload = { name: "from the client", type: "sk", role: "admin", expires_at: later, properties: { team: "grid" }, clearance: 2, compartments: ["a"] };
if (oldest) payload.enabled = true; // its type is a part of a whole key
const made = fits("ApiKeyWithValue", await client.apikeys.create(payload));
same([made.name, made.role, made.type, made.enabled, made.expires_at], ["from the client", "admin", "sk", true, later]);
same([made.properties, made.clearance, made.compartments], [{ team: "grid" }, 2, ["a"]]);
check(made.value.startsWith("sk-") && made.value.startsWith(made.maskedValue.slice(0, -3)), "the value");

// the rest with the key that was made, which is exchanged
const own = connect(made.value);
for (const level of ["account", "project"]) {
  const list = fits("ApiKeyArray", await own.apikeys.list(level));
  check(list.some((k) => k.id === made.id) && list.every((k) => !("value" in k)), level);
}
fits("ApiKeyArray", await own.apikeys.list());
const read = fits("ApiKeyReadResponse", await own.apikeys.retrieve(made.id));
check(!("value" in read), "a value that was not asked for");
const whole = fits("ApiKeyWithValue", await own.apikeys.retrieve(made.id, true));
same(whole.value, made.value, "the value again");

// update
const second = await own.apikeys.create({ name: "second", role: "developer" });
const changed = fits("ApiKey", await own.apikeys.update(second.id, { name: "renamed", role: "reader", enabled: false }));
same([changed.name, changed.role, changed.enabled, changed.updated_by], ["renamed", "reader", false, `apikey:${made.id}`]);
await refused(400, () => own.apikeys.getToken(second.id));
fits("ApiKey", await own.apikeys.update(second.id, { enabled: true }));

// tokens
const { token } = fits("AuthTokenResponse", await own.apikeys.getToken(second.id));
const [head, body, signature] = token.split(".");
const header = JSON.parse(Buffer.from(head, "base64url"));
const claims = JSON.parse(Buffer.from(body, "base64url"));
same([claims.sub, claims.type, claims.iss, claims.aud, claims.exp - claims.iat], [second.id, "apikey", BASE, BASE, 3600]);
same([claims.project_roles, claims.account_roles, claims.apps], [["reader"], [], []]);
same(claims.endpoints, { studio: BASE, store: BASE, token: BASE });
fits("AccountRef", claims.account);
fits("ProjectRef", claims.project);
for (const p of claims.permissions) fits("Permission", p);
for (const at of ["jwks", "jwks.json"]) {
  const { keys } = await (await fetch(`${claims.iss}/.well-known/${at}`)).json();
  const jwk = keys.find((k) => k.kid === header.kid);
  same([jwk.alg, jwk.use, header.alg], ["ES256", "sig", "ES256"]);
  const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" };
  check(verify("sha256", Buffer.from(`${head}.${body}`), key, Buffer.from(signature, "base64url")), at);
}
const direct = await fetch(`${BASE}/token/issue`, { method: "POST", headers: { authorization: `Bearer ${made.value}`, "content-type": "application/json" } });
fits("IssueTokenResponse", await direct.json());
const asked = await fetch(`${BASE}/token/issue`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ type: "apikey", key: made.value, algorithm: "RS256", audience: "https://elsewhere.example" }),
});
fits("IssueTokenResponse", await asked.json());
const denied = await fetch(`${BASE}/token/issue`, {
  method: "POST",
  headers: { authorization: `Bearer ${made.value}`, "content-type": "application/json" },
  body: JSON.stringify({ type: "user" }),
});
same(denied.status, 403);
fits("IssueTokenForbiddenResponse", await denied.json());

// whose the client is
same((await own.getAccount()).id, made.account);
same(await own.getProject(), made.project);

// a client of a token, which finds everything in it
const { token: strong } = await own.apikeys.getToken(made.id);
const borne = await VertesiaClient.fromAuthToken(strong);
fits("ApiKeyArray", await borne.apikeys.list());
same((await borne.getAccount()).id, made.account);

// roles
if (!oldest) fits("SystemRoleDefinitionArray", await own.iam.roles.listSystem());
fits("RoleDefinitionArray", await own.iam.roles.list());

// what is refused
await refused(404, () => own.apikeys.requestPublicKey({ name: "n", ttl: 60 }));
await refused(400, () => own.apikeys.create({ name: "n", role: "boss" }));
await refused(400, () => own.apikeys.create({ name: "n", role: "reader", type: "pk" }));
if (!oldest) await refused(400, () => own.apikeys.create({ name: "n", role: "reader", unheard: 1 }));
await refused(404, () => own.apikeys.retrieve("0123456789abcdef01234567"));
await quietly(() => refused(401, () => connect("sk-nonsense").apikeys.list()));
const reader = await own.apikeys.create({ name: "reader", role: "reader" });
await refused(403, () => connect(reader.value).apikeys.list());

// delete, and what is left
fits("DeleteOperationResult", await own.apikeys.delete(second.id));
await refused(404, () => own.apikeys.delete(second.id));
await refused(404, () => own.apikeys.retrieve(second.id));
fits("DeleteOperationResult", await client.apikeys.delete(made.id));
await quietly(() => refused(401, () => own.apikeys.list())); // its token is dead at once
await refused(401, () => borne.apikeys.list());

console.log(`${checks} checks`);
