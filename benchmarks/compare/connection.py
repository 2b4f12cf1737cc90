"""A keep-alive connection of HTTP/1.1 that costs the load generator little."""

import asyncio
from dataclasses import dataclass
from typing import Self

_END_OF_HEAD = b"\r\n\r\n"


class ConnectionLost(OSError):
    """The server closed the connection before it had answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came; the head is not taken apart until somebody asks for a header."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next(iter(self.headers(name)), None)

    def headers(self, name: str) -> list[str]:
        """Return all headers of that name."""
        wanted = name.lower()
        lines = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return [value.strip() for key, _, value in lines if key.lower() == wanted]


class Connection(asyncio.Protocol):
    """One request at a time. A connection that was lost is made anew by the next request."""

    def __init__(self, port: int) -> None:
        """The server listens on ``port`` of 127.0.0.1."""
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[Answer] | None = None
        self.connects = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def request(self, message: bytes) -> Answer:
        """Send a whole request and return its answer; raises ConnectionLost."""
        loop = asyncio.get_running_loop()
        transport = self._transport
        if transport is None:
            transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        self._answer = loop.create_future()
        transport.write(message)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a stream
        """Begin."""
        self._transport, self._buffer = transport, b""
        self.connects += 1

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._buffer = self._buffer + data if self._buffer else data
        answer = parse_answer(self._buffer)
        if answer is not None and self._answer is not None and not self._answer.done():
            self._buffer = b""
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionLost(str(exc or "closed by the server")))


def parse_answer(received: bytes) -> Answer | None:
    """Return the answer in what was received, or None where some of it is still to come.

    Its length must be said by Content-Length: ValueError where it is not.
    """
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return None
    head, body = received[:end], received[end + len(_END_OF_HEAD) :]
    status = int(head[9:12])
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        if status in (204, 304):
            return Answer(status, head, b"")
        raise ValueError("an answer without Content-Length")
    line_end = lower.find(b"\r\n", at + 2)
    length = int(lower[at + 17 : line_end if line_end >= 0 else None])
    if len(body) < length:
        return None
    if len(body) > length:
        raise ValueError("more than one answer to one request")
    return Answer(status, head, body)
