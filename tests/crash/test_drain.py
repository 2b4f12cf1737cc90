"""A replica that is told to end answers every request that was sent to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.cli.command import Cli, variables_of
from tests.conftest import Backend, BackendName
from tests.crash.fleet import Replica, run_fleet

ROUNDS = 10


@pytest.fixture
async def replica(
    make_backend: Callable[[BackendName], Backend], tmp_path: Path
) -> AsyncIterator[Replica]:
    """One replica that serves."""
    with run_fleet(Cli(tmp_path, variables_of(make_backend("sqlite"))), size=1) as (made,):
        await made.until_ready()
        yield made


async def _hammer(replica: Replica, answers: list[int]) -> None:
    """Ask on one connection, the next question on the heels of each answer, until it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    try:
        while True:
            writer.write(b"GET /jwks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            await reader.readexactly(length)
            answers.append(int(head.split()[1]))
            if "connection: close" in head:
                return
    finally:
        writer.close()


async def _until_nobody_listens(replica: Replica) -> None:
    """Return when who comes anew knows at once that nobody heard them."""
    with suppress(ConnectionRefusedError):
        while True:
            # Who waits to be accepted when the socket closes is thrown out.
            with suppress(ConnectionResetError):
                _, writer = await asyncio.open_connection("127.0.0.1", replica.port)
                writer.close()


async def test_no_request_on_an_open_connection_is_cut_off(replica: Replica) -> None:
    for _ in range(ROUNDS):
        answers: list[int] = []
        hammering = [asyncio.create_task(_hammer(replica, answers)) for _ in range(16)]
        while len(answers) < 200:  # noqa: ASYNC110  # the other tasks run meanwhile
            await asyncio.sleep(0)

        replica.terminate()

        # Not one of them meets the end of its connection without having been told before.
        await asyncio.gather(*hammering)
        assert set(answers) == {200}
        await asyncio.to_thread(replica.wait)
        replica.start()
        await replica.until_ready()


async def test_a_request_that_comes_soon_after_is_answered_as_the_last(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        assert (await http.get("/healthz")).status_code == 200

        replica.terminate()
        await _until_nobody_listens(replica)
        last = await http.get("/healthz")

    assert (last.status_code, last.headers["connection"]) == (200, "close")
    assert await asyncio.to_thread(replica.wait) in {0, -15}


async def test_with_a_delay_a_proxy_hears_of_the_end_before_anybody_is_refused(
    make_backend: Callable[[BackendName], Backend], tmp_path: Path
) -> None:
    cli = Cli(tmp_path, variables_of(make_backend("sqlite"))).with_variables(
        AUTHSVC_DRAIN_DELAY="3"
    )
    with run_fleet(cli, size=1) as (replica,):
        await replica.until_ready()

        replica.terminate()
        begun = time.monotonic()
        async with httpx.AsyncClient(base_url=replica.url) as proxy:
            while (readiness := await proxy.get("/readyz")).status_code == 200:
                assert time.monotonic() < begun + 2
        async with httpx.AsyncClient(base_url=replica.url) as late:
            answer = await late.get("/jwks")

        assert readiness.json()["checks"]["process"]["status"] == "error"
        assert answer.status_code == 200
        await _until_nobody_listens(replica)
        assert time.monotonic() >= begun + 3
        assert await asyncio.to_thread(replica.wait) in {0, -15}


async def test_who_asks_a_second_time_need_not_wait(
    make_backend: Callable[[BackendName], Backend], tmp_path: Path
) -> None:
    cli = Cli(tmp_path, variables_of(make_backend("sqlite"))).with_variables(
        AUTHSVC_DRAIN_DELAY="600"
    )
    with run_fleet(cli, size=1) as (replica,):
        await replica.until_ready()
        replica.terminate()
        async with httpx.AsyncClient(base_url=replica.url) as proxy:
            while (await proxy.get("/readyz")).status_code == 200:
                pass
        # Sooner it would be the same signal, passed on by a parent.
        await asyncio.sleep(1.2)
        replica.terminate()
        assert await asyncio.to_thread(replica.wait) in {0, -15}


async def test_a_signal_to_the_whole_group_that_the_parent_passes_on_is_one(
    make_backend: Callable[[BackendName], Backend], tmp_path: Path
) -> None:
    cli = Cli(tmp_path, variables_of(make_backend("sqlite"))).with_variables(
        AUTHSVC_DRAIN_DELAY="3"
    )
    with run_fleet(cli, size=1) as (replica,):
        await replica.until_ready()

        replica.terminate()
        begun = time.monotonic()
        async with httpx.AsyncClient(base_url=replica.url) as proxy:
            while (await proxy.get("/readyz")).status_code == 200:
                assert time.monotonic() < begun + 0.9
        replica.terminate()
        assert time.monotonic() < begun + 0.9

        await _until_nobody_listens(replica)
        assert time.monotonic() >= begun + 3
        assert await asyncio.to_thread(replica.wait) in {0, -15}


async def test_a_connection_that_stays_idle_does_not_keep_the_replica(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        assert (await http.get("/healthz")).status_code == 200

        replica.terminate()

        async with asyncio.timeout(10):
            assert await asyncio.to_thread(replica.wait) in {0, -15}
