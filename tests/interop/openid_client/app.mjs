// The app as openid-client sees it: discovered or registered, with its ways and its keys.
import * as client from "openid-client";

const SIGN = ["sign"];
const ALGORITHMS = {
  ES256: [{ name: "ECDSA", namedCurve: "P-256" }, SIGN],
  RS256: [{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, SIGN],
  "ECDH-ES": [{ name: "ECDH", namedCurve: "P-256" }, ["deriveBits"]],
  "RSA-OAEP-256": [{ name: "RSA-OAEP", hash: "SHA-256" }, ["decrypt"]],
};

export async function importKey({ jwk, alg }) {
  const [algorithm, usages] = ALGORITHMS[alg];
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, usages);
  return { key, kid: jwk.kid };
}

async function authentication(metadata, signing) {
  const secret = metadata.client_secret;
  switch (metadata.token_endpoint_auth_method) {
    case "client_secret_basic":
      return client.ClientSecretBasic(secret);
    case "client_secret_post":
      return client.ClientSecretPost(secret);
    case "client_secret_jwt":
      return client.ClientSecretJwt(secret);
    case "private_key_jwt":
      return client.PrivateKeyJwt(await importKey(signing));
    case "none":
      return client.None();
    default:
      throw new Error(`no such method: ${metadata.token_endpoint_auth_method}`);
  }
}

async function configure({ issuer, registered, registration, signing, algorithm = "oidc" }) {
  const server = new URL(issuer);
  const auth = await authentication(registered ?? registration, signing);
  if (registration) return await client.dynamicClientRegistration(server, registration, auth);
  const { client_id } = registered;
  return await client.discovery(server, client_id, registered, auth, { algorithm });
}

export async function connect(given, person) {
  const config = await configure(given);
  // Without this, what comes straight from the token endpoint is believed unsigned.
  client.enableNonRepudiationChecks(config);
  if (given.flow === "hybrid") {
    client.useCodeIdTokenResponseType(config);
    client.enableDetachedSignatureResponseChecks(config);
  }
  if (given.flow === "implicit") client.useIdTokenResponseType(config);
  if (given.decryption) {
    const { alg, enc } = given.decryption;
    client.enableDecryptingResponses(config, [enc], { ...(await importKey(given.decryption)), alg });
  }
  return { ...given, ...person, config, registered: config.clientMetadata() };
}
