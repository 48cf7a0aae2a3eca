// A real OpenID provider on a free port of this machine. Its clients get access
// tokens by their credentials: signed JWTs for the audience "latchkey", which say
// the client's groups. It prints its address, and serves until it is killed.
//
// CLIENTS is a JSON object of client ids and the groups of each.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const groups = JSON.parse(process.env.CLIENTS);
const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg,
});

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: Object.keys(groups).map((id) => ({
      client_id: id, client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    })),
    jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:latchkey',
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'manage', audience: resource === 'urn:latchkey' ? 'latchkey' : 'elsewhere', accessTokenFormat: 'jwt',
          jwt: { sign: { alg: resource === 'urn:rs' ? 'RS256' : 'ES256' } }, accessTokenTTL: 600,
        }),
      },
    },
    extraTokenClaims: (ctx, token) => ({ groups: groups[token.clientId] }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
