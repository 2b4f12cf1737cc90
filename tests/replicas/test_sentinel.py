"""Sentinels promote a replica of Redis while its master hangs, and take the old master back."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from authsvc.storage.shared_revocations import SharedRevocations
from tests.conftest import Backend
from tests.provider import claims_of, open_provider
from tests.replicas.conftest import MakeBackend
from tests.replicas.replicas import Replicas, seconds_until, watching
from tests.server_process import ServerProcess, make_folder
from tests.server_programs import free_port, redis_program
from tests.servers import RedisServer, start_redis

SERVICE = "authsvc"
LATENCY = 5.0
"""Seconds that any request may take, whatever Redis does."""
PATIENCE = 30.0
"""Seconds in which Sentinels have seen each other, or have promoted a replica."""


class Sentinels:
    """Three Sentinels over a master and a replica, two of which decide."""

    def __init__(self, stack: ExitStack, master: RedisServer, replica: RedisServer) -> None:
        self.master, self.replica = master, replica
        self._password = str(urlsplit(master.url).password)
        for server in (master, replica):
            with redis.Redis.from_url(server.url) as client:
                client.config_set("masterauth", self._password)
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", str(_port_of(master)))
            # Whoever becomes the master is asked for the same password.
            client.config_set("requirepass", self._password)
        self._ports = [_start_sentinel(stack, master, self._password) for _ in range(3)]

    @property
    def url(self) -> str:
        """Where the service finds whoever is the master."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+sentinel://:{self._password}@{hosts}/{SERVICE}/3"

    def promoted(self) -> bool:
        """Say whether all Sentinels name the replica as the master."""
        return {self._ask(port)["port"] for port in self._ports} == {_port_of(self.replica)}

    def are_ready(self) -> bool:
        """Say whether each Sentinel knows the two others and the replica."""
        return all(
            (found["num-other-sentinels"], found["num-slaves"]) == (2, 1)
            for found in map(self._ask, self._ports)
        )

    def is_taken_back(self) -> bool:
        """Say whether the old master has become a replica of the new one."""
        with redis.Redis.from_url(self.master.url, socket_timeout=5) as client:
            try:
                found: dict[str, Any] = client.info("replication")
            except redis.ConnectionError:  # who becomes a replica cuts everybody off
                return False
        return (found["role"], found.get("master_link_status")) == ("slave", "up")

    def _ask(self, port: int) -> dict[str, Any]:
        with redis.Redis(port=port, socket_timeout=5) as client:
            found: dict[str, Any] = client.sentinel_masters()[SERVICE]
        return found


def _start_sentinel(stack: ExitStack, master: RedisServer, password: str) -> int:
    folder, port = make_folder(None), free_port()
    # A Sentinel writes what it finds into its own file.
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\n"
        "bind 127.0.0.1\n"
        f"dir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {_port_of(master)} 2\n"
        f"sentinel auth-pass {SERVICE} {password}\n"
        f"sentinel down-after-milliseconds {SERVICE} 1000\n"
        f"sentinel failover-timeout {SERVICE} 5000\n"
    )
    process = ServerProcess(
        folder,
        [str(redis_program()), str(file), "--sentinel"],
        stop_signal=signal.SIGTERM,
        end_signal=signal.SIGTERM,
    )
    stack.callback(process.close)
    process.start()
    return port


def _port_of(server: RedisServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@pytest.fixture
async def sentinels(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sentinels]:
    """Sentinels that have seen each other."""
    monkeypatch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    with ExitStack() as stack:
        master, replica = [stack.enter_context(start_redis()) for _ in range(2)]
        opened = Sentinels(stack, master, replica)
        await _until(opened.are_ready)
        yield opened


@pytest.fixture
async def replicas(make_backend: MakeBackend, sentinels: Sentinels) -> AsyncIterator[Replicas]:
    """Three replicas that find Redis through the Sentinels, and hear each other."""
    backend = Backend("postgres+redis", make_backend("postgres").database_url, sentinels.url)
    async with AsyncExitStack() as stack:
        providers = [
            await stack.enter_async_context(open_provider(backend.settings())) for _ in range(3)
        ]
        opened = Replicas(providers)
        await opened.until_live()
        yield opened


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # other processes
            await asyncio.sleep(0.05)


async def test_nothing_revoked_is_accepted_while_sentinels_replace_the_master(
    replicas: Replicas, sentinels: Sentinels
) -> None:
    client = await replicas.first.create_client()
    before, during, after, later, living = await replicas.issue(client, 5)
    shared = SharedRevocations(sentinels.url)

    async def is_shared(token: str) -> bool:
        claims = claims_of(token)
        return bool(await shared.is_revoked([("token", claims["jti"])], claims["iat"] * 1000))

    async def revoke(number: int, token: str) -> float:
        begun = time.monotonic()
        response = await replicas.providers[number].revoke(client, token)
        assert response.status_code == 200
        watch.revoked.append(token)
        return time.monotonic() - begun

    async with watching(replicas, client) as watch:
        await revoke(0, before)
        sentinels.master.pause()
        begun = time.monotonic()
        waited = await revoke(1, during)
        await _until(sentinels.promoted)
        promoted = time.monotonic() - begun
        await replicas.until_live()
        recovered = time.monotonic() - begun
        # The new master takes what the old one did not.
        shared_after = await seconds_until(lambda: is_shared(during))
        await revoke(2, after)
        assert await is_shared(before)
        assert await is_shared(after)

        sentinels.master.resume()
        # Both take themselves for the master for a moment.
        await revoke(0, later)
        await _until(sentinels.is_taken_back)
        await replicas.until_live()
        assert await is_shared(later)
        readiness = await replicas.first.http.get("/readyz")

    sys.stdout.write(
        f"Sentinels promoted a replica of Redis after {promoted:.1f} s, all replicas heard each "
        f"other on it after {recovered:.1f} s, and what was revoked meanwhile was answered "
        f"after {waited:.1f} s and shared {shared_after:.1f} s after that; "
        f"an introspection took {watch.slowest:.1f} s at most\n"
    )
    assert watch.accepted == []
    assert watch.slowest < LATENCY
    assert await replicas.is_good_everywhere(client, living)
    assert readiness.json()["checks"]["redis"] == {"status": "ok"}
    await shared.aclose()
