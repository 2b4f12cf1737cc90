"""Signing in with a password: who gets in, and what is told to who does not."""

import asyncio

import pytest
from argon2 import extract_parameters
from sqlalchemy import select

from authsvc.identity.passwords import PasswordHashes
from authsvc.protocol.errors import OAuthError
from authsvc.storage.schema import users
from tests.conftest import Backend, OpenProvider
from tests.identity.visitors import attempt, is_signed_in, visitor
from tests.provider import ORIGIN, PASSWORD, Account, Provider

UNICODE = {
    "a ligature, typed as two letters": ("of\ufb01ce hours", "office hours"),
    "composed, typed decomposed": ("caf\u00e9 am Ufer", "cafe\u0301 am Ufer"),
    "decomposed, typed composed": ("cafe\u0301 am Ufer", "caf\u00e9 am Ufer"),
    "full width, typed half width": ("\uff43\uff4f\uff52\uff52ect horse", "correct horse"),
    "emoji": ("🐎🔋📎✅🦄🌈🍀🎲", "🐎🔋📎✅🦄🌈🍀🎲"),
    "blanks at both ends": ("  two blanks  ", "  two blanks  "),
}


async def _stored_hash(provider: Provider, account: Account) -> str:
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(users.c.password_hash).where(users.c.id == account.id))
        return str(rows.scalar_one())


@pytest.mark.parametrize(("chosen", "typed"), UNICODE.values(), ids=UNICODE.keys())
async def test_a_person_gets_in_however_their_keyboard_writes_the_password(
    sqlite_provider: Provider, chosen: str, typed: str
) -> None:
    account = await sqlite_provider.create_user(password=chosen)
    browser = visitor(sqlite_provider)

    await attempt(browser, account.username, typed)

    assert is_signed_in(browser)


@pytest.mark.parametrize(
    "typed",
    [
        PASSWORD.upper(),
        PASSWORD + " ",
        " " + PASSWORD,
        PASSWORD[:-1],
        "",
        "x" * 1025,
        "correct \ud83d horse".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ],
)
async def test_a_password_that_is_nearly_right_is_wrong(
    sqlite_provider: Provider, typed: str
) -> None:
    account = await sqlite_provider.create_user()
    browser = visitor(sqlite_provider)

    page = await attempt(browser, account.username, typed)

    assert page.status == 400
    assert not is_signed_in(browser)


async def test_half_a_surrogate_pair_is_no_password_and_no_crash(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    login = sqlite_provider.resources.login

    signed_in = await login.sign_in(
        account.username, "\ud83d" * 8, ORIGIN, user_agent="", device=None, replaces=None
    )

    assert signed_in is None
    with pytest.raises(OAuthError):
        await sqlite_provider.create_user(password="correct \ud83d horse")


@pytest.mark.parametrize(
    "written", ["anna", "ANNA", " anna ", "\uff21\uff2e\uff2e\uff21", "Anna@Example.com"]
)
async def test_a_person_is_found_by_name_or_address_in_any_letters(
    sqlite_provider: Provider, written: str
) -> None:
    await sqlite_provider.create_user(username="Anna", email="anna@example.com")
    browser = visitor(sqlite_provider)

    await attempt(browser, written, PASSWORD)

    assert is_signed_in(browser)


async def test_unknown_wrong_and_disabled_get_the_very_same_answer(
    sqlite_provider: Provider,
) -> None:
    known, disabled = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    people = sqlite_provider.resources.people
    async with sqlite_provider.resources.database.transaction() as tx:
        await people.disable(tx, disabled.id, ORIGIN)
    tried = {
        "unknown": ("somebody", PASSWORD),
        "wrong": (known.username, "a wrong password"),
        "disabled": (disabled.username, PASSWORD),
        "impossible": (known.username, "x" * 2_000),
    }

    answers = set()
    for number, (username, password) in enumerate(tried.values()):
        page = await attempt(visitor(sqlite_provider, f"192.0.2.{number}"), username, password)
        cookies = sorted(name for name in page.headers if name == "set-cookie")
        answers.add((page.status, page.alert, tuple(cookies)))

    assert answers == {(400, "The username or password is wrong.", ())}
    reasons = [dict(event.details) for event in await sqlite_provider.audit_events("login.failed")]
    assert [details["reason"] for details in reversed(reasons)] == [
        "unknown",
        "password",
        "disabled",
        "password",
    ]


async def test_a_person_who_is_enabled_again_gets_in_again(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    people = sqlite_provider.resources.people
    for change in (people.disable, people.enable):
        async with sqlite_provider.resources.database.transaction() as tx:
            await change(tx, account.id, ORIGIN)
    browser = visitor(sqlite_provider)

    await attempt(browser, account.username, PASSWORD)

    assert is_signed_in(browser)


async def test_raised_parameters_rehash_at_the_next_login_and_equal_ones_do_not(
    backend: Backend, open_providers: OpenProvider
) -> None:
    before = await open_providers(backend, argon2_time_cost=1)
    account = await before.create_user()
    made = await _stored_hash(before, account)
    await attempt(visitor(before), account.username, PASSWORD)
    assert await _stored_hash(before, account) == made

    after = await open_providers(backend, argon2_time_cost=2)
    await attempt(visitor(after, "192.0.2.9"), account.username, "a wrong password")
    assert await _stored_hash(after, account) == made
    browser = visitor(after)
    await attempt(browser, account.username, PASSWORD)

    rehashed = await _stored_hash(after, account)
    assert is_signed_in(browser)
    assert extract_parameters(rehashed).time_cost == 2
    await attempt(visitor(after), account.username, PASSWORD)
    assert await _stored_hash(after, account) == rehashed
    events = await after.audit_events("login.succeeded")
    assert [event.details["rehashed"] for event in reversed(events)] == [False, True, False]


async def test_two_tabs_that_sign_in_at_once_both_get_in_although_the_hash_is_renewed(
    backend: Backend, open_providers: OpenProvider
) -> None:
    account = await (await open_providers(backend, argon2_time_cost=1)).create_user()
    after = await open_providers(backend, argon2_time_cost=2)
    tabs = [visitor(after) for _ in range(4)]
    pages = [await tab.get("/login") for tab in tabs]
    values = {"username": account.username, "password": PASSWORD}

    await asyncio.gather(
        *(
            tab.submit(page, values, button="#login-submit")
            for tab, page in zip(tabs, pages, strict=True)
        )
    )

    assert [is_signed_in(tab) for tab in tabs] == [True] * 4


async def test_a_password_that_is_changed_while_it_is_checked_lets_nobody_in(
    backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = await open_providers(backend)
    account = await provider.create_user()
    people, database = provider.resources.people, provider.resources.database
    verify = PasswordHashes.verify

    async def verify_and_change(
        hashes: PasswordHashes, password_hash: str | None, password: str
    ) -> bool:
        right = await verify(hashes, password_hash, password)
        monkeypatch.setattr(PasswordHashes, "verify", verify)
        new = await people.hash_new_password("another good one", names=())
        async with database.transaction() as tx:
            await people.set_password(tx, account.id, new, ORIGIN)
        return right

    monkeypatch.setattr(PasswordHashes, "verify", verify_and_change)
    browser = visitor(provider)

    page = await attempt(browser, account.username, PASSWORD)

    assert page.status == 400
    assert not is_signed_in(browser)
    await attempt(browser, account.username, "another good one")
    assert is_signed_in(browser)
