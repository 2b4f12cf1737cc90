"""A connection is not kept for a request that never comes to its end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from authsvc.web.connections import DrainingConnection

SHORT = 0.3
LONG = 60.0
PATIENCE = 10.0


class HastyWithHeads(DrainingConnection):
    """Waits long for all but the head."""

    head_seconds = SHORT
    body_seconds = LONG


class HastyWithBodies(DrainingConnection):
    """Waits long for all but the body."""

    head_seconds = LONG
    body_seconds = SHORT


class Patient(DrainingConnection):
    """Waits long for anything."""

    head_seconds = LONG
    body_seconds = LONG


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body, ``/slow`` after longer than the short time."""
    request = Request(scope, receive)
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * SHORT)
    try:
        text = (await request.body()).decode()
    except ClientDisconnect:
        return
    await PlainTextResponse(text)(scope, receive, send)


@asynccontextmanager
async def _listening(
    kind: type[DrainingConnection], *, keep_alive: int = 60
) -> AsyncIterator[tuple[int, ServerState]]:
    config = uvicorn.Config(answer, lifespan="off", log_config=None, timeout_keep_alive=keep_alive)
    state = ServerState()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], state
    finally:
        listener.close()
        for connection in list(state.connections):
            connection.transport.abort()


@asynccontextmanager
async def _connect(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.read()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: bytes) -> None:
    """Send a little often, until the other side has closed."""
    closed = asyncio.create_task(_until_closed(reader))
    while not closed.done():
        writer.write(drop)
        await asyncio.wait([closed], timeout=SHORT / 6)
    assert closed.result() == b""


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nHost: a\r\n", b"G", b"\r\n"])
async def test_a_head_that_stays_incomplete_ends_the_connection(begin: bytes) -> None:
    async with _listening(HastyWithHeads) as (port, _), _connect(port) as (reader, writer):
        writer.write(begin)
        assert await _until_closed(reader) == b""


@pytest.mark.parametrize(
    ("begin", "drop"), [(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x"), (b"\r\n", b"\r\n")]
)
async def test_bytes_that_trickle_do_not_prolong_a_head(begin: bytes, drop: bytes) -> None:
    async with _listening(HastyWithHeads) as (port, _), _connect(port) as (reader, writer):
        writer.write(begin)
        await _drip(reader, writer, drop)


async def test_the_head_of_a_later_request_has_a_deadline_too() -> None:
    async with _listening(HastyWithHeads) as (port, _), _connect(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stalls_ends_the_connection(framing: bytes) -> None:
    async with _listening(HastyWithBodies) as (port, _), _connect(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n3\r\n")
        assert await _until_closed(reader) == b""


async def test_a_body_that_comes_slowly_is_read_to_its_end() -> None:
    async with _listening(HastyWithBodies) as (port, _), _connect(port) as (reader, writer):
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 8\r\n\r\n"
        )
        for _ in range(8):
            await asyncio.sleep(SHORT / 4)
            writer.write(b"x")
        assert (await _until_closed(reader)).endswith(b"xxxxxxxx")


async def test_who_waits_for_leave_to_send_or_for_an_answer_is_not_cut_off() -> None:
    async with _listening(HastyWithBodies) as (port, _), _connect(port) as (reader, writer):
        writer.write(
            b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"me")
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"\r\n\r\nme")
    async with _listening(HastyWithHeads) as (port, _), _connect(port) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGE")
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 200")


async def test_who_says_nothing_at_all_is_not_kept_for_longer_than_an_idle_connection() -> None:
    async with _listening(Patient, keep_alive=1) as (port, _), _connect(port) as (reader, _writer):
        assert await _until_closed(reader) == b""


async def test_a_process_that_ends_does_not_wait_long_for_a_body() -> None:
    async with _listening(Patient) as (port, state), _connect(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        async with asyncio.timeout(PATIENCE):
            while not state.tasks:  # noqa: ASYNC110  # the server runs meanwhile
                await asyncio.sleep(0)
        began = time.monotonic()
        for connection in list(state.connections):
            connection.shutdown()
        assert await _until_closed(reader) == b""
        assert time.monotonic() >= began + 1
