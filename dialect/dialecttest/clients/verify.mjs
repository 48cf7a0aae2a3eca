// Checks tokens as an API that never asks the authority does: with jose, by the key
// set at KEYS. It reads lines from standard input: {"reload":true} reads the set
// again, which happens at no other time, and says so; {"jwt":…,"now":…} checks a token at a
// moment, in Unix seconds. At the end it prints how many were good, and why others
// were not.
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const keys = createRemoteJWKSet(new URL(process.env.KEYS), { cacheMaxAge: Infinity, cooldownDuration: Infinity });
const options = { issuer: process.env.ISSUER, audience: process.env.ISSUER, algorithms: ['ES256', 'RS256'], requiredClaims: ['sub', 'exp', 'jti', 'client_id'] };
let good = 0;
const refused = {};
const pending = new Set();

for await (const line of createInterface({ input: process.stdin })) {
  const { reload, jwt, now } = JSON.parse(line);
  if (reload) {
    await keys.reload();
    console.log('read');
    continue;
  }
  const check = jwtVerify(jwt, keys, { ...options, typ: 'at+jwt', currentDate: new Date(now * 1000) })
    .then(() => { good++; }, (e) => { refused[e.code] = (refused[e.code] ?? 0) + 1; })
    .finally(() => pending.delete(check));
  pending.add(check);
  if (pending.size >= 64) await Promise.race(pending);
}
await Promise.all(pending);
console.log(JSON.stringify({ good, refused }));
