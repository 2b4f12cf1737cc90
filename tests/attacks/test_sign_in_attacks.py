"""Attacks on the sign-in: guessing, enumeration, fixation, forged forms and cookies."""

import re
from typing import Any

import httpx
import pytest

from tests.browser import Page
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider

PROXY = "10.0.0.1"


async def _sign_in(
    provider: Provider, username: str, password: str, *, address: str = "", **cookies: str
) -> Page:
    """Post the login form from an address, with a browser of its own."""
    browser = provider.browser()
    if address:
        browser.http.headers["X-Forwarded-For"] = address
    for name, value in cookies.items():
        browser.http.cookies.set(f"authsvc_{name}", value)
    page = await browser.get("/login")
    form = {"username": username, "password": password}
    return await browser.submit(page, form, button="#login-submit")


def _spy(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each hash that Argon2 is asked to verify."""
    verified: list[str] = []
    hashes: Any = provider.resources.password_hashes
    verify = hashes._hasher.verify

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, encoded: str, password: str) -> bool:
            verified.append(encoded)
            return bool(verify(encoded, password))

    hasher = hashes._hasher
    monkeypatch.setattr(hashes, "_hasher", Spy())
    return verified


async def test_unknown_wrong_and_disabled_are_one_answer_and_cost_one_hash_each(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqlite_provider.create_user(username="known")
    disabled = await sqlite_provider.create_user(username="disabled")
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.people.disable(tx, disabled.id, ORIGIN)
    verified = _spy(sqlite_provider, monkeypatch)
    pages = {}
    for username, password in (
        ("known", "wrong password"),
        ("unknown", "wrong password"),
        ("disabled", disabled.password),
        ("unknown@example.com", "wrong password"),
    ):
        before = len(verified)
        page = await _sign_in(sqlite_provider, username, password, address="192.0.2.1")
        pages[username] = _without_secrets(page, username)
        assert len(verified) - before == 1, username

    assert len(set(pages.values())) == 1
    parameters = {re.sub(r"\$[^$]+\$[^$]+$", "", encoded) for encoded in verified}
    assert len(parameters) == 1


def _without_secrets(page: Page, username: str) -> tuple[int, str, tuple[str, ...]]:
    text = page.text.replace(username, "NAME")
    for form in page.forms:
        for value in form.fields.values():
            if len(value) > 20:
                text = text.replace(value, "VALUE")
    headers = {name for name in page.headers if name != "x-request-id"}
    return page.status, text, tuple(sorted(headers))


async def test_each_guess_is_throttled_alike_for_known_and_unknown_accounts(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, login_delay=600)
    await provider.create_user(username="known")
    statuses = {}
    for number, username in enumerate(("known", "unknown")):
        address = f"192.0.2.{number + 1}"
        statuses[username] = [
            (await _sign_in(provider, username, "wrong password", address=address)).status
            for _ in range(7)
        ]

    assert statuses["known"] == statuses["unknown"] == [400] * 5 + [429] * 2


async def test_an_attacker_can_not_lock_a_person_out_who_was_there_before(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, login_delay=600, login_account_attempts_everywhere=8
    )
    account = await provider.create_user()
    browser = provider.browser()
    browser.http.headers["X-Forwarded-For"] = "198.51.100.7"
    page = await browser.get("/login")
    form = {"username": account.username, "password": account.password}
    await browser.submit(page, form, button="#login-submit")
    for number in range(10):
        await _sign_in(provider, account.username, "wrong", address=f"192.0.2.{number}")
    stranger = await _sign_in(provider, account.username, account.password, address="203.0.113.1")
    assert stranger.status == 429

    browser.http.cookies.delete("authsvc_session")
    page = await browser.submit(await browser.get("/login"), form, button="#login-submit")

    assert page.status == 200
    assert account.username in page.text


async def test_a_device_cookie_that_is_forged_or_of_another_account_opens_no_other_bucket(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, login_delay=600)
    victim, attacker = await provider.create_user(), await provider.create_user()
    browser = provider.browser()
    page = await browser.get("/login")
    form = {"username": attacker.username, "password": attacker.password}
    await browser.submit(page, form, button="#login-submit")
    own = browser.http.cookies["authsvc_device"]
    name, _, signature = own.rpartition(".")
    forged = [
        own,
        f"{name}.",
        f"other.{signature}",
        f".{signature}",
        name,
        "..",
        "a.b.c",
        own + "A",
        "x" * 3_000,
    ]
    for _ in range(5):
        await _sign_in(provider, victim.username, "wrong", address="192.0.2.1")

    for cookie in forged:
        page = await _sign_in(
            provider, victim.username, victim.password, address="192.0.2.1", device=cookie
        )
        assert page.status == 429, cookie


async def test_own_sign_ins_of_an_attacker_reset_nothing_that_was_counted_on_others(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, login_delay=600, login_delay_max=600, login_address_attempts=12
    )
    attacker = await provider.create_user()
    victims = [await provider.create_user() for _ in range(20)]
    guesses = 0
    for victim in victims:
        page = await _sign_in(provider, victim.username, "wrong", address="192.0.2.1")
        guesses += page.status == 400
        await _sign_in(provider, attacker.username, attacker.password, address="192.0.2.1")

    assert guesses == 12


async def test_own_sign_ins_do_not_open_the_bucket_of_a_victim(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, login_delay=600)
    attacker, victim = await provider.create_user(), await provider.create_user()
    statuses = []
    for _ in range(8):
        page = await _sign_in(provider, victim.username, "wrong", address="192.0.2.1")
        statuses.append(page.status)
        await _sign_in(provider, attacker.username, attacker.password, address="192.0.2.1")

    assert statuses == [400] * 5 + [429] * 3


async def test_an_address_is_believed_from_trusted_proxies_alone(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, trusted_proxies=PROXY, login_delay=600
    )
    account = await provider.create_user()
    statuses = []
    for number in range(7):
        transport = httpx.ASGITransport(provider.app, client=("203.0.113.9", 5))
        async with httpx.AsyncClient(
            transport=transport, base_url=provider.settings.issuer
        ) as http:
            spoofed = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
            page = await http.get("/login", headers=spoofed)
            token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
            assert token is not None
            form = {"username": account.username, "password": "wrong", "csrf_token": token[1]}
            response = await http.post("/login", data=form, headers=spoofed)
            statuses.append(response.status_code)

    assert statuses == [400] * 5 + [429] * 2
    addresses = {event.address for event in await provider.audit_events("login.failed")}
    assert addresses == {"203.0.113.9"}


async def test_behind_a_proxy_the_last_address_that_it_vouches_for_counts(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, trusted_proxies="127.0.0.1")
    account = await provider.create_user()
    for chain in ("10.9.9.9, 192.0.2.77", "evil, 192.0.2.77", "'; DROP, 192.0.2.77:4711"):
        await _sign_in(provider, account.username, "wrong", address=chain)
    for chain in ("fe80::1%" + "a" * 500, "192.0.2.77, unknown", "\x01", "," * 500):
        page = await _sign_in(provider, account.username, "wrong", address=chain)
        assert page.status in {400, 429}

    addresses = {event.address for event in await provider.audit_events("login.failed")}
    assert addresses == {"192.0.2.77", "127.0.0.1"}
