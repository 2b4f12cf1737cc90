"""One request, one transaction: what commits, what rolls back, and what happens after."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from authsvc.protocol.errors import Conflict, InvalidGrant, TemporarilyUnavailable
from authsvc.storage.client_assertions import consume_client_assertion
from authsvc.storage.database import AfterCommit, Database, Transaction
from authsvc.storage.schema import client_assertions
from authsvc.storage.sessions import create_session
from tests.provider import Provider

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(hours=1)


async def _spend(tx: Transaction, name: bytes) -> bool:
    return await consume_client_assertion(tx, name.ljust(32, b"."), expires_at=LATER)


async def _count_spent(database: Database) -> int:
    async with database.reading() as tx:
        counted: int = (
            await tx.execute(select(func.count()).select_from(client_assertions))
        ).scalar_one()
        return counted


async def _write_and_fail(
    database: Database, error: Exception, callback: AfterCommit, *, commit_oauth_errors: bool
) -> None:
    async with database.transaction(commit_oauth_errors=commit_oauth_errors) as tx:
        assert await _spend(tx, b"one")
        tx.after_commit(callback)
        raise error


async def test_a_transaction_commits_at_its_end_and_then_calls_back(provider: Provider) -> None:
    database, seen = provider.resources.database, []

    async def look() -> None:
        seen.append(await _count_spent(database))

    async with database.transaction() as tx:
        assert await _spend(tx, b"one")
        tx.after_commit(look)
        assert seen == []

    assert seen == [1]


@pytest.mark.parametrize("error", [InvalidGrant("No"), RuntimeError("broken")])
async def test_an_error_rolls_back_and_calls_nothing_back(
    provider: Provider, error: Exception
) -> None:
    database, called = provider.resources.database, []

    async def note() -> None:
        called.append(True)

    with pytest.raises(type(error)):
        await _write_and_fail(database, error, note, commit_oauth_errors=False)

    assert called == []
    assert await _count_spent(database) == 0


async def test_an_oauth_error_commits_where_it_is_an_answer(provider: Provider) -> None:
    database, called = provider.resources.database, []

    async def note() -> None:
        called.append(await _count_spent(database))

    with pytest.raises(InvalidGrant):
        await _write_and_fail(database, InvalidGrant("No"), note, commit_oauth_errors=True)

    assert called == [1]


@pytest.mark.parametrize("error", [TemporarilyUnavailable("No"), RuntimeError("broken")])
async def test_a_failure_of_ours_rolls_back_even_where_oauth_errors_commit(
    provider: Provider, error: Exception
) -> None:
    database, called = provider.resources.database, []

    async def note() -> None:
        called.append(True)

    with pytest.raises(type(error)):
        await _write_and_fail(database, error, note, commit_oauth_errors=True)

    assert called == []
    assert await _count_spent(database) == 0


async def test_a_transaction_that_is_cancelled_rolls_back_and_frees_its_place(
    provider: Provider,
) -> None:
    database, written = provider.resources.database, asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as tx:
            await _spend(tx, b"one")
            written.set()
            await asyncio.Event().wait()

    writing = asyncio.ensure_future(write_and_wait())
    await written.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await _count_spent(database) == 0
    async with database.transaction() as tx:
        assert await _spend(tx, b"one")


async def test_a_transaction_without_a_statement_opens_no_connection(provider: Provider) -> None:
    database = provider.resources.database
    pool = database.engine.pool
    before = pool.status()

    async with database.transaction() as tx:
        assert tx._connection is None
        assert pool.status() == before


async def test_a_reference_to_what_is_gone_may_be_tried_again(provider: Provider) -> None:
    database = provider.resources.database

    with pytest.raises(TemporarilyUnavailable) as caught:
        async with database.transaction() as tx:
            await create_session(
                tx,
                cookie_hash=bytes(32),
                user_id="0198c0de-0000-7000-8000-000000000000",
                acr="aal1",
                amr=["pwd"],
                address="",
                user_agent="",
                now=NOW,
                expires_at=LATER,
            )

    assert caught.value.retry_after == 1


async def test_a_name_that_is_taken_is_a_conflict(provider: Provider) -> None:
    await provider.create_role("reader")

    with pytest.raises(Conflict):
        await provider.create_role("reader")
