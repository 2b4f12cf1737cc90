"""HEAD, which crawlers and previews send, does nothing where a GET changes something."""

import pytest

from tests.provider import Provider


async def test_a_head_of_the_logout_ends_nothing(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, account, browser)

    response = await browser.http.head("/logout", params={"id_token_hint": tokens["id_token"]})

    assert response.status_code == 405
    assert response.headers.get_list("set-cookie") == []
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200
    answer = await sqlite_provider.authorize(browser, client, account, prompt="none")
    assert "code" in answer


async def test_a_head_of_the_authorization_endpoint_issues_nothing(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.sign_in(client, account, browser)

    parameters = sqlite_provider.authorization_parameters(client)
    response = await browser.http.head("/authorize", params=parameters)

    assert response.status_code == 405
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/authorize", {"GET", "POST"}),
        ("/authorize/resume", {"GET"}),
        ("/consent", {"POST"}),
        ("/logout", {"GET", "POST"}),
        ("/logout/confirm", {"POST"}),
        ("/device/resume", {"GET"}),
    ],
)
async def test_a_page_says_how_it_may_be_asked_for(
    sqlite_provider: Provider, path: str, methods: set[str]
) -> None:
    response = await sqlite_provider.http.head(path)

    assert response.status_code == 405
    assert set(response.headers["allow"].replace(" ", "").split(",")) == methods


@pytest.mark.parametrize(
    "path",
    [
        "/jwks",
        "/.well-known/openid-configuration",
        "/session/check",
        "/",
        "/login",
        "/device",
    ],
)
async def test_what_changes_nothing_has_a_head(sqlite_provider: Provider, path: str) -> None:
    response = await sqlite_provider.http.head(path)

    assert response.status_code == 200
    assert response.content == b""
