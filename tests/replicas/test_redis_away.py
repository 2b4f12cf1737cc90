"""Redis hangs, stops, forgets, and comes back: what was revoked stays revoked throughout.

The bound is this: from the answer to a revocation on, no replica accepts what was
revoked. While announcements arrive they tell; a replica that has not heard its own
heartbeat for SILENCE seconds asks the database instead; and where a revocation can not be
announced it is answered LEARNT seconds later, when every replica has noticed or polled.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial

import httpx
import pytest
import redis

from authsvc.storage.changes import SILENCE
from authsvc.storage.revocations import COMPLETE, KEY_PREFIX
from tests.conftest import Backend, OpenProvider
from tests.faults.relay import Relay
from tests.provider import ORIGIN, Provider, TestClient, claims_of, open_provider
from tests.replicas.replicas import Replicas, seconds_until, until, watching
from tests.server_programs import free_port
from tests.servers import RedisServer

LATENCY = 5.0
"""Seconds that any request may take, whatever Redis does."""


def _pause(server: RedisServer) -> None:
    server.pause()


def _stop(server: RedisServer) -> None:
    server.stop()


def _flush(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


def _restart(server: RedisServer) -> None:
    server.stop()
    server.start()


HARM = {"hangs": _pause, "stops": _stop, "is emptied": _flush, "comes back empty": _restart}
AWAY = {"hangs": (_pause, RedisServer.resume), "stops": (_stop, RedisServer.start)}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def _readiness(provider: Provider) -> tuple[int, str, str]:
    response = await provider.http.get("/readyz")
    document = response.json()
    return response.status_code, document["status"], document["checks"]["redis"]["status"]


async def _revoke_user(replicas: Replicas, user_id: str) -> None:
    async with replicas.first.resources.database.transaction() as tx:
        await replicas.first.resources.people.revoke_sessions(tx, user_id, ORIGIN)


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
async def test_what_was_revoked_before_stays_revoked_whatever_happens_to_redis(
    replicas: Replicas, own_redis: RedisServer, harm: Callable[[RedisServer], None]
) -> None:
    client = await replicas.first.create_client()
    revoked, living = await replicas.issue(client, 2)
    await replicas.first.revoke(client, revoked)
    assert await seconds_until(lambda: _is_bad_everywhere(replicas, client, revoked)) < 1

    async with watching(replicas, client) as watch:
        watch.revoked.append(revoked)
        await asyncio.to_thread(harm, own_redis)
        await asyncio.sleep(2 * SILENCE)  # the time in which replicas notice, and poll

    assert watch.accepted == []
    assert watch.slowest < LATENCY
    assert await replicas.is_good_everywhere(client, living)


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
async def test_what_is_revoked_the_moment_redis_comes_to_harm_is_accepted_nowhere_once_answered(
    replicas: Replicas, own_redis: RedisServer, harm: Callable[[RedisServer], None]
) -> None:
    client = await replicas.first.create_client()
    tokens = await replicas.issue(client, 2)
    answered: list[float] = []

    async with watching(replicas, client) as watch:
        await asyncio.to_thread(harm, own_redis)
        # At once, while some replicas still take themselves to be live, and then later.
        for number, token in enumerate(tokens):
            begun = time.monotonic()
            response = await replicas.providers[number % 3].revoke(client, token)
            answered.append(time.monotonic() - begun)
            assert response.status_code == 200
            watch.revoked.append(token)

    _say(f"answered after {[round(seconds, 2) for seconds in answered]} s")
    assert watch.accepted == []
    assert max(answered) < LATENCY
    assert watch.slowest < LATENCY


@pytest.mark.parametrize(("harm", "mend"), AWAY.values(), ids=AWAY.keys())
async def test_without_redis_everything_is_served_degraded_and_it_recovers_by_itself(
    replicas: Replicas,
    own_redis: RedisServer,
    harm: Callable[[RedisServer], None],
    mend: Callable[[RedisServer], None],
) -> None:
    client, account = await replicas.first.create_client(), await replicas.first.create_user()
    tokens = await replicas.first.sign_in(client, account)
    await asyncio.to_thread(harm, own_redis)
    await replicas.until_live(False)

    for replica in replicas.providers:
        assert await _readiness(replica) == (200, "ok", "degraded")
        tokens = await _served(replica, client, tokens)
    revoked, kept = await replicas.issue(client, 2)
    assert (await replicas.first.revoke(client, revoked)).status_code == 200
    for replica in replicas.providers:
        assert (await replica.introspect(client, revoked))["active"] is False
        assert (await replica.introspect(client, kept))["active"] is True

    async with watching(replicas, client) as watch:
        watch.revoked.append(revoked)
        await asyncio.to_thread(mend, own_redis)
        await replicas.until_live()
    assert watch.accepted == []
    for replica in replicas.providers:
        assert await _readiness(replica) == (200, "ok", "ok")
        tokens = await _served(replica, client, tokens)
    # Announcements arrive again, and the shared list holds what it could not be told.
    await replicas.first.revoke(client, kept)
    assert await seconds_until(lambda: _is_bad_everywhere(replicas, client, kept)) < 1
    for token in (revoked, kept):
        entry = f"{KEY_PREFIX}token:{claims_of(token)['jti']}"
        await until(partial(_shared, own_redis, entry))


async def _served(replica: Provider, client: TestClient, tokens: dict[str, str]) -> dict[str, str]:
    """Do what clients do, each within bounds; return the tokens of the refresh."""
    account = await replica.create_user()
    async with asyncio.timeout(4 * LATENCY):
        assert (await replica.userinfo(tokens["access_token"])).status_code == 200
        assert (await replica.introspect(client, tokens["access_token"]))["active"] is True
        await replica.sign_in(client, account)
        refreshed: httpx.Response = await replica.refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200
    renewed: dict[str, str] = refreshed.json()
    return renewed


async def _is_bad_everywhere(replicas: Replicas, client: TestClient, token: str) -> bool:
    return not await replicas.is_good_anywhere(client, token)


def _shared(server: RedisServer, key: str) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.exists(key))


async def test_a_person_revoked_while_redis_hangs_is_out_everywhere(
    replicas: Replicas, own_redis: RedisServer
) -> None:
    client, account = await replicas.first.create_client(), await replicas.first.create_user()
    signed_in = [await replicas.first.sign_in(client, account) for _ in range(3)]

    async with watching(replicas, client) as watch:
        own_redis.pause()
        begun = time.monotonic()
        await _revoke_user(replicas, account.id)
        _say(f"a person is revoked after {time.monotonic() - begun:.2f} s")
        watch.revoked += [tokens["access_token"] for tokens in signed_in]
        await replicas.until_live(False)
        own_redis.resume()
        await replicas.until_live()

    assert watch.accepted == []
    for tokens in signed_in:
        response = await replicas.providers[2].refresh(client, tokens["refresh_token"])
        assert response.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("harm", [_flush, _restart])
async def test_a_redis_that_has_forgotten_the_list_is_given_it_again(
    replicas: Replicas, own_redis: RedisServer, harm: Callable[[RedisServer], None]
) -> None:
    client = await replicas.first.create_client()
    tokens = await replicas.issue(client, 3)
    for token in tokens:
        await replicas.first.revoke(client, token)
    keys = [f"{KEY_PREFIX}token:{claims_of(token)['jti']}" for token in tokens]
    await until(lambda: all(_shared(own_redis, key) for key in (*keys, COMPLETE)))

    await asyncio.to_thread(harm, own_redis)

    await until(lambda: _shared(own_redis, COMPLETE))
    # Whoever reads that the list is whole finds it whole.
    assert all(_shared(own_redis, key) for key in keys)


async def test_registries_are_current_at_the_next_request_while_redis_is_away(
    replicas: Replicas, own_redis: RedisServer
) -> None:
    await replicas.first.create_role("role", "orders:read")
    client = await replicas.first.create_client(roles=["role"])
    (token,) = await replicas.issue(client)
    for replica in replicas.providers:
        assert (await replica.introspect(client, token))["permissions"] == ["orders:read"]
    own_redis.stop()
    await replicas.until_live(False)

    roles = replicas.first.resources.role_administration
    async with replicas.first.resources.database.transaction() as tx:
        await roles.deny(tx, "role", "orders:read", ORIGIN)

    for replica in replicas.providers:
        assert (await replica.introspect(client, token))["permissions"] == []


async def test_a_replica_starts_without_redis_and_joins_when_it_is_there(
    own_redis: RedisServer, frail_backend: Backend, open_providers: OpenProvider
) -> None:
    own_redis.stop()
    replicas = Replicas([await open_providers(frail_backend) for _ in range(2)])
    client = await replicas.first.create_client()
    (token,) = await replicas.issue(client)
    await replicas.first.revoke(client, token)
    assert await _is_bad_everywhere(replicas, client, token)

    await asyncio.to_thread(own_redis.start)
    await replicas.until_live()

    assert await _is_bad_everywhere(replicas, client, token)
    await until(lambda: _shared(own_redis, f"{KEY_PREFIX}token:{claims_of(token)['jti']}"))


async def test_what_a_replica_revokes_that_alone_lost_redis_is_accepted_nowhere_once_answered(
    own_redis: RedisServer, frail_backend: Backend, open_providers: OpenProvider
) -> None:
    redis_port = httpx.URL(own_redis.url).port or 6379
    with Relay(redis_port) as line:
        cut_off = Backend("postgres+redis", frail_backend.database_url, _via(line, own_redis.url))
        replicas = Replicas([await open_providers(cut_off), await open_providers(frail_backend)])
        await replicas.until_live()
        client = await replicas.first.create_client()
        (token,) = await replicas.issue(client)
        line.lead_to(free_port())
        await until(lambda: not replicas.first.resources.changes.live)
        assert replicas.others[0].resources.changes.live

        async with watching(replicas, client) as watch:
            await replicas.first.revoke(client, token)
            watch.revoked.append(token)
            assert replicas.others[0].resources.changes.live

    assert watch.accepted == []


async def test_what_one_without_redis_revokes_is_not_accepted_by_one_without_the_database(
    own_redis: RedisServer,
    frail_backend: Backend,
    open_providers: OpenProvider,
) -> None:
    redis_port = httpx.URL(own_redis.url).port or 6379
    database_port = httpx.URL(frail_backend.database_url).port or 5432
    with Relay(redis_port) as line, Relay(database_port) as relay:
        cut_off = Backend("postgres+redis", frail_backend.database_url, _via(line, own_redis.url))
        reached = _via(relay, frail_backend.database_url)
        without = Backend("postgres+redis", reached, own_redis.url)
        replicas = Replicas([await open_providers(cut_off), await open_providers(without)])
        (other,) = replicas.others
        await replicas.until_live()
        await until(lambda: bool(other.resources.changes._peers._peers))
        client = await replicas.first.create_client()
        (token,) = await replicas.issue(client)
        assert await replicas.is_good_everywhere(client, token)

        relay.swallow()
        assert (await other.introspect(client, token))["active"]
        line.lead_to(free_port())
        await until(lambda: not replicas.first.resources.changes.live)
        await replicas.first.revoke(client, token)

        assert await _status(other, client, token) == 503
        # It can tell again, but not what it could not tell then.
        line.lead_to(redis_port)
        await until(lambda: replicas.first.resources.changes.live)
        for _ in range(20):
            assert await _status(other, client, token) == 503
            await asyncio.sleep(SILENCE / 10)

        relay.flow()
        await replicas.until_live()
        assert await _is_bad_everywhere(replicas, client, token)


async def test_a_replica_that_ends_in_good_order_is_not_taken_for_silent(
    frail_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(frail_backend)
    changes = provider.resources.changes
    async with open_provider(frail_backend.settings()):
        await until(lambda: bool(changes._peers._peers))
    await until(lambda: not changes._peers._peers, patience=SILENCE)


async def _status(provider: Provider, client: TestClient, token: str) -> int:
    auth = client.auth or httpx.USE_CLIENT_DEFAULT
    return (await provider.http.post("/introspect", data={"token": token}, auth=auth)).status_code


def _via(relay: Relay, url: str) -> str:
    """Return ``url`` by way of the relay."""
    return str(httpx.URL(url).copy_with(port=relay.port))
