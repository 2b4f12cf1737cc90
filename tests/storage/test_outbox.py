"""The outbox: nothing is lost, nothing is claimed by two, and the dead are kept."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from authsvc.storage import outbox
from authsvc.storage.database import Database
from authsvc.storage.outbox import OutboxEntry
from authsvc.storage.schema import outbox as table
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

# A kind that no handler of the running providers delivers.
KIND = "test"
NOW = datetime.now(UTC).replace(microsecond=0)
LEASE = timedelta(minutes=1)


async def _add(database: Database, *numbers: int, now: datetime = NOW) -> None:
    async with database.transaction() as tx:
        await outbox.add(tx, KIND, [{"n": number} for number in numbers], now=now)


async def _claim(
    database: Database, *, now: datetime = NOW, limit: int = 10, kind: str = KIND
) -> list[OutboxEntry]:
    async with database.transaction() as tx:
        return await outbox.claim(tx, [kind], now=now, lease=LEASE, limit=limit)


async def _stored(database: Database) -> list[dict[str, Any]]:
    async with database.reading() as tx:
        return [dict(row._mapping) for row in await tx.execute(select(table))]


def _numbers(entries: list[OutboxEntry]) -> list[int]:
    return sorted(entry.payload["n"] for entry in entries)


async def test_an_entry_is_there_exactly_when_the_change_is(provider: Provider) -> None:
    database = provider.resources.database

    async def change_and_fail() -> None:
        async with database.transaction() as tx:
            await outbox.add(tx, KIND, [{"n": 1}], now=NOW)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await change_and_fail()
    assert await _stored(database) == []

    await _add(database, 2)
    (entry,) = await _claim(database)

    assert (entry.kind, entry.payload, entry.attempts, entry.created_at) == (KIND, {"n": 2}, 1, NOW)


async def test_many_workers_at_once_never_claim_the_same_entry(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [(await open_providers(backend)).resources.database for _ in range(2)]
    await _add(replicas[0], *range(60))
    claimed: Counter[int] = Counter()

    async def work(database: Database) -> None:
        while entries := await _claim(database, limit=4):
            assert len(entries) <= 4
            claimed.update(entry.payload["n"] for entry in entries)

    await asyncio.gather(*(work(database) for database in replicas * 4))

    assert claimed == Counter(range(60))


async def test_a_worker_does_not_wait_for_what_another_is_claiming(
    make_backend: Callable[[str], Backend], open_providers: OpenProvider
) -> None:
    database = (await open_providers(make_backend("postgres"))).resources.database
    await _add(database, 1, 2, 3)

    async with database.transaction() as tx:
        first = await outbox.claim(tx, [KIND], now=NOW, lease=LEASE, limit=2)
        async with asyncio.timeout(2):
            second = await _claim(database)

    assert len(first) == 2
    assert len(second) == 1
    assert _numbers([*first, *second]) == [1, 2, 3]


async def test_what_a_dead_worker_had_claimed_is_claimed_again_after_its_lease(
    provider: Provider,
) -> None:
    database = provider.resources.database
    await _add(database, 1)
    (lost,) = await _claim(database)

    assert await _claim(database, now=NOW + LEASE - timedelta(seconds=1)) == []
    (again,) = await _claim(database, now=NOW + LEASE)

    assert (again.id, again.attempts) == (lost.id, 2)


async def test_a_worker_that_comes_back_late_takes_nothing_from_who_came_after(
    provider: Provider,
) -> None:
    database = provider.resources.database
    await _add(database, 1)
    (late,) = await _claim(database)
    (current,) = await _claim(database, now=NOW + LEASE)

    async with database.transaction() as tx:
        await outbox.give_up(tx, late, now=NOW, error="late")
        await outbox.retry(tx, late, due_at=NOW, error="late")

    (stored,) = await _stored(database)
    assert (stored["failed_at"], stored["last_error"]) == (None, None)
    assert stored["due_at"] == NOW + 2 * LEASE
    async with database.transaction() as tx:
        await outbox.done(tx, current.id)
    assert await _stored(database) == []


async def test_what_failed_comes_back_when_it_is_due_and_not_before(provider: Provider) -> None:
    database, later = provider.resources.database, NOW + timedelta(minutes=7)
    await _add(database, 1)
    (entry,) = await _claim(database)

    async with database.transaction() as tx:
        await outbox.retry(tx, entry, due_at=later, error="x" * 1_000)

    assert await _claim(database, now=later - timedelta(seconds=1)) == []
    (again,) = await _claim(database, now=later)
    assert again.attempts == 2
    (stored,) = await _stored(database)
    assert stored["last_error"] == "x" * 255


async def test_a_dead_entry_is_kept_and_never_claimed(provider: Provider) -> None:
    database = provider.resources.database
    await _add(database, 1)
    (entry,) = await _claim(database)

    async with database.transaction() as tx:
        await outbox.give_up(tx, entry, now=NOW, error="gone")

    assert await _claim(database, now=NOW + timedelta(days=365)) == []
    (stored,) = await _stored(database)
    assert (stored["failed_at"], stored["last_error"], stored["payload"]) == (NOW, "gone", {"n": 1})


async def test_what_is_due_longest_comes_first_and_only_of_the_kinds_asked_for(
    provider: Provider,
) -> None:
    database = provider.resources.database
    for number in (3, 1, 2):
        await _add(database, number, now=NOW + timedelta(seconds=number))
    later = NOW + timedelta(minutes=1)

    assert await _claim(database, now=later, kind="another") == []
    assert _numbers(await _claim(database, now=later, limit=2)) == [1, 2]
    assert _numbers(await _claim(database, now=later)) == [3]


async def test_receivers_that_are_full_are_left_out_and_what_was_not_begun_goes_back(
    provider: Provider,
) -> None:
    database = provider.resources.database
    receivers: list[dict[str, str | None]] = [
        {"webhook_id": "w"},
        {"client_id": "c", "user_id": "u"},
        {"user_id": "u"},
    ]
    payloads: list[dict[str, str | None]] = [*receivers, {"user_id": None}]
    async with database.transaction() as tx:
        await outbox.add(tx, KIND, [*payloads, *payloads], now=NOW)

    async def claim(full: list[str], full_of_retries: list[str]) -> Counter[str]:
        async with database.transaction() as tx:
            entries = await outbox.claim(
                tx, [KIND], now=NOW, lease=LEASE, limit=20,
                full=full, full_of_retries=full_of_retries,
            )  # fmt: skip
            await outbox.give_back(tx, entries, now=NOW)
            for entry in entries:
                if "user_id" in entry.payload and entry.payload["user_id"] is None:
                    assert entry.receiver == entry.id
        return Counter(entry.payload.get("webhook_id") or entry.receiver for entry in entries)

    assert len(await claim([], [])) == 5
    found = await claim(["w", "c"], ["u"])
    assert found["u"] == 2
    assert not {"w", "c"} & set(found)
    assert {entry["attempts"] for entry in await _stored(database)} == {0}
    async with database.transaction() as tx:
        (tried, *rest) = await outbox.claim(tx, [KIND], now=NOW, lease=LEASE, limit=20, full=["w"])
        await outbox.retry(tx, tried, due_at=NOW, error="x")
        await outbox.give_back(tx, rest, now=NOW)
    found = await claim([], [tried.receiver])
    assert sum(found.values()) == 7
    # Whoever claimed it since keeps it.
    async with database.transaction() as tx:
        await outbox.give_back(tx, [tried], now=NOW - LEASE)
        (late, *_) = await outbox.claim(tx, [KIND], now=NOW, lease=LEASE, limit=20)
        await outbox.give_back(tx, [dataclasses.replace(late, attempts=9)], now=NOW)
    (stored,) = [entry for entry in await _stored(database) if entry["id"] == late.id]
    assert stored["due_at"] == NOW + LEASE


async def test_nothing_to_add_is_no_statement(sqlite_provider: Provider) -> None:
    async with sqlite_provider.resources.database.transaction() as tx:
        await outbox.add(tx, KIND, [], now=NOW)

        assert tx._connection is None
