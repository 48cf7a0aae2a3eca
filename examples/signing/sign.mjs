#!/usr/bin/env node
// Sends one signed request, with Node.js alone:
//
//   LATCHKEY_KEY=lk_live_… LATCHKEY_SIGNING_KEY=lk_sgn_… ./sign.mjs POST 'https://api.example.com/v1/plants?dry=1' '{"hello": "world"}'
import { createHash, createHmac, randomBytes } from "node:crypto";

const withoutBody = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

// kidOf is the public key id in a key.
const kidOf = (key) => (key.startsWith("sk-") ? key.slice(3, 19) : key.split("_")[2]);

// signedHeaders are the headers that sign the request (RFC 9421, profile apikey-v1).
export function signedHeaders(key, signingKey, method, url, body = "") {
  const { host, pathname, search } = new URL(url); // as fetch sends them
  const covered = [
    ["@method", method],
    ["@authority", host],
    ["@path", pathname],
    ["@query", search || "?"],
  ];
  const headers = { Authorization: `Bearer ${key}` };
  if (body || !withoutBody.has(method)) {
    headers["Content-Digest"] = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    covered.push(["content-digest", headers["Content-Digest"]]);
  }
  const names = covered.map(([name]) => `"${name}"`).join(" ");
  const created = Math.floor(Date.now() / 1000);
  const parameters = `(${names});created=${created};nonce="${randomBytes(16).toString("hex")}";keyid="${kidOf(key)}";tag="apikey-v1"`;
  const base = covered.map(([name, value]) => `"${name}": ${value}\n`).join("") + `"@signature-params": ${parameters}`;
  headers["Signature-Input"] = `sig1=${parameters}`;
  headers["Signature"] = `sig1=:${createHmac("sha256", signingKey).update(base).digest("base64")}:`;
  return headers;
}

const [method, url, body] = process.argv.slice(2);
const headers = signedHeaders(process.env.LATCHKEY_KEY, process.env.LATCHKEY_SIGNING_KEY, method, url, body);
if (body) headers["Content-Type"] = "application/json";
const answer = await fetch(url, { method, headers, body: body || undefined });
console.log(await answer.text());
console.log(answer.status);
