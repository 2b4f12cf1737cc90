"""The session: never fixed, never forged from elsewhere, and for this host alone."""

from typing import Any

from tests.conftest import Backend, OpenProvider
from tests.provider import PASSWORD, Provider
from tests.storage.counting import count_rows


async def test_the_session_cookie_is_new_after_each_sign_in_and_the_old_one_is_dead(
    sqlite_provider: Provider,
) -> None:
    account, other = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    browser.http.cookies.set("authsvc_session", "fixed-by-an-attacker")
    seen = ["fixed-by-an-attacker"]
    for person in (account, account, other):
        parameters = sqlite_provider.authorization_parameters(client, prompt="login")
        page = await browser.get("/authorize", parameters)
        form = {"username": person.username, "password": person.password}
        await browser.submit(page, form, button="#login-submit")
        cookie = _session_cookie(browser)
        assert cookie not in seen
        for old in seen:
            thief = sqlite_provider.browser()
            thief.http.cookies.set("authsvc_session", old)
            assert account.username not in (await thief.get("/")).text
        seen.append(cookie)


def _session_cookie(browser: Any) -> str:
    values = [c.value for c in browser.http.cookies.jar if c.name == "authsvc_session"]
    return str(values[-1])


async def test_a_login_form_without_the_token_of_this_browser_signs_nobody_in(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    attackers_page = await sqlite_provider.browser().get("/login")
    attackers_token = attackers_page.forms[0].fields["csrf_token"]
    before = await count_rows(sqlite_provider)
    form = {"username": account.username, "password": PASSWORD}
    for token in (None, "", attackers_token, "\u00e9", "x" * 5_000):
        browser = sqlite_provider.browser()
        await browser.get("/login")
        sent = form if token is None else {**form, "csrf_token": token}
        page = await browser.post("/login", sent)
        assert page.status == 400
        assert "authsvc_session" not in browser.http.cookies
    for site in ("cross-site", "same-site"):
        browser = sqlite_provider.browser()
        page = await browser.get("/login")
        browser.http.headers["Sec-Fetch-Site"] = site
        page = await browser.submit(page, form, button="#login-submit")
        assert page.status == 400
        assert "authsvc_session" not in browser.http.cookies

    assert await count_rows(sqlite_provider) == before


async def test_the_cookies_are_for_this_host_alone(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, issuer="https://id.example")
    account = await provider.create_user()
    browser = provider.browser()
    page = await browser.get("/login")
    form = {"username": account.username, "password": account.password}
    await browser.submit(page, form, button="#login-submit")

    cookies = [
        header for response in browser.history for header in response.headers.get_list("set-cookie")
    ]
    assert {cookie.partition("=")[0] for cookie in cookies} == {
        "__Host-authsvc_session",
        "__Host-authsvc_browser",
        "__Host-authsvc_browser_state",
        "__Host-authsvc_device",
    }
    # The browser state is for a script of ours, in frames of other sites: it signs nobody in.
    for cookie in (c for c in cookies if not c.startswith("__Host-authsvc_browser_state")):
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)
