"""Whoever may come in gets in: no attack, no full queue and no dead secret keeps them out."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from authsvc.storage.schema import client_secrets
from tests.answers import check_error
from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.identity.visitors import attempt, attempts, forget_session, is_signed_in, visitor
from tests.provider import ORIGIN, Account, Provider

WRONG = "a wrong password"
EMAIL = "person@example.com"
FREE, EVERYWHERE, ADDRESS = 3, 6, 8
LIMITS = {
    "login_account_attempts": FREE,
    "login_account_attempts_everywhere": EVERYWHERE,
    "login_address_attempts": ADDRESS,
    "login_delay": 10,
    "login_delay_max": 300,
}
HOME = "198.51.100.7"


@pytest.fixture
async def provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider with low limits; the longest delay from everywhere is the default."""
    opened: Provider = await open_providers(sqlite_backend, **LIMITS)
    return opened


@pytest.fixture
async def account(provider: Provider) -> Account:
    """A person who has an address, too."""
    return await provider.create_user(email=EMAIL)


async def _known_browser(provider: Provider, account: Account, address: str = HOME) -> Browser:
    """Return a browser that was signed in before."""
    browser = visitor(provider, address)
    await attempt(browser, account.username, account.password)
    assert is_signed_in(browser)
    forget_session(browser)
    return browser


async def _enters(browser: Browser, account: Account) -> bool:
    await attempt(browser, account.username, account.password)
    return is_signed_in(browser)


def _device(browser: Browser) -> str:
    (value,) = [c.value for c in browser.http.cookies.jar if c.name.endswith("authsvc_device")]
    assert value
    return value


def _name(browser: Browser) -> str:
    """Return the name by which the browser is counted."""
    return _device(browser).partition(".")[0]


async def _attack_from_everywhere(provider: Provider, account: Account) -> None:
    """Guess until the account is closed for whoever is not known there."""
    for number in range(EVERYWHERE):
        stranger = visitor(provider, f"203.0.113.{number}")
        assert await attempts(stranger, account.username, WRONG, 1) == [400]
    assert not await _enters(visitor(provider, "192.0.2.1"), account)


async def test_guesses_at_others_from_its_own_address_do_not_keep_a_known_browser_out(
    provider: Provider, account: Account
) -> None:
    known = await _known_browser(provider, account)
    for number in range(ADDRESS):
        assert await attempts(visitor(provider, HOME), f"nobody{number}", WRONG, 1) == [400]
    assert not await _enters(visitor(provider, HOME), account)

    assert await _enters(known, account)

    # Nor hours later, when the stranger has knocked whenever the address was open again.
    for number in range(12):
        provider.clock.move(seconds=301)
        await attempt(visitor(provider, HOME), f"nobody{number}", WRONG)
    assert not await _enters(visitor(provider, HOME), account)
    forget_session(known)
    assert await _enters(known, account)


async def test_who_attacks_from_everywhere_makes_its_person_wait_seconds_and_not_minutes(
    provider: Provider, account: Account
) -> None:
    longest = provider.settings.login_delay_max_everywhere.total_seconds()
    assert longest == 15
    await _attack_from_everywhere(provider, account)
    for number in range(20):
        provider.clock.move(seconds=16)
        stranger = visitor(provider, f"203.0.113.{100 + number}")
        assert await attempts(stranger, account.username, WRONG, 1) == [400]
        refused = await attempt(visitor(provider, "192.0.2.1"), account.username, account.password)
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) <= longest + 1

    provider.clock.move(seconds=15)
    assert await _enters(visitor(provider, "192.0.2.1"), account)


async def test_a_person_who_comes_while_no_password_can_be_looked_at_is_not_counted(
    provider: Provider, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(provider.resources.password_hashes, "_room", 0)
        for _ in range(2 * ADDRESS):
            page = await attempt(visitor(provider), account.username, account.password)
            assert page.status == 503
            assert int(page.headers["retry-after"]) >= 1

    # Nothing is left of it in any bucket: each of the free guesses is still there.
    assert await attempts(visitor(provider), account.username, WRONG, FREE - 1) == [400] * 2
    assert await _enters(visitor(provider), account)


async def test_guesses_before_the_queue_was_full_stay_counted(
    provider: Provider, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attempts(visitor(provider), account.username, WRONG, FREE - 1)
    with monkeypatch.context() as full:
        full.setattr(provider.resources.password_hashes, "_room", 0)
        assert await attempts(visitor(provider), account.username, WRONG, 5) == [503] * 5

    assert await attempts(visitor(provider), account.username, WRONG, 2) == [400, 429]


@pytest.mark.parametrize("first_is_email", [True, False])
async def test_closing_one_name_tells_nothing_about_another_of_the_same_person(
    provider: Provider, account: Account, first_is_email: bool
) -> None:
    names = [EMAIL, account.username] if first_is_email else [account.username, EMAIL]
    stranger = visitor(provider)
    assert await attempts(stranger, names[0], WRONG, FREE) == [400] * FREE
    assert await attempts(stranger, f" {names[0].upper()} ", WRONG, 1) == [429]

    # Were they counted together, this would say that both are one account that exists.
    assert await attempts(stranger, names[1], WRONG, 1) == [400]


async def test_no_name_can_be_typed_so_that_it_closes_anothers_door(
    provider: Provider, account: Account
) -> None:
    person = visitor(provider, "203.0.113.7")
    for address in range(1, 2 * FREE + 1):
        stranger = visitor(provider, f"192.0.2.{address}")
        await attempts(stranger, f"{account.username} 203.0.113.7", WRONG, 1)
        await attempts(stranger, f"203.0.113.7 {account.username}", WRONG, 1)

    assert await attempts(person, account.username, WRONG, FREE) == [400] * FREE


async def test_a_browser_has_one_name_however_often_it_signs_in(
    provider: Provider, account: Account
) -> None:
    browser = await _known_browser(provider, account)
    first = _name(browser)
    for _ in range(3):
        forget_session(browser)
        assert await _enters(browser, account)
        assert _name(browser) == first
    assert _name(await _known_browser(provider, account)) != first

    # So guesses made between two sign-ins with it do not start anew under another name.
    forget_session(browser)
    copies = [visitor(provider) for _ in range(FREE + 1)]
    for copy in copies:
        copy.http.cookies.set("authsvc_device", _device(browser), domain="127.0.0.1")
    statuses = [(await attempts(copy, account.username, WRONG, 1))[0] for copy in copies]
    assert statuses == [400] * FREE + [429]


async def test_a_browser_is_a_stranger_after_the_password_was_changed(
    provider: Provider, account: Account
) -> None:
    thief = await _known_browser(provider, account)
    people = provider.resources.people
    password = "another good password 1"
    new_hash = await people.hash_new_password(password, names=())
    async with provider.resources.database.transaction() as tx:
        await people.set_password(tx, account.id, new_hash, ORIGIN)
    changed = Account(account.id, account.username, password)
    owner = await _known_browser(provider, changed)
    await _attack_from_everywhere(provider, changed)

    assert await attempts(thief, account.username, WRONG, 1) == [429]
    assert not await _enters(thief, changed)
    assert await _enters(owner, changed)


async def test_a_browser_stays_known_when_its_password_is_hashed_anew(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    before: Provider = await open_providers(sqlite_backend, **LIMITS)
    account = await before.create_user()
    dearer: dict[str, Any] = {**LIMITS, "argon2_time_cost": 2}
    after: Provider = await open_providers(sqlite_backend, **dearer)
    browser = await _known_browser(after, account)
    (event,) = await after.audit_events("login.succeeded")
    assert event.details["rehashed"] is True
    await _attack_from_everywhere(after, account)

    assert await _enters(browser, account)


async def test_a_client_whose_secrets_are_all_dead_gets_a_new_one_when_it_is_updated(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    administration = provider.server.client_administration
    change = await administration.check_change(client.client_id, {"client_name": "x"})
    async with provider.resources.database.transaction() as tx:
        await tx.execute(update(client_secrets).values(expires_at=provider.clock.now()))
        registered = await administration.update(tx, client.client_id, change, ORIGIN)

    refused = await provider.token(client, grant_type="client_credentials")
    check_error(refused, 401, "invalid_client")
    answer = await provider.http.post(
        "/token",
        data={"grant_type": "client_credentials"},
        auth=(client.client_id, registered["client_secret"]),
    )
    assert answer.status_code == 200


async def test_a_client_with_a_living_secret_keeps_it_when_it_is_updated(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    administration = provider.server.client_administration
    change = await administration.check_change(client.client_id, {"client_name": "x"})
    async with provider.resources.database.transaction() as tx:
        later = provider.clock.now() + timedelta(minutes=5)
        await tx.execute(update(client_secrets).values(expires_at=later))
        registered = await administration.update(tx, client.client_id, change, ORIGIN)

    assert "client_secret" not in registered
    response = await provider.token(client, grant_type="client_credentials")
    assert response.status_code == 200


async def test_a_client_whose_secret_has_expired_can_be_deleted(provider: Provider) -> None:
    client = await provider.create_client()
    administration = provider.server.client_administration
    async with provider.resources.database.transaction() as tx:
        await administration.rotate_secret(
            tx, client.client_id, ORIGIN, overlap=timedelta(seconds=60)
        )
    provider.clock.move(seconds=61)
    async with provider.resources.database.transaction() as tx:
        await administration.delete(tx, client.client_id, ORIGIN)

    refused = await provider.token(client, grant_type="client_credentials")
    check_error(refused, 401, "invalid_client")
