// What the app does, one step after another; each returns what it found.
import * as client from "openid-client";
import { importKey } from "./app.mjs";

async function authorize(app) {
  const verifier = client.randomPKCECodeVerifier();
  const checks = {
    pkceCodeVerifier: verifier,
    expectedNonce: client.randomNonce(),
    expectedState: client.randomState(),
    idTokenExpected: true,
  };
  const parameters = {
    redirect_uri: app.registered.redirect_uris[0],
    scope: app.registered.scope,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    nonce: checks.expectedNonce,
    state: checks.expectedState,
    ...app.parameters,
  };
  if (parameters.max_age !== undefined) checks.maxAge = Number(parameters.max_age);
  const url = app.request_object
    ? await client.buildAuthorizationUrlWithJAR(
        app.config,
        parameters,
        await importKey(app.request_object),
      )
    : client.buildAuthorizationUrl(app.config, parameters);
  const back = await app.visit(url);
  return { url, back, checks };
}

function header(jwt) {
  return JSON.parse(Buffer.from(jwt.split(".")[0], "base64url").toString());
}

export const steps = {
  async register({ registered }) {
    return registered;
  },

  async read_registration({ config, registered }) {
    const { registration_access_token: token, registration_client_uri: uri } = registered;
    const answer = await client.fetchProtectedResource(config, token, new URL(uri), "GET");
    return await answer.json();
  },

  async sign_in(app) {
    const { url, back, checks } = await authorize(app);
    app.tokens = await client.authorizationCodeGrant(app.config, back, checks);
    app.claims = app.tokens.claims();
    const { token_type, scope, id_token } = app.tokens;
    return {
      asked: Object.fromEntries(url.searchParams),
      back: back instanceof Request ? "POST" : back.hash ? "fragment" : "query",
      token_type,
      scope,
      id_token: header(id_token),
      claims: app.claims,
    };
  },

  async sign_in_without_code(app) {
    const { back, checks } = await authorize(app);
    return await client.implicitAuthentication(app.config, back, checks.expectedNonce, {
      expectedState: checks.expectedState,
    });
  },

  async connect_device(app) {
    const { scope } = app.registered;
    const device = await client.initiateDeviceAuthorization(app.config, { scope });
    const polled = client.pollDeviceAuthorizationGrant(app.config, device);
    await Promise.race([app.open(new URL(device.verification_uri_complete)), polled]);
    app.tokens = await polled;
    app.claims = app.tokens.claims();
    return { claims: app.claims };
  },

  async be_refused_as_device(app) {
    const { scope } = app.registered;
    const device = await client.initiateDeviceAuthorization(app.config, { scope });
    await app.open(new URL(device.verification_uri_complete));
    try {
      await client.pollDeviceAuthorizationGrant(app.config, device);
    } catch (error) {
      return { name: error.name, error: error.error, code: error.code };
    }
    throw new Error("the device got in");
  },

  async be_refused(app) {
    const { back, checks } = await authorize(app);
    try {
      await client.authorizationCodeGrant(app.config, back, checks);
    } catch (error) {
      return { name: error.name, error: error.error, code: error.code };
    }
    throw new Error("the app got in");
  },

  async userinfo(app) {
    return await client.fetchUserInfo(app.config, app.tokens.access_token, app.claims.sub);
  },

  async refresh(app) {
    const refreshTokens = new Set();
    for (let round = 0; round < 3; round += 1) {
      app.tokens = await client.refreshTokenGrant(app.config, app.tokens.refresh_token);
      refreshTokens.add(app.tokens.refresh_token);
    }
    return {
      refresh_tokens: refreshTokens.size,
      sub: app.tokens.claims()?.sub,
      userinfo: await client.fetchUserInfo(app.config, app.tokens.access_token, app.claims.sub),
    };
  },

  async introspect(app) {
    return await client.tokenIntrospection(app.config, app.tokens.access_token);
  },

  async revoke(app) {
    await client.tokenRevocation(app.config, app.tokens.refresh_token);
    try {
      await client.refreshTokenGrant(app.config, app.tokens.refresh_token);
    } catch (error) {
      return { name: error.name, error: error.error, status: error.status };
    }
    throw new Error("a revoked token was good");
  },

  async introspect_revoked(app) {
    return await client.tokenIntrospection(app.config, app.tokens.access_token);
  },

  async client_credentials(app) {
    const { scope } = app.parameters;
    const tokens = await client.clientCredentialsGrant(app.config, { scope });
    const { active, client_id } = await client.tokenIntrospection(app.config, tokens.access_token);
    return { token_type: tokens.token_type, scope: tokens.scope, active, client_id };
  },

  async sign_out(app) {
    const url = client.buildEndSessionUrl(app.config, {
      id_token_hint: app.tokens.id_token,
      post_logout_redirect_uri: app.registered.post_logout_redirect_uris[0],
      state: "bye",
    });
    return { back: (await app.visit(url)).href };
  },

  async discover({ config }) {
    return config.serverMetadata();
  },
};
