"""Whole stories under other issuers: one with a path, one over https."""

from http.cookies import SimpleCookie
from typing import Any

import pytest

from tests.answers import approve, check_error, log_in
from tests.client_keys import ASSERTION_TYPE, claims_for, public_jwk, sign
from tests.provider import Provider, claims_of

TENANT = "http://127.0.0.1:8000/tenant/a"
SECURE = "https://id.example"


@pytest.fixture
async def tenant(sqlite_backend: Any, open_providers: Any) -> Provider:
    """A provider whose issuer has a path."""
    running: Provider = await open_providers(sqlite_backend, issuer=TENANT)
    return running


@pytest.fixture
async def secure(sqlite_backend: Any, open_providers: Any) -> Provider:
    """A provider that is reached over https."""
    running: Provider = await open_providers(sqlite_backend, issuer=SECURE)
    return running


@pytest.mark.parametrize(
    "path",
    [
        "/tenant/a/.well-known/openid-configuration",
        "/tenant/a/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/tenant/a",
        "/.well-known/openid-configuration/tenant/a",
    ],
)
async def test_the_metadata_of_an_issuer_with_a_path_is_where_each_rfc_looks(
    tenant: Provider, path: str
) -> None:
    response = await tenant.http.get(f"http://127.0.0.1:8000{path}")
    assert response.status_code == 200
    metadata = response.json()
    assert metadata["issuer"] == TENANT
    for name, value in metadata.items():
        if name.endswith(("_endpoint", "jwks_uri")):
            assert value.startswith(f"{TENANT}/")


async def test_everything_lies_under_the_path_and_nothing_beside_it(tenant: Provider) -> None:
    for path in ("/token", "/authorize", "/login", "/jwks", "/.well-known/openid-configuration"):
        response = await tenant.http.get(f"http://127.0.0.1:8000{path}")
        check_error(response, 404, "not_found")
    for path in ("/healthz", "/readyz", "/metrics"):
        response = await tenant.http.get(f"http://127.0.0.1:8000{path}")
        assert response.status_code == 200
    assert (await tenant.http.get("/")).status_code == 200
    assert (await tenant.http.get("/static/authsvc.css")).status_code == 200


async def test_a_person_signs_in_and_out_under_a_path(tenant: Provider) -> None:
    after = "https://app.example/out"
    client = await tenant.create_client(post_logout_redirect_uris=[after])
    account, browser = await tenant.create_user(), tenant.browser()
    page = await browser.get("/authorize", tenant.authorization_parameters(client))
    assert page.url.startswith(f"{TENANT}/login?")
    assert 'href="/tenant/a/static/authsvc.css"' in page.text
    page = await log_in(browser, page, account)
    assert page.url.startswith(f"{TENANT}/authorize/resume?")
    assert page.forms[0].action == f"{TENANT}/consent"
    await approve(browser, page)
    assert browser.left_for is not None
    answer = tenant.answer_in(browser.left_for)
    assert answer["iss"] == TENANT
    tokens = (await tenant.redeem(client, answer["code"])).json()
    for name in ("access_token", "id_token"):
        assert claims_of(tokens[name])["iss"] == TENANT
    assert (await tenant.userinfo(tokens["access_token"])).status_code == 200
    assert (await tenant.introspect(client, tokens["access_token"]))["active"] is True
    refreshed = (await tenant.refresh(client, tokens["refresh_token"])).json()

    page = await browser.get("/logout", {"client_id": client.client_id})
    assert page.forms[0].action == f"{TENANT}/logout/confirm"
    await browser.submit(page, {}, button="#logout-confirm")
    check_error(await tenant.userinfo(tokens["access_token"]), 401, "invalid_token")
    await browser.get(
        "/logout",
        {"id_token_hint": refreshed["id_token"], "post_logout_redirect_uri": after},
    )
    assert browser.left_for == after
    page = await browser.post("/authorize", tenant.authorization_parameters(client))
    assert page.has("#login-submit")


async def test_signing_in_without_a_destination_stays_under_the_path(tenant: Provider) -> None:
    account, browser = await tenant.create_user(), tenant.browser()
    page = await log_in(browser, await browser.get("/login"), account)
    assert page.url == f"{TENANT}/"
    assert "You are signed in" in page.text


async def test_a_client_assertion_is_for_the_issuer_with_its_path(tenant: Provider) -> None:
    client = await tenant.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public_jwk("ES256")]}
    )
    for audience, status in (
        (TENANT, 200),
        (f"{TENANT}/token", 200),
        ("http://127.0.0.1:8000", 401),
        ("http://127.0.0.1:8000/token", 401),
    ):
        response = await tenant.http.post(
            "/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": sign(claims_for(client.client_id, aud=audience), "ES256"),
            },
        )
        assert response.status_code == status, audience


async def test_scripts_may_call_the_endpoints_under_the_path(tenant: Provider) -> None:
    headers = {"Origin": "https://spa.example"}
    for path in ("/jwks", "/userinfo", "/.well-known/openid-configuration"):
        response = await tenant.http.get(path, headers=headers)
        assert response.headers["access-control-allow-origin"] == "*"


async def test_a_token_of_one_issuer_is_not_one_of_another(
    tenant: Provider, sqlite_backend: Any, open_providers: Any
) -> None:
    other: Provider = await open_providers(sqlite_backend, issuer="http://127.0.0.1:8000")
    client = await tenant.create_client()
    tokens = await tenant.sign_in(client, await tenant.create_user())
    check_error(await other.userinfo(tokens["access_token"]), 401, "invalid_token")
    assert await other.introspect(client, tokens["access_token"]) == {"active": False}


async def test_over_https_cookies_are_bound_to_the_host_and_to_https(secure: Provider) -> None:
    client, account = await secure.create_client(), await secure.create_user()
    browser = secure.browser()
    answer = await secure.authorize(browser, client, account)
    assert answer["iss"] == SECURE
    headers = [c for r in browser.history for c in r.headers.get_list("set-cookie")]
    names = set()
    for header in headers:
        (cookie,) = SimpleCookie(header).values()
        names.add(cookie.key)
        assert cookie["secure"]
        # A script of ours reads that one, in a frame of the client's site.
        readable = cookie.key.endswith("_browser_state")
        assert bool(cookie["httponly"]) != readable
        assert (cookie["path"], cookie["domain"]) == ("/", "")
        assert cookie["samesite"].lower() == ("none" if readable else "lax")
    expected = ("browser", "browser_state", "device", "session")
    assert names == {f"__Host-authsvc_{name}" for name in expected}
    assert (await secure.redeem(client, answer["code"])).status_code == 200


async def test_a_cookie_without_its_prefix_is_nothing_over_https(secure: Provider) -> None:
    client, account = await secure.create_client(), await secure.create_user()
    browser = secure.browser()
    await secure.authorize(browser, client, account)
    value = browser.http.cookies["__Host-authsvc_session"]
    for name, known in (("__Host-authsvc_session", True), ("authsvc_session", False)):
        response = await secure.http.get("/", headers={"Cookie": f"{name}={value}"})
        assert (account.username in response.text) is known


async def test_over_https_every_response_says_to_stay_there(
    secure: Provider, sqlite_backend: Any, open_providers: Any
) -> None:
    plain: Provider = await open_providers(sqlite_backend)
    for path in ("/", "/login", "/jwks", "/token", "/nothing", "/healthz"):
        response = await secure.http.get(path)
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        response = await plain.http.get(path)
        assert "strict-transport-security" not in response.headers
