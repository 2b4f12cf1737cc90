"""Whoever hears announcements goes on hearing them, whatever Redis did in between."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable

import pytest
import redis

from authsvc.jobs.background import keep_going
from authsvc.storage.changes import POLL, Changes
from authsvc.storage.redis import RedisClient
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider, claims_of
from tests.replicas.replicas import Replicas, until
from tests.servers import RedisServer

SOON = 5.0
"""Seconds in which hearing begins again."""


def _restart(server: RedisServer) -> None:
    server.stop()
    server.start()


def _kill(server: RedisServer, kind: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", kind)


def _say(server: RedisServer, message: bytes) -> None:
    with redis.Redis.from_url(server.url) as client:
        for channel in client.pubsub_channels("authsvc:changes:*"):
            client.publish(channel, message)


HARM: dict[str, Callable[[RedisServer], None]] = {
    "the subscription is killed": functools.partial(_kill, kind="pubsub"),
    "every other connection is killed": functools.partial(_kill, kind="normal"),
    "the server restarts": _restart,
    "a message is no JSON": functools.partial(_say, message=b"\xff"),
    "a message is no object": functools.partial(_say, message=b"[1]"),
    "a message holds nonsense": functools.partial(_say, message=b'{"revoked":[[1]]}'),
}


def _hearing_since(replicas: Replicas) -> list[float]:
    return [replica.resources.changes._heard_at for replica in replicas.providers]


async def _until_heard_anew(replicas: Replicas) -> None:
    """Return when every replica has heard a heartbeat that was sent from now on."""
    begun = time.monotonic()
    await until(lambda: min(_hearing_since(replicas)) > begun, patience=SOON)


async def _hear_of_revocations(replicas: Replicas) -> None:
    """Check that what the first replica revokes gets into the memory of the others."""
    client = await replicas.first.create_client()
    (token,) = await replicas.issue(client)
    assert await replicas.is_good_everywhere(client, token)

    await replicas.first.revoke(client, token)

    listed = ("token", claims_of(token)["jti"])
    kept = [replica.resources.revocations._entries for replica in replicas.others]
    await until(lambda: all(listed in entries for entries in kept), patience=SOON)
    assert not await replicas.is_good_anywhere(client, token)


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
async def test_hearing_begins_again_within_seconds_and_goes_on(
    replicas: Replicas, own_redis: RedisServer, harm: Callable[[RedisServer], None]
) -> None:
    for _ in range(2):
        await asyncio.to_thread(harm, own_redis)
        await _until_heard_anew(replicas)
        # What was heard before the harm is no sign of life after it.
        await _until_heard_anew(replicas)

    await replicas.until_live()
    await _hear_of_revocations(replicas)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), ExceptionGroup("two", [OSError()])])
async def test_whatever_hearing_fails_with_it_begins_again(
    frail_backend: Backend,
    open_providers: OpenProvider,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    hear, failures = Changes._hear, 0

    async def failing_twice(self: Changes, connection: RedisClient) -> None:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise error
        await hear(self, connection)

    monkeypatch.setattr(Changes, "_hear", failing_twice)

    provider: Provider = await open_providers(frail_backend)

    await until(lambda: provider.resources.changes.live, patience=SOON)
    assert failures == 2


async def test_a_poll_that_fails_is_not_the_last_and_stops_nobody_hearing(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    resync, polls = Changes._resync, 0

    async def failing(self: Changes, *, everything: bool) -> None:
        nonlocal polls
        polls += 1
        if polls <= len(replicas.providers):
            raise RuntimeError("a defect")
        await resync(self, everything=everything)

    before = _hearing_since(replicas)
    monkeypatch.setattr(Changes, "_resync", failing)
    monkeypatch.setattr("authsvc.storage.changes.POLL", POLL / 10)

    await until(lambda: polls > 2 * len(replicas.providers), patience=4 * POLL)

    assert all(replica.resources.changes.live for replica in replicas.providers)
    assert min(_hearing_since(replicas)) > max(before)


async def test_work_that_fails_begins_anew_and_ends_when_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, waiting = 0, asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise LookupError("a defect")
        waiting.set()
        await asyncio.Event().wait()

    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("authsvc.app.asyncio.sleep", pause)
    task = asyncio.create_task(keep_going(work))
    await asyncio.wait_for(waiting.wait(), SOON)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert begun == 3
    assert len(pauses) == 2
    assert min(pauses) > 0
    assert task.cancelled()
