"""The session of a browser: its cookies, and how long it lasts."""

import pytest

from tests.answers import log_in
from tests.provider import Provider

SESSION = "authsvc_session"


async def test_a_sign_in_makes_a_new_session_and_ends_the_old_one(
    sqlite_provider: Provider,
) -> None:
    first, second = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    browser.http.cookies.set(SESSION, "planted", domain="127.0.0.1")
    await sqlite_provider.authorize(browser, client, first)
    old = {cookie.value for cookie in browser.http.cookies.jar if cookie.name == SESSION}
    page = await browser.get(
        "/authorize", sqlite_provider.authorization_parameters(client, prompt="login")
    )
    await log_in(browser, page, second)
    new = {cookie.value for cookie in browser.http.cookies.jar if cookie.name == SESSION}
    assert len(new - old) == 1
    for value in old:
        response = await sqlite_provider.http.get("/", headers={"Cookie": f"{SESSION}={value}"})
        assert first.username not in response.text


async def test_cookies_are_not_for_scripts_and_not_for_other_sites(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    cookies = [c for r in browser.history for c in r.headers.get_list("set-cookie")]
    assert {cookie.partition("=")[0] for cookie in cookies} == {
        "authsvc_browser",
        "authsvc_browser_state",
        "authsvc_device",
        "authsvc_session",
    }
    # That one is for a script of ours: see test_session_management.
    for cookie in (c for c in cookies if not c.startswith("authsvc_browser_state")):
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)
    (session,) = (c for c in cookies if c.startswith(SESSION))
    assert "max-age=86400" in session.lower()


@pytest.mark.parametrize(("hours", "asked"), [(7, False), (9, True)])
async def test_a_session_that_is_not_used_ends(
    sqlite_provider: Provider, hours: int, asked: bool
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    sqlite_provider.clock.move(hours=hours)
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert page.has("#login-submit") == asked
    assert (browser.left_for is None) == asked


async def test_a_session_that_is_used_ends_after_a_day(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    for _ in range(3):
        sqlite_provider.clock.move(hours=7)
        await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
        assert browser.left_for is not None
    sqlite_provider.clock.move(hours=4)
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert page.has("#login-submit")
