"""An app that uses Authlib's httpx client, in a process of its own.

Reads its settings as JSON from standard input, goes the whole way, and prints as JSON
what it found. Everything it knows of the provider comes from discovery.
"""

import json
import sys
from typing import Any

import httpx
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.interop.person import Person


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Sign a person in, use every endpoint, and sign them out."""
    metadata = httpx.get(f"{given['issuer']}/.well-known/openid-configuration").json()
    keys = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
    person = Person(given["username"], given["password"])
    app = OAuth2Client(
        given["client_id"],
        given["client_secret"],
        scope="openid profile email offline_access",
        redirect_uri=given["redirect_uri"],
        code_challenge_method="S256",
    )
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = app.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    back = person.visit(url, until=given["redirect_uri"])
    tokens = app.fetch_token(
        metadata["token_endpoint"],
        authorization_response=back,
        state=state,
        code_verifier=verifier,
    )
    id_token = jwt.decode(
        tokens["id_token"], keys, algorithms=metadata["id_token_signing_alg_values_supported"]
    ).claims
    userinfo = app.get(metadata["userinfo_endpoint"]).json()
    refreshed = set()
    for _ in range(given["refreshes"]):
        tokens = app.refresh_token(metadata["token_endpoint"])
        refreshed.add(tokens["refresh_token"])
    after_refresh = app.get(metadata["userinfo_endpoint"]).status_code
    before = app.introspect_token(
        metadata["introspection_endpoint"], token=tokens["access_token"]
    ).json()
    app.revoke_token(metadata["revocation_endpoint"], token=tokens["refresh_token"])
    after = app.introspect_token(
        metadata["introspection_endpoint"], token=tokens["access_token"]
    ).json()
    logout = httpx.URL(
        metadata["end_session_endpoint"],
        params={
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": given["post_logout_redirect_uri"],
            "state": "bye",
        },
    )
    machine = OAuth2Client(given["client_id"], given["client_secret"], scope="api:read")
    return {
        "nonce_kept": id_token["nonce"] == nonce,
        "subject_same": id_token["sub"] == userinfo["sub"],
        "userinfo": userinfo,
        "refreshes": len(refreshed),
        "userinfo_after_refresh": after_refresh,
        "active_before_revocation": before["active"],
        "active_after_revocation": after["active"],
        "logged_out_to": person.visit(str(logout), until=given["post_logout_redirect_uri"]),
        "machine_scope": machine.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials"
        )["scope"],
    }


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
