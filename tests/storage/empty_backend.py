"""A migrated database in which nothing was made yet."""

from pathlib import Path

import pytest

from authsvc.resources import open_storage
from authsvc.storage.migrations import upgrade
from tests.conftest import BACKENDS, Backend, BackendName
from tests.servers import PostgresServer, RedisServer


@pytest.fixture(params=BACKENDS)
async def empty_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each backend in turn, migrated, without keys or secrets."""
    backend = make_unmigrated_backend(request, tmp_path, request.param)
    async with open_storage(backend.settings(), database_timeout=60) as (database, _):
        await upgrade(database)
    return backend


def make_unmigrated_backend(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> Backend:
    """Return a backend with nothing in its database, dropped with the test."""
    if name == "sqlite":
        return Backend(name, f"sqlite:///{tmp_path / 'empty.db'}", None)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    request.addfinalizer(lambda: server.drop_database(url))
    if name == "postgres":
        return Backend(name, url, None)
    redis: RedisServer = request.getfixturevalue("redis_server")
    return Backend(name, url, redis.create_database())
