"""Session Management 1.0: what a client's page can learn about the session, and no more."""

import hashlib
from http.cookies import SimpleCookie

import pytest

from authsvc.oauth.session_management import session_state
from tests.answers import log_in
from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider, claims_of

STATE = "authsvc_browser_state"


def state_cookies(browser: Browser) -> list[str]:
    """Return each Set-Cookie of the browser state, oldest first."""
    headers = [h for r in browser.history for h in r.headers.get_list("set-cookie")]
    return [header for header in headers if f"{STATE}=" in header]


def check(given: str, client_id: str, origin: str, state: str) -> bool:
    """Do what the frame does (§3.2): tell whether the session is unchanged."""
    assert " " not in given
    digest, _, salt = given.partition(".")
    message = f"{client_id} {origin} {state} {salt}"
    return bool(salt) and digest == hashlib.sha256(message.encode()).hexdigest()


async def test_a_client_s_page_sees_that_the_session_is_unchanged(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()

    first = await sqlite_provider.authorize(browser, client, account)
    second = await sqlite_provider.authorize(browser, client, account, prompt="none")

    state = browser.http.cookies[STATE]
    for answer in (first, second):
        given = answer["session_state"]
        assert check(given, client.client_id, "https://app.example", state)
        assert not check(given, client.client_id, "https://evil.example", state)
        assert not check(given, "another", "https://app.example", state)
        assert not check(given, client.client_id, "https://app.example", "")
    assert first["session_state"] != second["session_state"]


@pytest.mark.parametrize(
    ("redirect_uri", "origin"),
    [
        ("https://APP.example:443/cb?x=1", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/cb", "http://[::1]:5000"),
    ],
)
async def test_the_origin_is_as_browsers_write_it(
    sqlite_provider: Provider, redirect_uri: str, origin: str
) -> None:
    client = await sqlite_provider.create_client(redirect_uris=[redirect_uri])
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()

    await log_in(browser, await browser.get("/login"), account)
    given = await _session_state(sqlite_provider, browser, client.client_id, redirect_uri)

    assert check(given, client.client_id, origin, browser.http.cookies[STATE])


async def _session_state(
    provider: Provider, browser: Browser, client_id: str, redirect_uri: str
) -> str:
    async with provider.resources.database.reading() as tx:
        cookie = browser.http.cookies["authsvc_session"]
        found = await provider.resources.sessions.find(tx, cookie)
    assert found is not None
    return session_state(provider.server, client_id, redirect_uri, found[0].id)


async def test_the_state_changes_with_the_person_and_not_when_they_sign_in_again(
    sqlite_provider: Provider,
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    account, other = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    await sqlite_provider.authorize(browser, client, account)
    first = browser.http.cookies[STATE]

    await sqlite_provider.authorize(browser, client, account, prompt="login")
    assert browser.http.cookies[STATE] == first

    await sqlite_provider.authorize(browser, client, other, prompt="login")
    assert browser.http.cookies[STATE] != first


async def test_the_state_goes_with_the_logout(sqlite_provider: Provider) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user(), browser)

    page = await browser.get("/logout")
    assert STATE in browser.http.cookies
    await browser.submit(page, {}, button="#logout-confirm")

    assert STATE not in browser.http.cookies
    sent = await sqlite_provider.http.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert not [h for h in sent.headers.get_list("set-cookie") if STATE in h]


async def test_the_state_goes_with_the_logout_of_a_session_that_was_over(
    sqlite_provider: Provider,
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    account = await sqlite_provider.create_user()
    await sqlite_provider.sign_in(client, account, browser)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.people.revoke_sessions(tx, account.id, ORIGIN)

    await browser.get("/logout")

    assert not {STATE, "authsvc_session"} & set(browser.http.cookies)


@pytest.mark.parametrize(
    ("issuer", "name", "secure", "same_site"),
    [
        ("http://127.0.0.1:8000", STATE, False, "lax"),
        ("https://login.example/tenant", f"__Host-{STATE}", True, "none"),
    ],
)
async def test_the_cookie_is_for_our_script_alone_also_in_frames_of_other_sites(
    sqlite_backend: Backend,
    open_providers: OpenProvider,
    issuer: str,
    name: str,
    secure: bool,
    same_site: str,
) -> None:
    provider: Provider = await open_providers(sqlite_backend, issuer=issuer)
    browser = provider.browser()

    page = await browser.get("/login")
    await log_in(browser, page, await provider.create_user())

    (header,) = state_cookies(browser)
    cookie = SimpleCookie(header)[name]
    assert not cookie["httponly"]
    assert bool(cookie["secure"]) is secure
    assert cookie["samesite"].lower() == same_site
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert len(cookie.value) == 43


async def test_the_state_signs_nobody_in_and_tells_nothing(sqlite_provider: Provider) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    account = await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account, browser)
    state = browser.http.cookies[STATE]

    thief = sqlite_provider.browser()
    thief.http.cookies.set("authsvc_session", state)
    thief.http.cookies.set(STATE, state)

    assert account.username not in (await thief.get("/")).text
    cookie = browser.http.cookies["authsvc_session"]
    assert len({state, cookie, claims_of(tokens["id_token"])["sid"]}) == 3


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "https://login.example/tenant"])
async def test_anybody_may_frame_the_check_and_nothing_but_our_script_runs_in_it(
    sqlite_backend: Backend, open_providers: OpenProvider, issuer: str
) -> None:
    provider: Provider = await open_providers(sqlite_backend, issuer=issuer)

    response = await provider.http.get("/session/check")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-frame-options" not in response.headers
    assert "frame-ancestors" not in response.headers["content-security-policy"]
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "set-cookie" not in response.headers
    script = "/static/check_session.js"
    assert f'src="{provider.settings.base_path}{script}"' in response.text
    found = await provider.http.get(script)
    assert found.status_code == 200
    assert "javascript" in found.headers["content-type"]
    assert STATE in found.text


async def test_only_who_asks_for_openid_is_told_a_session_state(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    for scope, is_told in (("api:read", False), ("openid", True), ("openid api:read", True)):
        answer = await sqlite_provider.authorize(browser, client, account, scope=scope)
        assert "code" in answer
        assert ("session_state" in answer) is is_told


async def test_a_browser_that_lost_its_state_gets_it_again_with_the_next_answer(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    state = browser.http.cookies[STATE]
    browser.history.clear()

    await sqlite_provider.authorize(browser, client, account, prompt="none")
    assert state_cookies(browser) == []

    for wrong in (None, "A" * 43):
        browser.http.cookies.delete(STATE)
        if wrong is not None:
            browser.http.cookies.set(STATE, wrong, domain="127.0.0.1", path="/")
        answer = await sqlite_provider.authorize(browser, client, account, prompt="none")
        assert browser.http.cookies[STATE] == state
        assert check(answer["session_state"], client.client_id, "https://app.example", state)


async def test_an_error_gives_a_browser_no_state(sqlite_provider: Provider) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, prompt="none")
    await browser.get("/authorize", parameters)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "login_required"
    assert state_cookies(browser) == []
