"""The guard reads the shared revocation list, and believes it only when it is whole."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from authsvc.storage.redis import open_redis
from authsvc.storage.revocations import COMPLETE, KEY_PREFIX
from tests.conftest import Backend, BackendName, OpenProvider
from tests.front_channel import EVERY_FLOW, FRONT_CHANNEL, answer_of, fragment_in
from tests.guarded import ORDERS, ResourceServer, machine_token, prepare
from tests.provider import ORIGIN, Provider, claims_of
from tests.servers import RedisServer, start_redis

INTROSPECT = "/introspect"


@pytest.fixture
def shared(make_backend: Callable[[BackendName], Backend]) -> Backend:
    return make_backend("postgres+redis")


@pytest.fixture
async def provider(shared: Backend, open_providers: OpenProvider) -> Provider:
    running: Provider = await open_providers(shared, resources={ORDERS: ["orders"]})
    await list_is_whole(running)
    return running


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """A Redis of this test's own, to be stopped and frozen."""
    monkeypatch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    return start_redis()


async def list_is_whole(provider: Provider) -> None:
    """Return when the provider has written the whole list to Redis."""
    redis = provider.resources.redis
    assert redis is not None
    async with asyncio.timeout(10):
        while not await redis.exists(COMPLETE):  # noqa: ASYNC110  # Redis tells nobody of it
            await asyncio.sleep(0.01)


def open_service(provider: Provider, redis_url: str | None) -> ResourceServer:
    return ResourceServer(provider, revocation="redis", redis_url=redis_url)


async def test_what_is_on_the_list_is_refused_and_the_issuer_is_not_asked(
    provider: Provider, shared: Backend
) -> None:
    client, account, token = await prepare(provider)
    one, machine = [await machine_token(provider, client) for _ in range(2)]
    service = open_service(provider, shared.redis_url)
    people, database = provider.resources.people, provider.resources.database
    assert [await service.status(t) for t in (token, one, machine)] == [200] * 3

    await provider.revoke(client, one)
    assert [await service.status(t) for t in (token, one, machine)] == [200, 401, 200]
    async with database.transaction() as tx:
        await people.revoke_sessions(tx, account.id, ORIGIN)
    assert [await service.status(t) for t in (token, one, machine)] == [401, 401, 200]
    async with database.transaction() as tx:
        await provider.server.client_administration.delete(tx, "app", ORIGIN)
    assert [await service.status(t) for t in (token, one, machine)] == [401, 401, 401]

    assert service.wire.counted[INTROSPECT] == 0
    await service.verifier.aclose()


async def test_a_session_that_is_ended_ends_its_token(provider: Provider, shared: Backend) -> None:
    client, account, _ = await prepare(provider)
    tokens = await provider.sign_in(client, account, resource=ORDERS, scope="openid")
    other = await provider.sign_in(client, account, resource=ORDERS, scope="openid")
    service = open_service(provider, shared.redis_url)
    session_id = claims_of(tokens["access_token"])["sid"]

    async with provider.resources.database.transaction() as tx:
        await provider.resources.revoker.revoke_session(tx, session_id)

    assert await service.status(tokens["access_token"]) == 401
    assert await service.status(other["access_token"]) == 200
    await service.verifier.aclose()


async def test_a_list_that_was_flushed_is_not_believed(provider: Provider, shared: Backend) -> None:
    client, _, token = await prepare(provider)
    redis = provider.resources.redis
    assert redis is not None
    await provider.revoke(client, token)
    service = open_service(provider, shared.redis_url)

    await redis.flushdb()
    status = await service.status(token)

    assert status == 401
    assert service.wire.counted[INTROSPECT] <= 1
    await list_is_whole(provider)
    asked = service.wire.counted[INTROSPECT]
    assert await service.status(token) == 401
    assert service.wire.counted[INTROSPECT] == asked
    await service.verifier.aclose()


async def test_without_the_mark_of_completeness_the_issuer_is_asked(
    provider: Provider, own_redis: RedisServer
) -> None:
    client, _, token = await prepare(provider)
    revoked = await machine_token(provider, client)
    await provider.revoke(client, revoked)
    with own_redis as empty:
        service = open_service(provider, empty.url)
        assert [await service.status(t) for t in (token, revoked)] == [200, 401]
        assert service.wire.counted[INTROSPECT] == 2

        redis = open_redis(empty.url)
        await redis.set(f"{KEY_PREFIX}client:app", "not a number")
        await redis.set(COMPLETE, 1)
        assert await service.status(token) == 200
        assert service.wire.counted[INTROSPECT] == 3
        await redis.aclose()

        empty.stop()
        assert [await service.status(t) for t in (token, revoked)] == [200, 401]
        service.wire.cut = True
        assert await service.status(token) == 503
        await service.verifier.aclose()


async def test_a_redis_that_hangs_delays_and_decides_nothing(
    provider: Provider, own_redis: RedisServer
) -> None:
    _, _, token = await prepare(provider)
    with own_redis as hanging:
        service = open_service(provider, hanging.url)
        hanging.pause()
        try:
            assert await service.status(token) == 200
            assert service.wire.counted[INTROSPECT] == 1
            service.wire.cut = True
            assert await service.status(token) == 503
        finally:
            hanging.resume()
        await service.verifier.aclose()


async def test_who_loses_all_loses_tokens_that_name_them_otherwise_too(
    shared: Backend, open_providers: OpenProvider
) -> None:
    """A verifier elsewhere can not tell whose a pairwise subject is, nor whose a family.

    Neither can we once the code is forgotten, or where there was none.
    """
    provider: Provider = await open_providers(shared, resources={ORDERS: ["orders"]}, **EVERY_FLOW)
    await list_is_whole(provider)
    _, account, public = await prepare(provider)
    client = await provider.create_client(
        **FRONT_CHANNEL, resources=[ORDERS], roles=["buyer"], subject_type="pairwise"
    )
    wanted: dict[str, Any] = {"resource": ORDERS, "scope": "openid"}
    pairwise, other = [
        (await provider.sign_in(client, person, **wanted))["access_token"]
        for person in (account, await provider.create_user(roles=["buyer"]))
    ]
    location = await answer_of(provider, client, account, response_type="id_token token", **wanted)
    tokens = (public, pairwise, fragment_in(location)["access_token"], other)
    assert len({claims_of(token)["sub"] for token in tokens}) == 3
    provider.clock.move(seconds=provider.settings.authorization_code_ttl.total_seconds() + 1)
    service = open_service(provider, shared.redis_url)
    async with aclosing(service.verifier):
        assert [await service.status(token) for token in tokens] == [200] * 4

        async with provider.resources.database.transaction() as tx:
            await provider.resources.revoker.revoke_user(tx, account.id)

        assert [await service.status(token) for token in tokens] == [401, 401, 401, 200]
        assert service.wire.counted[INTROSPECT] == 0
