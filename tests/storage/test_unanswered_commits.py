"""A server whose commits wait for a standby that is gone: it is not filled up with them."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from authsvc.resources import open_storage
from authsvc.storage.breaker import FAILURES
from authsvc.storage.migrations import upgrade
from tests.conftest import Backend
from tests.provider import Provider, open_provider
from tests.replicas.replicas import seconds_until
from tests.servers import PostgresServer, start_postgres

POOL = 10
_ROUNDS, _AT_ONCE = 5, 3
_HUNG = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own that can have standbys."""
    with start_postgres(wal_level="replica", max_wal_senders=2) as started:
        yield started


@pytest.fixture
async def provider(server: PostgresServer) -> AsyncIterator[Provider]:
    """A provider on that server."""
    backend = Backend("postgres", server.create_database(), None)
    settings = backend.settings(
        database_request_timeout_ms=300, database_pool_size=POOL, jobs=False
    )
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database)
    async with open_provider(settings) as opened:
        yield opened


async def _wait_for(standby: str, connection: asyncpg.Connection) -> None:
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    await connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(10):
        while await connection.fetchval("SHOW synchronous_standby_names") != standby:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.01)


async def test_commits_without_an_answer_are_not_piled_up_and_reading_goes_on(
    server: PostgresServer, provider: Provider
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = [await provider.sign_in(client, account) for _ in range(_ROUNDS * _AT_ONCE + 2)]
    connection = await asyncpg.connect(server.url)
    try:
        await _wait_for("nobody", connection)
        for number in range(_ROUNDS):
            some = tokens[number * _AT_ONCE :][:_AT_ONCE]
            answers = await asyncio.gather(
                *(provider.refresh(client, t["refresh_token"]) for t in some)
            )
            assert {answer.status_code for answer in answers} == {503}
            # Reading is answered, and so does not count for commits.
            assert (await provider.userinfo(tokens[0]["access_token"])).status_code == 200
            await asyncio.sleep(0.3)
        assert provider.resources.database.commit_breaker.is_open
        hung = await connection.fetchval(_HUNG)
        assert 0 < hung <= FAILURES + _AT_ONCE
        readiness = await provider.http.get("/readyz")
        assert readiness.status_code == 200
        assert readiness.json()["checks"]["database"] == {
            "status": "degraded",
            "detail": "commits are not answered",
        }
        await asyncio.sleep(2)
        assert (await provider.refresh(client, tokens[-1]["refresh_token"])).status_code == 503
        assert await connection.fetchval(_HUNG) == hung
    finally:
        await _wait_for("", connection)
        await connection.close()

    async def is_served() -> bool:
        response = await provider.refresh(client, tokens[-2]["refresh_token"])
        assert response.status_code in {200, 503}
        return response.status_code == 200

    assert await seconds_until(is_served) < 10
    # What was given up has happened after all: the same successor comes again.
    assert (await provider.refresh(client, tokens[0]["refresh_token"])).status_code == 200
    assert not provider.resources.database.commit_breaker.is_open
