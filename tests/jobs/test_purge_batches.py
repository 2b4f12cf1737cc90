"""Purging goes in small batches, beside everybody else."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from authsvc.jobs import purge_expired as job
from authsvc.jobs import scheduler
from authsvc.jobs.purge_expired import purge_expired
from authsvc.jobs.stopping import stopped_by
from authsvc.storage.refresh_tokens import save_refresh_token
from authsvc.storage.revocations import Revocation
from authsvc.storage.schema import revocations, sessions, token_families
from tests.conftest import Backend, OpenProvider
from tests.jobs.table_sizes import clean_up, count_rows
from tests.provider import Provider

BATCH = 7


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    monkeypatch.setattr(job, "BATCH", BATCH)


async def add_revocations(provider: Provider, number: int) -> None:
    now = provider.clock.now()
    entries = [Revocation("token", f"t{n}", now, now + timedelta(seconds=n)) for n in range(number)]
    async with provider.resources.database.transaction() as tx:
        await provider.resources.revocations.add(tx, entries)


async def begin_long_family(provider: Provider, tokens: int) -> str:
    """Sign in, and let the family have rotated that often; return its identifier."""
    client = await provider.create_client()
    await provider.sign_in(client, await provider.create_user())
    now = provider.clock.now()
    async with provider.resources.database.transaction() as tx:
        family_id: str = (await tx.execute(select(token_families.c.id))).scalar_one()
        for n in range(tokens):
            value = n.to_bytes(32, "big")
            await save_refresh_token(
                tx, value, family_id, now=now, expires_at=now + timedelta(days=80)
            )
    return family_id


async def test_no_transaction_deletes_more_than_a_batch_of_a_table(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where one row would take thousands along: the tokens of a family that ended."""
    await begin_long_family(provider, 40)
    await add_revocations(provider, 30)
    async with provider.resources.database.transaction() as tx:
        await tx.execute(token_families.update().values(revoked_at=provider.clock.now()))
    provider.clock.move(days=2)
    sizes = [await count_rows(provider)]
    purge_batch = job._purge_batch

    async def counting(*arguments: Any) -> Any:
        done = await purge_batch(*arguments)
        sizes.append(await count_rows(provider))
        return done

    monkeypatch.setattr(job, "_purge_batch", counting)
    await clean_up(provider)

    for before, after in pairwise(sizes):
        assert all(before[name] - after[name] <= BATCH for name in before)
    emptied = ("refresh_tokens", "token_families", "revocations")
    assert {name: sizes[-1][name] for name in emptied} == dict.fromkeys(emptied, 0)


async def test_replicas_at_once_purge_all_and_none_waits_for_another(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(3)]
    await add_revocations(replicas[0], 60)
    await begin_long_family(replicas[0], 30)
    for replica in replicas:
        replica.clock.move(days=91)

    await asyncio.gather(*(purge_expired(replica.server) for replica in replicas))
    # What one of them left to another that held it, the next run finds.
    await clean_up(replicas[0])

    rows = await count_rows(replicas[0])
    assert rows["revocations"] == rows["refresh_tokens"] == rows["token_families"] == 0


async def test_rows_that_somebody_holds_are_left_for_the_next_time(
    make_backend: Any, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(make_backend("postgres"))
    await add_revocations(provider, 5)
    provider.clock.move(days=1)
    database = provider.resources.database
    held = select(revocations).where(revocations.c.value == "t3").with_for_update()

    async with database.transaction() as tx:
        await tx.execute(held)
        async with asyncio.timeout(3):
            await purge_expired(provider.server)
        assert (await count_rows(provider))["revocations"] == 1
    await purge_expired(provider.server)

    assert (await count_rows(provider))["revocations"] == 0


async def test_requests_go_on_while_it_purges(provider: Provider) -> None:
    """Revoking anew what is being purged neither fails nor is lost."""
    await add_revocations(provider, 200)
    provider.clock.move(days=1)

    purging = asyncio.create_task(purge_expired(provider.server))
    for _ in range(5):
        await add_revocations(provider, 20)
        await asyncio.sleep(0)
    await purging

    now = provider.clock.now()
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(revocations.c.value, revocations.c.expires_at))
        left = {value for value, expires_at in rows if expires_at >= now - timedelta(minutes=5)}
    assert left == {f"t{n}" for n in range(20)}


async def test_it_ends_when_its_time_is_over_and_when_told(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_revocations(sqlite_provider, 30)
    sqlite_provider.clock.move(days=1)
    stop = asyncio.Event()
    stop.set()
    with stopped_by(stop):
        await purge_expired(sqlite_provider.server)
    assert (await count_rows(sqlite_provider))["revocations"] == 30
    monkeypatch.setattr(job, "BUDGET_SECONDS", 0)
    await purge_expired(sqlite_provider.server)
    assert (await count_rows(sqlite_provider))["revocations"] == 30

    monkeypatch.setattr(job, "BUDGET_SECONDS", 60)
    await purge_expired(sqlite_provider.server)
    assert (await count_rows(sqlite_provider))["revocations"] == 0


async def test_a_session_that_was_not_ended_is_never_purged(provider: Provider) -> None:
    """Its clients have not heard of its end yet."""
    await provider.sign_in(await provider.create_client(), await provider.create_user())
    async with provider.resources.database.transaction() as tx:
        await tx.execute(token_families.delete())
    provider.clock.move(days=400)

    await purge_expired(provider.server)

    assert (await count_rows(provider))["sessions"] == 1
    async with provider.resources.database.transaction() as tx:
        await tx.execute(sessions.update().values(ended_at=provider.clock.now()))
    provider.clock.move(hours=2)
    await purge_expired(provider.server)
    assert (await count_rows(provider))["sessions"] == 0
