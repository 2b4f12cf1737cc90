// The peer: oidc-provider, set up to do what the cells of the benchmark ask for, and no more.
//
// PEER_SETTINGS is JSON: {port, jwks, service: [id, secret], web: [id, secret, redirect URI],
// resources: {URI: algorithm}, seconds: {kind of token: life}}. PEER_REDIS_URL, where it is set,
// names the Redis that keeps everything; without it the process's memory does.

import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.PEER_SETTINGS);
const [serviceId, serviceSecret] = settings.service;
const [webId, webSecret, redirectUri] = settings.web;
const SCOPES = ['openid', 'offline_access', 'api:read'];

const configuration = {
  jwks: settings.jwks,
  clients: [
    {
      client_id: serviceId,
      client_secret: serviceSecret,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      scope: 'api:read',
    },
    {
      client_id: webId,
      client_secret: webSecret,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [redirectUri],
      scope: SCOPES.join(' '),
      id_token_signed_response_alg: 'ES256',
    },
  ],
  scopes: SCOPES,
  cookies: { keys: [serviceSecret] },
  pkce: { required: () => true },
  ttl: settings.seconds,
  features: {
    clientCredentials: { enabled: true },
    // Its own pages for signing in and consent: they are used before anything is measured.
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        scope: 'api:read',
        accessTokenFormat: 'jwt',
        accessTokenTTL: settings.seconds.ClientCredentials,
        jwt: { sign: { alg: settings.resources[resource] } },
      }),
    },
  },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  // Every refresh yields another token, and every sign-in the first, as the service does.
  rotateRefreshToken: () => true,
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
};

if (process.env.PEER_REDIS_URL) {
  const { RedisAdapter } = await import('./redis_adapter.mjs');
  configuration.adapter = RedisAdapter;
}

const provider = new Provider(`http://127.0.0.1:${settings.port}`, configuration);
provider.on('server_error', (_, error) => console.error(error));
provider.listen(settings.port, '127.0.0.1');
