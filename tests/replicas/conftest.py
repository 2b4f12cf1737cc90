"""Replicas of one provider, and a Redis of their own that may come to harm."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conftest import Backend, BackendName
from tests.provider import open_provider
from tests.replicas.replicas import Replicas
from tests.servers import RedisServer, start_redis

OpenReplicas = Callable[..., object]


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis that nobody else uses, so that it may be frozen, stopped and emptied."""
    monkeypatch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    with start_redis() as server:
        yield server


@pytest.fixture
async def replicas(
    make_backend: Callable[[BackendName], Backend], own_redis: RedisServer
) -> AsyncIterator[Replicas]:
    """Three replicas on one PostgreSQL and a Redis of their own, all hearing each other."""
    database_url = make_backend("postgres").database_url
    backend = Backend("postgres+redis", database_url, own_redis.url)
    async with AsyncExitStack() as stack:
        providers = [
            await stack.enter_async_context(open_provider(backend.settings())) for _ in range(3)
        ]
        opened = Replicas(providers)
        await opened.until_live()
        yield opened
