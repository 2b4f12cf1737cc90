"""Config OP: discovery says what is true, in the types that the specifications give.

OpenID Connect Discovery §3 and §4, RFC 8414 §2 and §3, RFC 9207 §3; RP-Initiated Logout
§2.1, Session Management §3.3, Front-Channel Logout §3, Back-Channel Logout §2.1.
"""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.certification.relying_party import JSON
from tests.certification.suite import ALL_TYPES, Suite
from tests.conftest import Backend, OpenProvider

URLS = {
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "end_session_endpoint",
    "check_session_iframe",
    "introspection_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
}
FLAGS = {
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "authorization_response_iss_parameter_supported",
    "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
}
HOLD: dict[str, set[str]] = {
    "scopes_supported": {"openid", "profile", "email", "address", "phone", "offline_access"},
    "response_types_supported": set(ALL_TYPES),
    "response_modes_supported": {"query", "fragment", "form_post"},
    "grant_types_supported": {"authorization_code", "implicit", "refresh_token"},
    "subject_types_supported": {"public", "pairwise"},
    "id_token_signing_alg_values_supported": {"RS256"},
    "userinfo_signing_alg_values_supported": {"RS256"},
    "request_object_signing_alg_values_supported": {"RS256", "none"},
    "token_endpoint_auth_methods_supported": {
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "none",
    },
    "token_endpoint_auth_signing_alg_values_supported": {"RS256"},
    "claims_supported": {"sub", "iss", "auth_time", "acr", "name", "email", "phone_number"},
    "claim_types_supported": {"normal"},
    "code_challenge_methods_supported": {"S256"},
    "display_values_supported": {"page"},
    "prompt_values_supported": {"none", "login", "consent", "select_account"},
}


async def test_the_document_is_json_about_the_issuer_that_was_asked(suite: Suite) -> None:
    response = await suite.http.get(f"{suite.issuer}/.well-known/openid-configuration")
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == JSON
    assert response.json()["issuer"] == "https://op.example"
    other = await suite.http.get(f"{suite.issuer}/.well-known/oauth-authorization-server")
    assert other.json() == response.json()


async def test_the_issuer_does_not_follow_what_the_request_says(suite: Suite) -> None:
    lies = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    response = await suite.http.get("/.well-known/openid-configuration", headers=lies)
    assert response.json() == suite.metadata


async def test_every_url_is_https_without_a_fragment(suite: Suite) -> None:
    for name in URLS:
        parts = urlsplit(suite.metadata[name])
        assert (parts.scheme, parts.fragment) == ("https", ""), name
        assert parts.hostname, name
    issuer = urlsplit(suite.issuer)
    assert (issuer.query, issuer.fragment) == ("", "")


async def test_flags_are_booleans_and_true(suite: Suite) -> None:
    for name in FLAGS:
        assert suite.metadata[name] is True, name


async def test_lists_are_lists_of_texts_that_hold_what_was_certified(suite: Suite) -> None:
    for name, value in suite.metadata.items():
        if name.endswith("_supported") and not isinstance(value, bool):
            assert isinstance(value, list), name
            assert value, name  # RFC 8414 §3.2: without a value it is left out
            assert all(isinstance(entry, str) for entry in value), name
            assert len(set(value)) == len(value), name
    for name, wanted in HOLD.items():
        assert wanted <= set(suite.metadata[name]), name


async def test_none_is_no_algorithm_of_client_assertions(suite: Suite) -> None:
    for endpoint in ("token", "revocation", "introspection"):
        algs = suite.metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert "none" not in algs  # RFC 8414 §2: MUST NOT


async def test_the_jwks_holds_public_keys_that_can_be_told_apart(suite: Suite) -> None:
    keys: list[dict[str, Any]] = await suite.jwks()
    kids = [key["kid"] for key in keys]
    assert len(set(kids)) == len(kids)
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert key["kty"] in ("RSA", "EC", "OKP")
        assert key.get("use", "sig") == "sig"
        assert "alg" in key
    response = await suite.http.get(suite.metadata["jwks_uri"])
    # RFC 7517 §8.5.1 registers the longer one; OpenID Connect names none.
    assert response.headers["content-type"] in (JSON, "application/jwk-set+json")


@pytest.mark.parametrize("registration", ["off", "token"])
async def test_what_is_turned_off_is_not_listed(
    sqlite_backend: Backend, open_providers: OpenProvider, registration: str
) -> None:
    provider = await open_providers(sqlite_backend, registration=registration)
    metadata = (await provider.http.get("/.well-known/openid-configuration")).json()
    assert ("registration_endpoint" in metadata) == (registration == "token")
    assert metadata["response_types_supported"] == ["code"]
    assert "implicit" not in metadata["grant_types_supported"]


async def test_registration_by_token_challenges_who_has_none(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="token")
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        response = await provider.http.post("/register", json={}, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
