"""What every test may ask for: servers, databases, a running provider."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from authsvc.config import Settings
from authsvc.resources import open_resources, open_storage
from authsvc.storage.audit import Origin
from authsvc.storage.migrations import upgrade
from tests.provider import Provider, open_provider
from tests.servers import PostgresServer, RedisServer, start_postgres, start_redis

pytest_plugins = ["tests.figures"]
BackendName = Literal["sqlite", "postgres", "postgres+redis"]
BACKENDS: tuple[BackendName, ...] = ("sqlite", "postgres", "postgres+redis")
MASTER_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
ISSUER = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run asynchronous tests on the event loop that serves in production."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis."""
    with start_redis() as server:
        yield server


@dataclass(frozen=True)
class Backend:
    """A migrated database with signing keys of its own, and perhaps a Redis."""

    name: BackendName
    database_url: str
    redis_url: str | None

    def settings(self, **overrides: Any) -> Settings:
        """Return settings for it, with cheap password hashes."""
        values: dict[str, Any] = {
            "issuer": ISSUER,
            "database_url": self.database_url,
            "redis_url": SecretStr(self.redis_url) if self.redis_url else None,
            "master_key": SecretStr(MASTER_KEY),
            "argon2_time_cost": 1,
            "argon2_memory_kib": 8_192,
            "argon2_parallelism": 1,
            "rate_limits": False,
            # A busy machine is no fault; tests/faults has what a request may take.
            "database_request_timeout_ms": 5_000,
            "log_level": "info",
        }
        return Settings(**(values | overrides))


async def prepare(database_url: str) -> None:
    """Migrate the database and make the signing keys: RSA keys are slow, so once."""
    settings = Backend("sqlite", database_url, None).settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database)
    async with open_resources(settings) as resources, resources.database.transaction() as tx:
        await resources.key_rotation.ensure_first_keys(tx, Origin("test"))


def prepare_now(database_url: str) -> None:
    """Prepare the database on a loop of its own: the test that asks may have one running."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(prepare(database_url))).result()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that is ready to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    prepare_now(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database that is ready to be copied."""
    url = postgres_server.create_database()
    prepare_now(url)
    return url.rpartition("/")[2]


@pytest.fixture
def make_backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[BackendName], Backend]]:
    """Make backends that are dropped with the test."""
    made: list[Callable[[], None]] = []

    def make(name: BackendName) -> Backend:
        if name == "sqlite":
            path = tmp_path / f"authsvc-{len(made)}.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            return Backend(name, f"sqlite:///{path}", None)
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database(request.getfixturevalue("postgres_template"))
        made.append(lambda: server.drop_database(url))
        redis_url = None
        if name == "postgres+redis":
            redis: RedisServer = request.getfixturevalue("redis_server")
            redis_url = redis.create_database()
        return Backend(name, url, redis_url)

    yield make
    for drop in made:
        drop()


@pytest.fixture(params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, make_backend: Callable[[BackendName], Backend]
) -> Backend:
    """Each backend in turn."""
    return make_backend(request.param)


@pytest.fixture
def sqlite_backend(make_backend: Callable[[BackendName], Backend]) -> Backend:
    """The embedded defaults, for tests in which the backend makes no difference."""
    return make_backend("sqlite")


OpenProvider = Callable[..., Any]


@pytest.fixture
async def open_providers() -> AsyncIterator[OpenProvider]:
    """Open providers in a test: ``await open_providers(backend, **settings)``."""
    async with AsyncExitStack() as stack:

        async def open_one(backend: Backend, **overrides: Any) -> Provider:
            return await stack.enter_async_context(open_provider(backend.settings(**overrides)))

        yield open_one


@pytest.fixture
async def provider(backend: Backend, open_providers: OpenProvider) -> Provider:
    """A running provider on each backend in turn."""
    running: Provider = await open_providers(backend)
    return running


@pytest.fixture
async def sqlite_provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A running provider on the embedded defaults."""
    running: Provider = await open_providers(sqlite_backend)
    return running
