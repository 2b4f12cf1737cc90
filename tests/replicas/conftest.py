"""Replicas of one provider, and a Redis of their own that may come to harm."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conftest import Backend, BackendName
from tests.provider import open_provider
from tests.replicas.replicas import Replicas
from tests.servers import RedisServer, start_redis

MakeBackend = Callable[[BackendName], Backend]


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis that nobody else uses, so that it may be frozen, stopped and emptied."""
    monkeypatch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    with start_redis() as server:
        yield server


@pytest.fixture
def shared_backend(make_backend: MakeBackend) -> Backend:
    """One PostgreSQL and one Redis."""
    return make_backend("postgres+redis")


@pytest.fixture(params=["sqlite", "postgres"])
def backend_without_redis(request: pytest.FixtureRequest, make_backend: MakeBackend) -> Backend:
    """A database that several processes share with nothing else between them."""
    return make_backend(request.param)


@pytest.fixture
def frail_backend(make_backend: MakeBackend, own_redis: RedisServer) -> Backend:
    """One PostgreSQL, and the Redis that may come to harm."""
    return Backend("postgres+redis", make_backend("postgres").database_url, own_redis.url)


@pytest.fixture
async def replicas(frail_backend: Backend) -> AsyncIterator[Replicas]:
    """Three replicas that hear each other."""
    async with AsyncExitStack() as stack:
        providers = [
            await stack.enter_async_context(open_provider(frail_backend.settings()))
            for _ in range(3)
        ]
        opened = Replicas(providers)
        await opened.until_live()
        yield opened
