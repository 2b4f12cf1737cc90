"""Where an answer of the authorization endpoint may go (RFC 8252 §7, RFC 9700 §4.1.3)."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.answers import check_error_page
from tests.provider import REDIRECT_URI, Provider


@pytest.mark.parametrize(
    ("registered", "requested", "accepted"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", True),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:1/cb", True),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/other", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", False),
        ("http://127.0.0.1/cb", "https://127.0.0.1:49152/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.2:49152/cb", False),
        ("http://127.0.0.1/cb", "http://localhost:49152/cb", False),
        ("http://127.0.0.1/cb", "http://[::1]:49152/cb", False),
        ("http://localhost/cb", "http://localhost:49152/cb", False),
        ("https://app.example/cb", "https://app.example:8443/cb", False),
        ("com.example.app:/cb", "com.example.app:/cb", True),
        ("com.example.app:/cb", "com.example.app:/cb2", False),
    ],
)
async def test_a_native_app_may_listen_on_any_loopback_port(
    sqlite_provider: Provider, registered: str, requested: str, accepted: bool
) -> None:
    client = await sqlite_provider.create_client(
        application_type="native", token_endpoint_auth_method="none", redirect_uris=[registered]
    )
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    if not accepted:
        page = await browser.get(
            "/authorize",
            sqlite_provider.authorization_parameters(client, redirect_uri=requested),
        )
        check_error_page(browser, page, 400, "invalid_redirect_uri")
        return
    answer = await sqlite_provider.authorize(browser, client, account, redirect_uri=requested)
    assert browser.left_for is not None
    assert browser.left_for.startswith(f"{requested}?")
    response = await sqlite_provider.redeem(client, answer["code"], redirect_uri=requested)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("registered", "requested", "accepted"),
    [
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8080/cb", True),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:9999/cb", False),
        ("http://[::1]:8080/cb", "http://[::1]:8081/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", True),
    ],
)
async def test_the_port_that_a_web_client_registered_is_its_port(
    sqlite_provider: Provider, registered: str, requested: str, accepted: bool
) -> None:
    client = await sqlite_provider.create_client(redirect_uris=[registered])
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, redirect_uri=requested, prompt="none"
    )
    page = await browser.get("/authorize", parameters)
    if accepted:
        assert (browser.left_for or "").startswith(f"{requested}?error=login_required")
    else:
        check_error_page(browser, page, 400, "invalid_redirect_uri")


async def test_the_query_of_a_redirect_uri_is_kept(sqlite_provider: Provider) -> None:
    uri = "https://app.example/cb?tenant=a%20b&x="
    client = await sqlite_provider.create_client(redirect_uris=[uri])
    browser, account = sqlite_provider.browser(), await sqlite_provider.create_user()
    await sqlite_provider.authorize(browser, client, account, redirect_uri=uri)
    assert browser.left_for is not None
    assert browser.left_for.startswith(f"{uri}&code=")
    query = parse_qsl(urlsplit(browser.left_for).query, keep_blank_values=True)
    assert query[:2] == [("tenant", "a b"), ("x", "")]


async def test_the_only_redirect_uri_need_not_be_named_without_openid(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    answer = await sqlite_provider.authorize(
        sqlite_provider.browser(), client, account, redirect_uri=None, scope="api:read"
    )
    response = await sqlite_provider.redeem(client, answer["code"], redirect_uri=None)
    assert response.status_code == 200
    assert response.json().keys() == {"access_token", "token_type", "expires_in", "scope"}


async def test_with_several_redirect_uris_one_must_be_named(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(
        redirect_uris=[REDIRECT_URI, "https://app.example/other"]
    )
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, redirect_uri=None, scope="api:read"
    )
    page = await browser.get("/authorize", parameters)
    check_error_page(browser, page, 400, "invalid_request")
