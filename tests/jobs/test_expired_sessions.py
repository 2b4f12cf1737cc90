"""Sessions whose time is over end, once, whoever looks; those that live are let be."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from authsvc.jobs import end_expired_sessions as job
from authsvc.jobs import scheduler
from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.storage.schema import outbox, revocations, sessions
from authsvc.storage.session_clients import add_session_client
from authsvc.storage.sessions import hold_session
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

IDLE, DAY = timedelta(hours=8), timedelta(days=1)


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


async def begin(provider: Provider, user_id: str, number: int = 1) -> list[str]:
    async with provider.resources.database.transaction() as tx:
        begun = [
            await provider.resources.sessions.begin(
                tx, user_id, amr=["pwd"], address="", user_agent=""
            )
            for _ in range(number)
        ]
    return [session.id for session, _ in begun]


async def ended(provider: Provider) -> dict[str, Any]:
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(sessions.c.id, sessions.c.ended_at))
        return {session_id: ended_at for session_id, ended_at in rows if ended_at is not None}


async def test_sessions_end_when_they_expire_or_idle_and_not_before(provider: Provider) -> None:
    account = await provider.create_user()
    (unused,), (used,) = await begin(provider, account.id), await begin(provider, account.id)

    async def use() -> None:
        async with provider.resources.database.transaction() as tx:
            held = await hold_session(tx, used)
            assert held is not None
            await provider.resources.sessions.touch(tx, held)

    provider.clock.move(seconds=IDLE.total_seconds() - 60)
    await use()
    await end_expired_sessions(provider.server)
    assert await ended(provider) == {}
    provider.clock.move(seconds=60)
    await end_expired_sessions(provider.server)
    first = await ended(provider)
    assert first.keys() == {unused}
    for _ in range(2):
        provider.clock.move(seconds=IDLE.total_seconds() - 120)
        await use()
    await end_expired_sessions(provider.server)
    assert await ended(provider) == first
    provider.clock.move(seconds=300)
    await end_expired_sessions(provider.server)

    assert (await ended(provider)).keys() == {unused, used}
    assert (await ended(provider))[unused] == first[unused]


async def test_replicas_at_once_end_each_session_once_in_small_batches(
    backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_BATCH", 7)
    replicas = [await open_providers(backend) for _ in range(3)]
    account = await replicas[0].create_user()
    begun = await begin(replicas[0], account.id, 40)
    batches: list[int] = []
    for replica in replicas:
        replica.clock.move(days=1)
        revoker = replica.resources.revoker
        revoke = revoker.revoke_expired_sessions

        async def counting(*arguments: Any, revoke: Any = revoke, **options: Any) -> int:
            batches.append(await revoke(*arguments, **options))
            return batches[-1]

        monkeypatch.setattr(revoker, "revoke_expired_sessions", counting)

    await asyncio.gather(*(end_expired_sessions(replica.server) for replica in replicas))

    assert sum(batches) == len(begun)
    assert max(batches) <= 7
    assert (await ended(replicas[0])).keys() == set(begun)


async def test_a_session_on_which_something_is_issued_ends_the_next_time(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend)
    account = await provider.create_user()
    held, free = await begin(provider, account.id, 2)
    provider.clock.move(days=1)

    if provider.resources.database.is_sqlite:  # one writer: nobody is in the midst
        await end_expired_sessions(provider.server)
    else:
        async with provider.resources.database.transaction() as tx:
            assert await hold_session(tx, held) is not None
            async with asyncio.timeout(3):
                await end_expired_sessions(provider.server)
            assert (await ended(provider)).keys() == {free}
        await end_expired_sessions(provider.server)

    assert (await ended(provider)).keys() == {held, free}


async def test_what_a_session_got_dies_with_it(sqlite_provider: Provider) -> None:
    """A token that lives longer than its session does not."""
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    code = (await sqlite_provider.authorize(browser, client, account))["code"]
    async with sqlite_provider.resources.database.transaction() as tx:
        await tx.execute(
            sessions.update().values(expires_at=sqlite_provider.clock.now() - timedelta(seconds=1))
        )

    await end_expired_sessions(sqlite_provider.server)

    assert (await sqlite_provider.redeem(client, code)).json()["error"] == "invalid_grant"


async def test_only_a_session_that_ended_lately_is_listed_and_each_is_told(
    provider: Provider,
) -> None:
    """What is over for long has no token that lives; a backlog must not fill memory."""
    client = await provider.create_client(backchannel_logout_uri="https://app.example/bc")
    account = await provider.create_user()
    names = ("expired long ago", "idle long ago", "expired lately", "idle lately")
    begun = dict(zip(names, await begin(provider, account.id, 4), strict=True))
    provider.clock.move(days=30)
    now, second = provider.clock.now(), timedelta(seconds=1)
    long_ago = now - provider.settings.access_token_ttl - timedelta(hours=1, minutes=1)
    times = {
        "expired long ago": {"expires_at": long_ago, "seen_at": now - second},
        "idle long ago": {"seen_at": long_ago - IDLE, "expires_at": now + DAY},
        "expired lately": {"expires_at": now - second, "seen_at": now - second},
        "idle lately": {"seen_at": now - IDLE, "expires_at": now + DAY},
    }
    async with provider.resources.database.transaction() as tx:
        for name, session_id in begun.items():
            await tx.execute(
                sessions.update().where(sessions.c.id == session_id).values(**times[name])
            )
            await add_session_client(tx, session_id, client.client_id)

    await end_expired_sessions(provider.server)

    assert (await ended(provider)).keys() == set(begun.values())
    async with provider.resources.database.reading() as tx:
        listed = set((await tx.execute(select(revocations.c.value))).scalars())
        told = [row["session_id"] for row in (await tx.execute(select(outbox.c.payload))).scalars()]
    assert listed == {begun["expired lately"], begun["idle lately"]}
    assert sorted(told) == sorted(begun.values())


def test_both_are_on_the_schedule() -> None:
    works = {scheduled.work: scheduled.seconds for scheduled in SCHEDULE}

    assert works[end_expired_sessions] <= 60
    assert works[deliver_outbox] <= 1
