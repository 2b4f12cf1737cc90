"""openid-client of npm against a provider behind a reverse proxy; see ``make interop``."""

from typing import Any

import pytest
from jwt.algorithms import get_default_algorithms

from tests.client_keys import private_key, public_jwk
from tests.interop.behind_tls import Deployment
from tests.interop.openid_client_app import run_app
from tests.interop.person import Person

pytestmark = pytest.mark.interop

REDIRECT_URI = "https://app.example/callback"
SIGNED_OUT_URI = "https://app.example/signed-out"
SCOPE = "openid profile email offline_access"
WHOLE_WAY = ("sign_in", "userinfo", "refresh", "introspect", "revoke", "introspect_revoked")


def create_client(deployment: Deployment, **metadata: Any) -> dict[str, Any]:
    """Register the app."""
    wanted = {
        "redirect_uris": [REDIRECT_URI],
        "post_logout_redirect_uris": [SIGNED_OUT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": SCOPE,
        **metadata,
    }
    return deployment.create_client(**wanted)


def private_jwk(alg: str, number: int = 0) -> dict[str, Any]:
    """Return the app's own key."""
    jwk = get_default_algorithms()[alg].to_jwk(private_key(alg, number), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": f"{alg}-{number}"}


def check_person(deployment: Deployment, client: dict[str, Any], found: dict[str, Any]) -> None:
    """Hold the ID token and userinfo to who signed in, and where."""
    claims, userinfo = found["sign_in"]["claims"], found["userinfo"]
    assert claims["iss"] == deployment.issuer
    assert claims["aud"] in (client["client_id"], [client["client_id"]])
    assert userinfo == {
        "sub": claims["sub"],
        "name": "Anna",
        "preferred_username": "anna",
        "email": "anna@example.com",
        "email_verified": True,
        "updated_at": userinfo["updated_at"],
    }
    assert found["refresh"] == {
        "refresh_tokens": 3, "sub": claims["sub"], "userinfo": userinfo
    }  # fmt: skip


@pytest.mark.parametrize("algorithm", ["oidc", "oauth2"])
def test_an_issuer_with_a_path_is_discovered_by_both_rules(
    deployment: Deployment, algorithm: str
) -> None:
    client = create_client(deployment)
    metadata = run_app(deployment, client, ["discover"], algorithm=algorithm)["discover"]
    assert metadata["issuer"] == deployment.issuer
    endpoints = {name: value for name, value in metadata.items() if name.endswith("_endpoint")}
    assert len(endpoints) >= 6
    for url in [*endpoints.values(), metadata["jwks_uri"]]:
        assert url.startswith(f"{deployment.issuer}/")


@pytest.mark.parametrize(
    ("method", "alg"),
    [
        ("client_secret_basic", None),
        ("client_secret_post", None),
        ("client_secret_jwt", None),
        ("private_key_jwt", "ES256"),
        ("private_key_jwt", "RS256"),
    ],
)
def test_a_confidential_client_goes_the_whole_way(
    deployment: Deployment, person: Person, method: str, alg: str | None
) -> None:
    metadata: dict[str, Any] = {"token_endpoint_auth_method": method}
    given = {}
    if alg is not None:
        metadata["jwks"] = {"keys": [public_jwk(alg)]}
        given["signing"] = {"jwk": private_jwk(alg), "alg": alg}
    client = create_client(deployment, **metadata)

    steps = [*WHOLE_WAY, "sign_out"]
    found = run_app(deployment, client, steps, person=person, **given)

    assert found["sign_in"]["back"] == "query"
    check_person(deployment, client, found)
    assert found["introspect"]["active"] is True
    assert found["introspect"]["sub"] == found["userinfo"]["sub"]
    assert found["revoke"]["error"] == "invalid_grant"
    assert found["introspect_revoked"] == {"active": False}
    assert found["sign_out"]["back"] == f"{SIGNED_OUT_URI}?state=bye"


def test_a_public_client_goes_the_whole_way(deployment: Deployment, person: Person) -> None:
    client = create_client(deployment, token_endpoint_auth_method="none", application_type="native")
    steps = ["sign_in", "userinfo", "refresh", "revoke", "sign_out"]
    found = run_app(deployment, client, steps, person=person)
    check_person(deployment, client, found)
    assert found["revoke"]["error"] == "invalid_grant"
    assert found["sign_out"]["back"] == f"{SIGNED_OUT_URI}?state=bye"


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_the_id_token_is_signed_as_the_client_registered(
    deployment: Deployment, person: Person, alg: str
) -> None:
    client = create_client(deployment, id_token_signed_response_alg=alg)
    found = run_app(deployment, client, ["sign_in"], person=person)
    assert found["sign_in"]["id_token"]["alg"] == alg


def test_an_answer_by_form_post_is_understood(deployment: Deployment, person: Person) -> None:
    client = create_client(deployment)
    found = run_app(
        deployment,
        client,
        ["sign_in", "userinfo", "refresh"],
        person=person,
        parameters={"response_mode": "form_post"},
    )
    assert found["sign_in"]["back"] == "POST"
    check_person(deployment, client, found)


def test_max_age_is_answered_with_auth_time(deployment: Deployment, person: Person) -> None:
    client = create_client(deployment)
    parameters = {"max_age": "60", "prompt": "login"}
    found = run_app(deployment, client, ["sign_in"], person=person, parameters=parameters)
    assert found["sign_in"]["claims"]["auth_time"] <= found["sign_in"]["claims"]["iat"]


@pytest.mark.parametrize(
    ("parameters", "allows", "error"),
    [
        ({}, False, "access_denied"),
        ({"response_mode": "form_post"}, False, "access_denied"),
        ({"prompt": "none"}, True, "login_required"),
        ({"scope": "openid unheard-of"}, True, "invalid_scope"),
    ],
)
def test_the_app_learns_why_it_was_refused(
    deployment: Deployment, parameters: dict[str, str], allows: bool, error: str
) -> None:
    client = create_client(deployment)
    with deployment.person(allows=allows) as person:
        found = run_app(deployment, client, ["be_refused"], person=person, parameters=parameters)
    assert found["be_refused"] == {
        "name": "AuthorizationResponseError",
        "error": error,
        "code": "OAUTH_AUTHORIZATION_RESPONSE_ERROR",
    }


def test_a_machine_gets_a_token_of_its_own(deployment: Deployment) -> None:
    client = create_client(
        deployment, redirect_uris=[], grant_types=["client_credentials"],
        response_types=[], post_logout_redirect_uris=[], scope="api:read",
    )  # fmt: skip
    found = run_app(deployment, client, ["client_credentials"], parameters={"scope": "api:read"})
    assert found["client_credentials"] == {
        "token_type": "bearer",
        "scope": "api:read",
        "active": True,
        "client_id": client["client_id"],
    }
