"""A browser's session: how long it lives, what ends it, and what its cookie is like."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie

import pytest

from authsvc.identity.login import ReplacedSession, SignedIn
from authsvc.storage.sessions import Session, list_sessions
from tests.answers import log_in
from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.identity.visitors import attempt, is_signed_in, visitor
from tests.provider import ORIGIN, Account, Provider

DAY, IDLE = 86_400, 28_800


async def _signed_in(provider: Provider, account: Account) -> Browser:
    browser = visitor(provider)
    await attempt(browser, account.username, account.password)
    assert is_signed_in(browser)
    return browser


async def _lives(browser: Browser) -> bool:
    """Tell whether the login page finds the browser signed in: it sends such a one on."""
    return not (await browser.get("/login")).has("input[name=password]")


def _set_cookies(browser: Browser) -> dict[str, Morsel[str]]:
    found: dict[str, Morsel[str]] = {}
    for response in browser.history:
        for header in response.headers.get_list("set-cookie"):
            found.update(SimpleCookie(header))
    return found


async def test_a_session_that_is_not_used_ends_after_its_idle_life(provider: Provider) -> None:
    browser = await _signed_in(provider, await provider.create_user())

    provider.clock.move(seconds=IDLE - 5)
    assert await _lives(browser)
    provider.clock.move(seconds=5)

    assert not await _lives(browser)


async def test_a_session_that_is_used_lives_on_but_never_beyond_its_absolute_life(
    provider: Provider,
) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    browser = visitor(provider)
    await provider.authorize(browser, client, account)

    for _ in range(4):
        provider.clock.move(seconds=21_000)
        answer = await provider.authorize(browser, client, account, prompt="none")
        assert "code" in answer
    provider.clock.move(seconds=DAY - 4 * 21_000)

    answer = await provider.authorize(browser, client, account, prompt="none")
    assert answer["error"] == "login_required"


async def test_lifetimes_are_settings(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, session_ttl=50, session_idle_ttl=20)
    account = await provider.create_user()
    idle = await _signed_in(provider, account)
    provider.clock.move(seconds=19)
    assert await _lives(idle)
    provider.clock.move(seconds=1)
    assert not await _lives(idle)

    assert _set_cookies(idle)["authsvc_session"]["max-age"] == "50"


@pytest.mark.parametrize(
    ("issuer", "prefix", "secure"),
    [
        ("http://127.0.0.1:8000", "authsvc_", False),
        ("https://login.example", "__Host-authsvc_", True),
        ("https://login.example/tenant", "__Host-authsvc_", True),
    ],
)
async def test_cookies_are_out_of_reach_of_scripts_other_hosts_and_other_sites(
    sqlite_backend: Backend, open_providers: OpenProvider, issuer: str, prefix: str, secure: bool
) -> None:
    provider = await open_providers(sqlite_backend, issuer=issuer)
    account = await provider.create_user()
    browser = visitor(provider)

    await attempt(browser, account.username, account.password)

    cookies = _set_cookies(browser)
    # The one that is within reach of a script, of ours: see web/test_session_management.
    del cookies[f"{prefix}browser_state"]
    assert set(cookies) == {f"{prefix}{name}" for name in ("session", "browser", "device")}
    for cookie in cookies.values():
        assert cookie["httponly"] is True
        assert cookie["samesite"].lower() == "lax"
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
        assert bool(cookie["secure"]) is secure
    assert cookies[f"{prefix}session"]["max-age"] == str(DAY)
    assert cookies[f"{prefix}browser"]["max-age"] == ""
    assert len(cookies[f"{prefix}session"].value) == 43


async def _sessions(provider: Provider, account: Account) -> list[Session]:
    async with provider.resources.database.reading() as tx:
        now = provider.clock.now()
        return await list_sessions(tx, user_id=account.id, after=None, limit=9, now=now)


async def test_signing_in_again_renews_the_session_under_a_new_cookie(
    provider: Provider,
) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    browser = visitor(provider)
    tokens = await provider.sign_in(client, account, browser)
    old_cookie = browser.http.cookies["authsvc_session"]
    (before,) = await _sessions(provider, account)
    provider.clock.move(hours=1)

    await provider.authorize(browser, client, account, prompt="login")

    assert browser.http.cookies["authsvc_session"] != old_cookie
    thief = visitor(provider)
    thief.http.cookies.set("authsvc_session", old_cookie)
    assert not await _lives(thief)
    assert await _lives(browser)
    (after,) = await _sessions(provider, account)
    assert (after.id, after.created_at) == (before.id, before.created_at)
    for moved in ("auth_time", "seen_at", "expires_at"):
        assert getattr(after, moved) >= getattr(before, moved) + timedelta(hours=1)
    assert (await provider.refresh(client, tokens["refresh_token"])).status_code == 200


async def test_a_session_of_somebody_else_ends_with_all_it_got(provider: Provider) -> None:
    account, other = await provider.create_user(), await provider.create_user()
    client, browser = await provider.create_client(), visitor(provider)
    tokens = await provider.sign_in(client, account, browser)
    code = (await provider.authorize(browser, client, account))["code"]

    page = await browser.get(
        "/authorize", provider.authorization_parameters(client, prompt="login")
    )
    await log_in(browser, page, other)

    assert await _sessions(provider, account) == []
    assert (await provider.redeem(client, code)).json()["error"] == "invalid_grant"
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    (event,) = await provider.audit_events("session.ended")
    assert event.subject == account.id


async def test_a_session_that_was_ended_meanwhile_is_not_renewed(provider: Provider) -> None:
    account = await provider.create_user()
    browser = await _signed_in(provider, account)
    (ended,) = await _sessions(provider, account)
    replaced = ReplacedSession(ended.id, account.id, browser.http.cookies["authsvc_session"])
    await _revoke_sessions(provider, account)

    signed_in = await provider.resources.login.sign_in(
        account.username,
        account.password,
        ORIGIN,
        user_agent="",
        device=None,
        replaces=replaced,
    )

    assert signed_in is not None
    assert signed_in.session.id != ended.id
    assert not await _lives(browser)


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_signs_in_twice_with_one_cookie_has_two_sessions_that_live(
    provider: Provider, at_once: bool
) -> None:
    """A double click: whichever answer the browser keeps, its person is signed in."""
    account = await provider.create_user()
    browser = await _signed_in(provider, account)
    (before,) = await _sessions(provider, account)
    replaced = ReplacedSession(before.id, account.id, browser.http.cookies["authsvc_session"])

    def again() -> Awaitable[SignedIn | None]:
        return provider.resources.login.sign_in(
            account.username,
            account.password,
            ORIGIN,
            user_agent="",
            device=None,
            replaces=replaced,
        )

    answers = await asyncio.gather(again(), again()) if at_once else [await again(), await again()]

    assert None not in answers
    found = [answer for answer in answers if answer is not None]
    assert len({answer.session.id for answer in found} - {before.id}) == 1
    assert before.id in {answer.session.id for answer in found}
    for answer in found:
        kept = visitor(provider)
        kept.http.cookies.set("authsvc_session", answer.session_cookie)
        assert await _lives(kept)
    assert not await _lives(browser)
    assert await provider.audit_events("session.ended") == []


@pytest.mark.parametrize("value", ["", "x", "x" * 43, "x" * 5_000, "%00", '"quoted"'])
async def test_a_cookie_of_no_session_is_nobody(sqlite_provider: Provider, value: str) -> None:
    browser = visitor(sqlite_provider)
    browser.http.cookies.set("authsvc_session", value)

    assert not await _lives(browser)


async def test_the_cookie_is_not_stored(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend)
    browser = await _signed_in(provider, await provider.create_user())
    cookie = browser.http.cookies["authsvc_session"]

    async with provider.resources.database.reading() as tx:
        connection = await tx.connection()
        rows = await connection.exec_driver_sql("SELECT * FROM sessions")
        stored = repr(rows.all())

    assert "user_agent" not in stored
    assert cookie not in stored


async def _disable(provider: Provider, account: Account) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)


async def _set_password(provider: Provider, account: Account) -> None:
    people = provider.resources.people
    made = await people.hash_new_password("another good password", names=())
    async with provider.resources.database.transaction() as tx:
        await people.set_password(tx, account.id, made, ORIGIN)


async def _delete(provider: Provider, account: Account) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.delete(tx, account.id, ORIGIN)


async def _revoke_sessions(provider: Provider, account: Account) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.revoke_sessions(tx, account.id, ORIGIN)


@pytest.mark.parametrize("change", [_disable, _set_password, _delete, _revoke_sessions])
async def test_what_ends_a_person_s_access_ends_sessions_codes_families_and_tokens(
    provider: Provider, change: Callable[[Provider, Account], Awaitable[None]]
) -> None:
    account, other = await provider.create_user(), await provider.create_user()
    client = await provider.create_client()
    browser, others = visitor(provider), visitor(provider)
    tokens = await provider.sign_in(client, account, browser)
    kept = await provider.sign_in(client, other, others)
    code = (await provider.authorize(browser, client, account))["code"]

    await change(provider, account)

    assert not await _lives(browser)
    assert (await provider.redeem(client, code)).json()["error"] == "invalid_grant"
    refused = await provider.refresh(client, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert await provider.introspect(client, token) == {"active": False}
    assert await _lives(others)
    assert (await provider.userinfo(kept["access_token"])).status_code == 200
    assert (await provider.refresh(client, kept["refresh_token"])).status_code == 200


async def test_a_session_ends_with_the_logout_and_its_access_tokens_with_it(
    provider: Provider,
) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    browser, elsewhere = visitor(provider), visitor(provider)
    tokens = await provider.sign_in(client, account, browser)
    kept = await provider.sign_in(client, account, elsewhere)

    page = await browser.get("/logout")
    await browser.submit(page, {}, button="#logout-confirm")

    assert not await _lives(browser)
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert await _lives(elsewhere)
    assert (await provider.userinfo(kept["access_token"])).status_code == 200
