"""Device codes under contention, with real commits: each statement lets one through."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from authsvc.storage.device_codes import (
    DeviceCode,
    approve_device_code,
    consume_device_code,
    deny_device_code,
    find_device_code,
    find_unanswered_code,
    note_poll,
    save_device_code,
    void_device_codes_of_clients,
    void_device_codes_of_sessions,
    void_device_codes_of_users,
)
from authsvc.storage.identifiers import new_id
from authsvc.storage.revocations import Kind
from authsvc.storage.sessions import Session
from tests.provider import Account, Provider, TestClient

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(minutes=10)
AT_ONCE = 20


def _code(client: TestClient) -> DeviceCode:
    return DeviceCode(
        id=new_id(NOW),
        client_id=client.client_id,
        user_id=None,
        session_id=None,
        scope="openid",
        resources=(),
        poll_interval=5,
        polled_at=None,
        created_at=NOW,
        expires_at=LATER,
    )


async def _save(provider: Provider, code: DeviceCode, device: bytes, user: bytes) -> bool:
    async with provider.resources.database.transaction() as tx:
        return await save_device_code(tx, code, device_code_hash=device, user_code_hash=user)


async def _begin_session(provider: Provider, account: Account) -> Session:
    async with provider.resources.database.transaction() as tx:
        session, _ = await provider.resources.sessions.begin(
            tx, account.id, amr=["pwd"], address="", user_agent=""
        )
    return session


async def _get(provider: Provider, device: bytes) -> DeviceCode:
    async with provider.resources.database.reading() as tx:
        code = await find_device_code(tx, device)
    assert code is not None
    return code


async def test_a_user_code_is_given_once(provider: Provider) -> None:
    client = await provider.create_client()
    saved = await asyncio.gather(
        *(_save(provider, _code(client), bytes([n] * 32), bytes(32)) for n in range(AT_ONCE))
    )
    assert sorted(saved) == [False] * (AT_ONCE - 1) + [True]


async def test_a_code_is_answered_once(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    session = await _begin_session(provider, account)
    code = _code(client)
    await _save(provider, code, bytes(32), bytes(32))
    database = provider.resources.database

    async def answer(yes: bool) -> bool:
        async with database.transaction() as tx:
            if yes:
                return await approve_device_code(tx, code.id, session, now=NOW)
            return await deny_device_code(tx, code.id, user_id=account.id, now=NOW)

    answers = await asyncio.gather(*(answer(n % 2 == 0) for n in range(AT_ONCE)))

    assert sorted(answers) == [False] * (AT_ONCE - 1) + [True]
    stored = await _get(provider, bytes(32))
    assert (stored.approved_at is None) != (stored.denied_at is None)
    assert (stored.session_id == session.id) == (stored.approved_at is not None)
    async with database.reading() as tx:
        assert await find_unanswered_code(tx, bytes(32), now=NOW) is None


async def test_a_code_is_spent_once_on_its_session_and_only_when_approved(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    session = await _begin_session(provider, account)
    other = await _begin_session(provider, account)
    code = _code(client)
    await _save(provider, code, bytes(32), bytes(32))
    database = provider.resources.database

    async def consume(session_id: str = session.id, now: datetime = NOW) -> bool:
        async with database.transaction() as tx:
            return await consume_device_code(tx, code.id, session_id=session_id, now=now)

    assert not await consume()
    async with database.transaction() as tx:
        assert not await approve_device_code(tx, code.id, session, now=LATER)
        assert await approve_device_code(tx, code.id, session, now=NOW)
    assert not await consume(other.id)
    assert not await consume(now=LATER)

    spent = await asyncio.gather(*(consume() for _ in range(AT_ONCE)))

    assert sorted(spent) == [False] * (AT_ONCE - 1) + [True]


async def test_of_polls_at_once_one_is_in_time_and_each_other_makes_the_interval_longer(
    provider: Provider,
) -> None:
    await _save(provider, _code(await provider.create_client()), bytes(32), bytes(32))

    async def poll(now: datetime) -> bool:
        async with provider.resources.database.transaction() as tx:
            code = await find_device_code(tx, bytes(32))
            assert code is not None
            return await note_poll(tx, code, now=now, penalty=5)

    in_time = await asyncio.gather(*(poll(NOW) for _ in range(AT_ONCE)))

    assert sorted(in_time) == [False] * (AT_ONCE - 1) + [True]
    assert (await _get(provider, bytes(32))).poll_interval == 5 + 5 * (AT_ONCE - 1)


async def test_a_clock_that_is_behind_does_not_wind_the_last_poll_back(
    provider: Provider,
) -> None:
    await _save(provider, _code(await provider.create_client()), bytes(32), bytes(32))
    for seconds, expected in ((10, True), (8, False)):
        async with provider.resources.database.transaction() as tx:
            code = await find_device_code(tx, bytes(32))
            assert code is not None
            at = NOW + timedelta(seconds=seconds)
            assert await note_poll(tx, code, now=at, penalty=5) is expected

    assert (await _get(provider, bytes(32))).polled_at == NOW + timedelta(seconds=10)


async def test_whoever_ends_a_session_a_person_or_a_client_ends_their_codes(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    session = await _begin_session(provider, account)
    pending, approved, spent = (_code(client) for _ in range(3))
    for n, code in enumerate((pending, approved, spent)):
        await _save(provider, code, bytes([n] * 32), bytes([n] * 32))
    async with provider.resources.database.transaction() as tx:
        for code in (approved, spent):
            assert await approve_device_code(tx, code.id, session, now=NOW)
        assert await consume_device_code(tx, spent.id, session_id=session.id, now=NOW)

    async with provider.resources.database.transaction() as tx:
        assert set(await void_device_codes_of_sessions(tx, [session.id], now=NOW)) == {
            approved.id,
            spent.id,
        }
        # What has expired is found no more, what is spent still names its family.
        assert await void_device_codes_of_users(tx, [account.id], now=NOW) == [spent.id]
        assert set(await void_device_codes_of_clients(tx, [client.client_id], now=NOW)) == {
            pending.id,
            spent.id,
        }

    assert [(await _get(provider, bytes([n] * 32))).expires_at for n in range(3)] == [
        NOW,
        NOW,
        LATER,
    ]


@pytest.mark.parametrize("who", ["session", "user", "client"])
async def test_the_revoker_reaches_codes_of_devices_as_it_reaches_others(
    sqlite_provider: Provider, who: str
) -> None:
    """Also a family without a row: its access token may be minted this very moment."""
    provider = sqlite_provider
    # These codes are recent only for a while after NOW, which other tests may have used up.
    provider.clock.offset = NOW - datetime.now(UTC)
    client, account = await provider.create_client(), await provider.create_user()
    session = await _begin_session(provider, account)
    approved, spent = _code(client), _code(client)
    for n, code in enumerate((approved, spent)):
        await _save(provider, code, bytes([n] * 32), bytes([n] * 32))
    async with provider.resources.database.transaction() as tx:
        for code in (approved, spent):
            await approve_device_code(tx, code.id, session, now=NOW)
        await consume_device_code(tx, spent.id, session_id=session.id, now=NOW)

    revoker = provider.resources.revoker
    async with provider.resources.database.transaction() as tx:
        if who == "session":
            await revoker.revoke_session(tx, session.id)
        elif who == "user":
            await revoker.revoke_user(tx, account.id)
        else:
            await revoker.revoke_client(tx, client.client_id)

    assert (await _get(provider, bytes(32))).expires_at <= provider.clock.now()
    family: list[tuple[Kind, str]] = [("family", spent.id)]
    is_listed = await provider.resources.revocations.is_revoked(family, provider.clock.now())
    assert is_listed == (who != "session")
