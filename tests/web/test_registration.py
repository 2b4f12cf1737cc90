"""``POST /register``: RFC 7591 and OpenID Connect Registration, by the letter."""

import re
import time
from typing import Any

import pytest

from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, VERIFIER, Provider
from tests.registration import WEB, client_of, register, registered

OPENID_SCOPES = {"openid", "profile", "email", "address", "phone"}


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


async def test_the_response_tells_all_that_was_registered_defaults_included(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open")
    response = await register(provider, {"redirect_uris": [REDIRECT_URI]})

    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    made = response.json()
    assert re.fullmatch(r"c_[A-Za-z0-9_-]{24}", made["client_id"])
    assert abs(made.pop("client_id_issued_at") - time.time()) < 60
    assert len(made.pop("client_secret")) == 43
    assert made.pop("client_secret_expires_at") == 0
    assert len(made.pop("registration_access_token")) == 43
    client_id = made.pop("client_id")
    assert made.pop("registration_client_uri") == f"{provider.settings.issuer}/register/{client_id}"
    assert set(made.pop("scope").split()) == OPENID_SCOPES
    assert made == {
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
        "require_signed_request_object": False,
        "require_auth_time": False,
        "backchannel_logout_session_required": False,
        "frontchannel_logout_session_required": False,
        "require_pkce": False,
    }


async def test_all_metadata_comes_back_as_it_was_registered(opened: Provider) -> None:
    metadata = {
        "redirect_uris": [REDIRECT_URI, "https://app.example/callback?a=b&c=%20d"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks_uri": "https://app.example/jwks",
        "client_name": "An app",
        "client_name#de": "Ein Programm",
        "client_uri": "https://app.example/",
        "logo_uri": "https://app.example/logo.png",
        "policy_uri": "https://app.example/policy",
        "tos_uri": "https://app.example/tos",
        "contacts": ["ve7jtb@example.org"],
        "default_max_age": 3_600,
        "require_auth_time": True,
        "default_acr_values": ["1"],
        "initiate_login_uri": "https://app.example/login",
        "request_uris": ["https://app.example/request#abc"],
        "post_logout_redirect_uris": ["https://app.example/bye"],
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.0",
        "scope": "openid offline_access",
    }

    made = await registered(opened, metadata)

    assert {name: made[name] for name in metadata} == metadata
    assert "client_secret" not in made
    assert "client_secret_expires_at" not in made


async def test_what_a_client_can_not_choose_is_ignored(opened: Provider) -> None:
    chosen = {
        "client_id": "the-admin",
        "client_secret": "a-secret-that-the-client-made-up-itself",
        "client_id_issued_at": 1,
        "registration_access_token": "x",
        "an_unknown_member": {"anything": [1, None]},
        "roles": ["admin"],
        "self_registered": False,
    }

    made = await registered(opened, {**WEB, **chosen})

    assert made["client_id"] != chosen["client_id"]
    assert made["client_secret"] != chosen["client_secret"]
    assert made["registration_access_token"] != "x"
    assert not {"an_unknown_member", "roles", "self_registered"} & made.keys()
    assert opened.resources.settings.registration == "open"


@pytest.mark.parametrize("mode", ["off", "token", "open"])
async def test_discovery_lists_the_endpoint_exactly_when_it_is_there(
    sqlite_backend: Backend, open_providers: OpenProvider, mode: str
) -> None:
    provider = await open_providers(sqlite_backend, registration=mode)
    metadata = (await provider.http.get("/.well-known/openid-configuration")).json()
    expected = None if mode == "off" else f"{provider.settings.issuer}/register"
    assert metadata.get("registration_endpoint") == expected


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_confidential_client_signs_a_person_in_at_once_and_without_pkce(
    backend: Backend, open_providers: OpenProvider, method: str
) -> None:
    provider = await open_providers(backend, registration="open")
    client = client_of(await registered(provider, {**WEB, "token_endpoint_auth_method": method}))
    no_pkce = {"code_challenge": None, "code_challenge_method": None, "scope": "openid email"}
    answer = await provider.authorize(
        provider.browser(), client, await provider.create_user(), **no_pkce
    )
    parameters: dict[str, Any] = {"code_verifier": None}
    if method == "client_secret_post":
        parameters |= {"client_id": client.client_id, "client_secret": client.secret}
    response = await provider.token(
        client,
        authenticated=method == "client_secret_basic",
        grant_type="authorization_code",
        code=answer["code"],
        redirect_uri=REDIRECT_URI,
        **parameters,
    )
    assert response.status_code == 200, response.text
    assert response.json()["id_token"]


async def test_a_public_client_never_goes_without_pkce(opened: Provider) -> None:
    made = await registered(opened, {**WEB, "token_endpoint_auth_method": "none"})
    assert made["require_pkce"] is True
    assert "client_secret" not in made
    browser = opened.browser()
    parameters = opened.authorization_parameters(
        client_of(made), code_challenge=None, code_challenge_method=None, scope="openid"
    )
    await browser.get("/authorize", parameters)
    assert browser.left_for is not None
    assert opened.answer_in(browser.left_for)["error"] == "invalid_request"

    tokens = await opened.sign_in(
        client_of(made), await opened.create_user(), scope="openid", code_verifier=VERIFIER
    )
    assert tokens["id_token"]


async def test_the_setting_requires_pkce_of_clients_that_would_rather_not(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend, registration="open", registration_require_pkce=True
    )
    for metadata in (WEB, {**WEB, "require_pkce": False}):
        assert (await registered(provider, metadata))["require_pkce"] is True


async def test_a_stranger_gets_the_scopes_of_openid_and_those_of_the_setting_and_is_told(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend, registration="open", registration_scopes="api:read api:list"
    )
    wanted = "openid authsvc:admin api:read api:write offline_access"
    made = await registered(provider, {**WEB, "scope": wanted})
    assert made["scope"] == "openid api:read offline_access"


async def test_a_client_that_names_no_scope_gets_those_of_openid(opened: Provider) -> None:
    made = await registered(opened)
    assert set(made["scope"].split()) == OPENID_SCOPES
    refreshing = {**WEB, "grant_types": ["authorization_code", "refresh_token"]}
    made = await registered(opened, refreshing)
    assert set(made["scope"].split()) == OPENID_SCOPES | {"offline_access"}


async def test_a_stranger_gets_no_other_audience_and_no_tokens_without_a_person(
    opened: Provider,
) -> None:
    made = await registered(opened, {**WEB, "resources": ["https://orders.example"]})
    assert "resources" not in made
    for grants in (["client_credentials"], ["authorization_code", "client_credentials"]):
        response = await register(opened, {**WEB, "grant_types": grants})
        check_error(response, 400, "invalid_client_metadata")


async def test_registered_clients_are_counted(opened: Provider) -> None:
    await registered(opened)
    metrics = (await opened.http.get("/metrics")).text
    assert re.search(r'authsvc_clients_registered_total\{mode="open"\} [1-9]', metrics)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/register"), ("GET", "/register/x"), ("PUT", "/register/x"),
     ("DELETE", "/register/x")],
)  # fmt: skip
async def test_scripts_of_other_origins_may_register(
    opened: Provider, method: str, path: str
) -> None:
    origin = {"Origin": "https://spa.example"}
    asked = {"Access-Control-Request-Method": method,
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    preflight = await opened.http.options(path, headers={**origin, **asked})
    assert preflight.status_code == 200
    assert method in preflight.headers["access-control-allow-methods"]
    answer = await opened.http.request(method, path, headers=origin)
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


async def test_an_issuer_with_a_path_keeps_it(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    issuer = "http://127.0.0.1:8000/tenant"
    provider = await open_providers(sqlite_backend, registration="open", issuer=issuer)
    made = await registered(provider)
    assert made["registration_client_uri"] == f"{issuer}/register/{made['client_id']}"
    headers = {"Authorization": f"Bearer {made['registration_access_token']}"}
    response = await provider.http.get(made["registration_client_uri"], headers=headers)
    assert response.json()["client_id"] == made["client_id"]
