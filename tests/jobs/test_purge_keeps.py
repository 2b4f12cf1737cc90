"""What is needed still is not purged: replays are noticed, and what lives goes on."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from authsvc.jobs import scheduler
from authsvc.jobs.purge_expired import GRACE
from authsvc.storage import outbox
from authsvc.storage.client_assertions import consume_client_assertion
from authsvc.storage.idempotency_keys import claim_idempotency_key
from authsvc.storage.login_attempts import count_attempt
from tests.conftest import Backend, OpenProvider
from tests.devices import approve, create_device_client, poll, start
from tests.jobs.table_sizes import clean_up, count_rows
from tests.provider import Provider, TestClient
from tests.registration import initial_token

DAY, HASH = timedelta(days=1), b"h" * 32


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


@pytest.fixture(params=["sqlite", "postgres"])
def stored(request: pytest.FixtureRequest, make_backend: Any) -> Backend:
    """Each database in turn."""
    backend: Backend = make_backend(request.param)
    return backend


@pytest.fixture
async def provider(stored: Backend, open_providers: OpenProvider) -> Provider:
    """A provider with the default lives, whose jobs the test runs."""
    running: Provider = await open_providers(stored)
    return running


async def go_on(
    provider: Provider, client: TestClient, refresh_token: str, days: Sequence[int]
) -> str:
    """Let days go by, refresh after each of ``days`` and clean up; return the newest token."""
    for number in days:
        provider.clock.move(days=number)
        await clean_up(provider)
        response = await provider.refresh(client, refresh_token)
        assert response.status_code == 200, response.text
        refresh_token = response.json()["refresh_token"]
    return refresh_token


async def is_refused(provider: Provider, client: TestClient, refresh_token: str) -> bool:
    response = await provider.refresh(client, refresh_token)
    return bool(response.status_code == 400 and response.json()["error"] == "invalid_grant")


async def test_a_code_that_is_replayed_weeks_later_still_ends_its_family(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    code = (await provider.authorize(provider.browser(), client, account))["code"]
    tokens = (await provider.redeem(client, code)).json()
    newest = await go_on(provider, client, tokens["refresh_token"], [1, 7, 8, 10])

    response = await provider.redeem(client, code)

    assert response.json()["error"] == "invalid_grant"
    assert await is_refused(provider, client, newest)
    assert len(await provider.audit_events("code.replayed")) == 1


async def test_a_device_code_that_is_replayed_weeks_later_still_ends_its_family(
    provider: Provider,
) -> None:
    client, account = await create_device_client(provider), await provider.create_user()
    codes = await start(provider, client)
    await approve(provider, codes, account)
    tokens = (await poll(provider, client, codes)).json()
    newest = await go_on(provider, client, tokens["refresh_token"], [1, 7, 8, 10])

    assert (await poll(provider, client, codes)).json()["error"] == "invalid_grant"
    assert await is_refused(provider, client, newest)
    assert len(await provider.audit_events("device_code.replayed")) == 1


async def test_a_replay_takes_back_an_access_token_that_lives_longer_than_its_code(
    stored: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(stored, access_token_ttl=DAY)
    client, account = await provider.create_client(), await provider.create_user()
    answer = await provider.authorize(provider.browser(), client, account, scope="openid")
    token = (await provider.redeem(client, answer["code"])).json()["access_token"]
    provider.clock.move(hours=7)
    await clean_up(provider)
    assert (await provider.userinfo(token)).status_code == 200

    await provider.redeem(client, answer["code"])

    assert (await provider.userinfo(token)).status_code == 401


async def test_a_spent_token_that_comes_back_still_ends_the_family_of_a_thief(
    provider: Provider,
) -> None:
    """The thief refreshes for days before the app, which was closed, comes back."""
    client = await provider.create_client()
    stolen = (await provider.sign_in(client, await provider.create_user()))["refresh_token"]
    newest = await go_on(provider, client, stolen, [1, 4, 4, 4])

    assert await is_refused(provider, client, stolen)

    assert await is_refused(provider, client, newest)
    assert len(await provider.audit_events("refresh_token.reused")) == 1


async def test_a_spent_token_that_has_expired_itself_is_gone_and_refused_and_ends_nothing(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    first = (await provider.sign_in(client, await provider.create_user()))["refresh_token"]
    newest = await go_on(provider, client, first, [8, 8])
    assert (await count_rows(provider))["refresh_tokens"] == 2

    assert await is_refused(provider, client, first)

    await go_on(provider, client, newest, [1])


async def test_a_family_outlives_its_session_and_the_session_goes_when_it_is_dead(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = await provider.sign_in(client, account)
    newest = await go_on(provider, client, tokens["refresh_token"], [2, 12, 12, 12, 12, 12, 12, 12])
    provider.clock.move(days=3)
    assert (await count_rows(provider))["sessions"] == 1
    assert (await provider.refresh(client, newest)).status_code == 200

    # The family has its full life behind it; each row that hung on it is looked at weekly.
    for _ in range(2):
        provider.clock.move(days=8)
        await clean_up(provider)

    rows = await count_rows(provider)
    emptied = ("sessions", "authorization_codes", "token_families", "refresh_tokens")
    assert {name: rows[name] for name in emptied} == dict.fromkeys(emptied, 0)
    assert rows["users"] == 1
    assert rows["consents"] == 1


async def test_a_family_that_nobody_uses_goes_with_its_last_token(provider: Provider) -> None:
    client = await provider.create_client()
    await provider.sign_in(client, await provider.create_user())
    for days in (13, 2, 8):
        provider.clock.move(days=days)
        await clean_up(provider)
        rows = await count_rows(provider)
        assert rows["token_families"] == (1 if days == 13 else 0)

    assert rows["sessions"] == rows["authorization_codes"] == 0


async def test_what_was_revoked_stays_so_for_as_long_as_tokens_live(
    stored: Backend, open_providers: OpenProvider
) -> None:
    """The family's row goes early, what it says of access tokens does not."""
    provider: Provider = await open_providers(stored, access_token_ttl=DAY)
    client, account = await provider.create_client(), await provider.create_user()
    alone, family, session = [
        await provider.sign_in(client, account, provider.browser()) for _ in range(3)
    ]
    await provider.revoke(client, alone["access_token"])
    await provider.revoke(client, family["refresh_token"])
    async with provider.resources.database.transaction() as tx:
        user_sessions = await provider.resources.revoker.revoke_user(tx, account.id)
    assert user_sessions == 3
    for hours in (2, 10, 11.9):
        provider.clock.move(hours=hours)
        await clean_up(provider)

        for tokens in (alone, family, session):
            assert (await provider.userinfo(tokens["access_token"])).status_code == 401
            answer = await provider.introspect(client, tokens["access_token"])
            assert answer == {"active": False}
        assert (await count_rows(provider))["token_families"] == 0
        assert (await count_rows(provider))["revocations"] > 0

    provider.clock.move(hours=2)
    await clean_up(provider)
    assert (await count_rows(provider))["revocations"] == 0


async def test_what_counts_once_counts_until_it_has_expired(provider: Provider) -> None:
    database, now = provider.resources.database, provider.clock.now()
    later = now + timedelta(hours=3)

    async def repeat() -> tuple[bool, bool, bool]:
        async with database.transaction() as tx:
            assertion = await consume_client_assertion(tx, HASH, expires_at=later)
            answer = await claim_idempotency_key(tx, HASH, HASH, now=now, expires_at=later)
            # Closed for longer than wrong passwords are remembered.
            attempt = await count_attempt(
                tx,
                HASH,
                free=1,
                delays=[timedelta(hours=3)],
                now=provider.clock.now(),
                window=timedelta(minutes=1),
            )
        return assertion, answer is None, attempt

    assert await repeat() == (True, True, True)
    provider.clock.move(hours=2, minutes=59)
    await clean_up(provider)
    assert await repeat() == (False, False, False)

    provider.clock.move(minutes=2, seconds=GRACE.total_seconds())
    await clean_up(provider)
    rows = await count_rows(provider)
    assert rows["client_assertions"] == rows["idempotency_keys"] == rows["login_attempts"] == 0


async def test_entries_are_kept_while_they_are_tried_and_dead_ones_for_an_operator(
    stored: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(stored, outbox_dead_ttl=3 * DAY)
    database = provider.resources.database
    async with database.transaction() as tx:
        now = provider.clock.now()
        await outbox.add(tx, "test", [{"n": n} for n in range(4)], now=now)
        tried, *dead = await outbox.claim(tx, ["test"], now=now, lease=DAY, limit=4)
        await outbox.retry(tx, tried, due_at=now + DAY / 24, error="away")
        for entry in dead:
            await outbox.give_up(tx, entry, now=now, error="gone")
        # Nobody delivers this one: of mail that was turned off, or of a later version.
        await outbox.add(tx, "mail_notice", [{"to": "anna@people.example"}], now=now)
    provider.clock.move(days=3, seconds=-60)
    await clean_up(provider)
    assert (await count_rows(provider))["outbox"] == 5

    provider.clock.move(seconds=120)
    await clean_up(provider)

    assert (await count_rows(provider))["outbox"] == 1
    async with database.transaction() as tx:
        (left,) = await outbox.claim(tx, ["test"], now=provider.clock.now(), lease=DAY, limit=4)
        assert left.id == tried.id


async def test_the_audit_log_is_never_purged(provider: Provider) -> None:
    await provider.sign_in(await provider.create_client(), await provider.create_user())
    before = (await count_rows(provider))["audit_events"]
    for _ in range(2):
        provider.clock.move(days=4_000)
        await clean_up(provider)

    rows = await count_rows(provider)
    assert rows["audit_events"] == before
    assert rows["sessions"] == rows["token_families"] == 0


async def test_initial_access_tokens_go_when_they_have_expired(
    stored: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(stored, registration="token")
    await initial_token(provider, seconds=60)
    await initial_token(provider, seconds=60 + 2 * GRACE.total_seconds())
    provider.clock.move(seconds=61 + GRACE.total_seconds())

    await clean_up(provider)

    assert (await count_rows(provider))["initial_access_tokens"] == 1
