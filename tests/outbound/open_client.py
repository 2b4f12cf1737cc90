"""The guarded client for tests, with names, networks and time of the test's choosing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpcore
import pytest

from authsvc.clock import Clock
from authsvc.outbound import Lane, Outbound, OutboundError


class StandingClock(Clock):
    """Stands still until it is moved, so that the life of an answer is exact."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return where it stands."""
        return self._now

    def move(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self._now += timedelta(seconds=seconds)


@dataclass
class ProgrammedResolver:
    """Answers each look-up of a host with the next of its answers, the last one for ever.

    A literal address is its own answer, as it is the system's.
    """

    answers: Mapping[str, Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the next answer; raises OSError for a host that nobody named."""
        self.asked.append(host)
        with contextlib.suppress(ValueError):
            return [str(ip_address(host))]
        answers = self.answers.get(host)
        if answers is None:
            raise OSError("no such host")
        return answers[min(self.asked.count(host), len(answers)) - 1]

    def close(self) -> None:
        """Hold nothing."""


class SlowResolver(ProgrammedResolver):
    """Lets each look-up of a host whose name begins with ``slow`` wait until it is told."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        super().__init__(answers)
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.most_waiting = 0
        self._changed = asyncio.Condition()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the next answer, perhaps late; nobody can stop it, as with a real one."""
        if host.startswith("slow"):
            await self._count(1)
            await self.go_on.wait()
            await self._count(-1)
        return await super().resolve(host, port)

    async def until_waiting(self, number: int) -> None:
        """Return when ``number`` look-ups are waiting."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.waiting == number)

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.waiting += change
            self.most_waiting = max(self.waiting, self.most_waiting)
            self._changed.notify_all()


class RecordingDialer(httpcore.AsyncNetworkBackend):
    """Records each connection; each leads to a port of loopback, whatever the address is."""

    def __init__(self, port: int | None = None, *, dead: Iterable[str] = ()) -> None:
        self.dialed: list[tuple[str, int]] = []
        self._port = port
        self.dead = frozenset(dead)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the test's server instead."""
        self.dialed.append((host, port))
        if self._port is None or host in self.dead:
            raise httpcore.ConnectError("nobody listens")
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._port, timeout=timeout)


class HeldDialer(httpcore.AsyncNetworkBackend):
    """Reaches nobody: at once, or while it is held only when the time is over."""

    def __init__(self) -> None:
        self.dialing = asyncio.Event()
        self._may_end = asyncio.Event()
        self._may_end.set()

    def hold(self) -> None:
        """Swallow packets from now on."""
        self.dialing.clear()
        self._may_end.clear()

    def release(self) -> None:
        """Swallow none any more."""
        self._may_end.set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Wait, and connect to nothing."""
        self.dialing.set()
        try:
            async with asyncio.timeout(timeout):
                await self._may_end.wait()
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        raise httpcore.ConnectError("nobody listens")


@asynccontextmanager
async def open_outbound(
    *,
    loopback: bool = True,
    ca_file: Path | None = None,
    seconds: float = 5,
    clock: Clock | None = None,
    resolver: ProgrammedResolver | None = None,
    dialer: httpcore.AsyncNetworkBackend | None = None,
) -> AsyncIterator[Outbound]:
    """Open a client that gives up after ``seconds``."""
    outbound = Outbound(
        loopback=loopback,
        ca_file=ca_file,
        timeout=timedelta(seconds=seconds),
        clock=clock or StandingClock(),
        resolver=resolver,
        dialer=dialer,
    )
    try:
        yield outbound
    finally:
        await outbound.aclose()


async def failure_of(
    outbound: Outbound, url: str, *, max_bytes: int = 65_536, lane: Lane = "essential"
) -> OutboundError:
    """Return the error that fetching ``url`` ends with, in the lane that forgets it at once."""
    async with asyncio.timeout(20):
        with pytest.raises(OutboundError) as caught:
            await outbound.get(url, max_bytes=max_bytes, lane=lane)
    return caught.value
