"""Installations that are operated by the document."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Backend, BackendName, prepare
from tests.migrations.previous_release import NEXT, find_commit
from tests.runbooks.commands import listening
from tests.runbooks.installation import SOCKET, Installation, make_programs
from tests.runbooks.owner import Owner
from tests.servers import PostgresServer, RedisServer, start_redis

# As in tests/migrations: what needs the repository's history is collected where it is there.
collect_ignore = [] if find_commit() else ["test_upgrade.py"]


def pytest_report_header() -> str | None:
    """Say that something is not tested."""
    if collect_ignore:
        return f"the runbook of upgrades is not tested: the history does not reach before {NEXT}"
    return None


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the programs that the document names."""
    folder = make_programs(tmp_path_factory.mktemp("programs") / "bin")
    with listening(folder / SOCKET):
        yield folder


@pytest.fixture(scope="session")
async def owner(postgres_server: PostgresServer) -> AsyncIterator[Owner]:
    """The account that owns the databases."""
    account = Owner(postgres_server)
    await account.create()
    yield account
    await account.drop()


@pytest.fixture(scope="session")
async def template(owner: Owner) -> str:
    """The name of a migrated database, which its owner has migrated."""
    url = await owner.create_database()
    await prepare(url)
    return url.rpartition("/")[2]


@pytest.fixture
async def installation(
    owner: Owner, template: str, redis_server: RedisServer, programs: Path, tmp_path: Path
) -> AsyncIterator[Installation]:
    """An installation on PostgreSQL and Redis; nothing serves yet."""
    url = await owner.create_database(template)
    backend = Backend("postgres+redis", url, redis_server.create_database())
    made = Installation(backend, tmp_path, programs)
    yield made
    await made.stop_all()


@pytest.fixture
async def sqlite_installation(
    make_backend: Callable[[BackendName], Backend], programs: Path, tmp_path: Path
) -> AsyncIterator[Installation]:
    """An installation on the embedded defaults; nothing serves yet."""
    made = Installation(make_backend("sqlite"), tmp_path, programs)
    yield made
    await made.stop_all()


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RedisServer]]:
    """Two Redis servers that nobody else uses, so that they may be stopped and emptied."""
    monkeypatch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    with start_redis() as one, start_redis() as other:
        yield [one, other]
