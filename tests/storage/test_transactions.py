"""One request, one transaction: what commits, what rolls back, and what happens after."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from authsvc.protocol.errors import Conflict, InvalidGrant, TemporarilyUnavailable
from authsvc.storage.authorization_codes import (
    AuthorizationCode,
    consume_authorization_code,
    save_authorization_code,
)
from authsvc.storage.client_assertions import consume_client_assertion
from authsvc.storage.database import AfterCommit, Database, Transaction
from authsvc.storage.login_attempts import count_attempt
from authsvc.storage.revocations import Revocation
from authsvc.storage.schema import client_assertions, login_attempts, revocations
from authsvc.storage.sessions import create_session
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, Provider

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


async def test_an_assertion_is_spent_once(provider: Provider) -> None:
    database = provider.resources.database

    async def spend() -> bool:
        async with database.transaction() as tx:
            return await _spend(tx, b"one")

    outcomes = await asyncio.gather(*(spend() for _ in range(20)))

    assert sorted(outcomes) == [False] * 19 + [True]


async def test_a_code_is_consumed_once_by_its_client_and_before_it_expires(
    provider: Provider,
) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    account = await provider.create_user()
    database = provider.resources.database
    async with database.transaction() as tx:
        session, _ = await provider.resources.sessions.begin(
            tx, account.id, amr=["pwd"], address="", user_agent=""
        )
        code = AuthorizationCode(
            id="0198c0de-0000-7000-8000-000000000001",
            client_id=client.client_id,
            user_id=account.id,
            session_id=session.id,
            redirect_uri=REDIRECT_URI,
            redirect_uri_sent=True,
            scope="openid",
            resources=(),
            nonce=None,
            code_challenge=None,
            created_at=NOW,
            expires_at=LATER,
        )
        await save_authorization_code(tx, bytes(32), code)

    async def consume(client_id: str, now: datetime) -> AuthorizationCode | None:
        async with database.transaction() as tx:
            return await consume_authorization_code(tx, bytes(32), client_id=client_id, now=now)

    assert await consume(other.client_id, NOW) is None
    assert await consume(client.client_id, LATER) is None
    outcomes = await asyncio.gather(*(consume(client.client_id, NOW) for _ in range(20)))
    found = [outcome for outcome in outcomes if outcome is not None]
    assert [(one.id, one.scope) for one in found] == [(code.id, "openid")]


async def test_attempts_are_counted_exactly_and_a_closed_bucket_counts_nothing(
    provider: Provider,
) -> None:
    database = provider.resources.database

    async def attempt() -> bool:
        async with database.transaction() as tx:
            return await count_attempt(
                tx,
                bytes(32),
                free=7,
                delays=[timedelta(minutes=1)],
                now=NOW,
                window=timedelta(hours=1),
            )

    outcomes = await asyncio.gather(*(attempt() for _ in range(40)))

    assert sum(outcomes) == 7
    async with database.reading() as tx:
        assert (await tx.execute(select(login_attempts.c.failures))).scalar_one() == 7


async def test_a_later_revocation_never_weakens_an_earlier_one(
    backend: Backend, open_providers: OpenProvider
) -> None:
    """Two replicas' clocks differ, or the token's life is being made shorter."""
    provider: Provider = await open_providers(backend)
    database, revocation_list = provider.resources.database, provider.resources.revocations
    strong = Revocation("user", "somebody", NOW, LATER)
    weak = Revocation("user", "somebody", NOW - timedelta(seconds=5), LATER - timedelta(minutes=5))

    for entry in (strong, weak):
        async with database.transaction() as tx:
            await revocation_list.add(tx, [entry])

    async with database.reading() as tx:
        row = (
            await tx.execute(select(revocations.c.issued_before, revocations.c.expires_at))
        ).one()
    assert tuple(row) == (NOW, LATER)
    assert await revocation_list.is_revoked([("user", "somebody")], NOW)
