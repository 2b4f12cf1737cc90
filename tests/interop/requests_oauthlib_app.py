"""An app that uses requests-oauthlib, in a process of its own.

Reads its settings as JSON from standard input, goes the whole way, and prints as JSON
what it found. Everything it knows of the provider comes from discovery.
"""

import json
import sys
from typing import Any

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tests.interop.person import Person


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Sign a person in, use every endpoint, and sign them out."""
    issuer = given["issuer"]
    metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
    person = Person(given["username"], given["password"])
    auth = HTTPBasicAuth(given["client_id"], given["client_secret"])
    app = OAuth2Session(
        given["client_id"],
        redirect_uri=given["redirect_uri"],
        scope=["openid", "profile", "email", "offline_access"],
        pkce="S256",
    )
    url, _ = app.authorization_url(metadata["authorization_endpoint"], nonce="n-0S6_WzA2Mj")
    back = person.visit(url, until=given["redirect_uri"])
    tokens = app.fetch_token(metadata["token_endpoint"], authorization_response=back, auth=auth)
    userinfo = app.get(metadata["userinfo_endpoint"]).json()
    refreshed = set()
    for _ in range(given["refreshes"]):
        tokens = app.refresh_token(metadata["token_endpoint"], auth=auth)
        refreshed.add(tokens["refresh_token"])
    after_refresh = app.get(metadata["userinfo_endpoint"]).status_code

    def ask(endpoint: str, token: str) -> requests.Response:
        return requests.post(metadata[endpoint], {"token": token}, auth=auth, timeout=10)

    before = ask("introspection_endpoint", tokens["access_token"]).json()
    ask("revocation_endpoint", tokens["refresh_token"])
    after = ask("introspection_endpoint", tokens["access_token"]).json()
    logout = requests.Request(
        "GET",
        metadata["end_session_endpoint"],
        params={
            "client_id": given["client_id"],
            "post_logout_redirect_uri": given["post_logout_redirect_uri"],
            "state": "bye",
        },
    ).prepare()
    machine = OAuth2Session(client=BackendApplicationClient(given["client_id"], scope="api:read"))
    return {
        "userinfo": userinfo,
        "refreshes": len(refreshed),
        "userinfo_after_refresh": after_refresh,
        "active_before_revocation": before["active"],
        "active_after_revocation": after["active"],
        "logged_out_to": person.visit(str(logout.url), until=given["post_logout_redirect_uri"]),
        "machine_scope": " ".join(
            machine.fetch_token(metadata["token_endpoint"], auth=auth)["scope"]
        ),
    }


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
