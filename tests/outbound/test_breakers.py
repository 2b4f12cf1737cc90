"""Hosts and URLs that fail again and again are left alone for a while."""

import asyncio
import time
from contextlib import AbstractContextManager

import circuitbreaker
import pytest

from authsvc.outbound.breakers import FAILURES, MAX_BREAKERS, RECOVERY_SECONDS, Breakers
from authsvc.outbound.errors import BreakerOpen, Busy, HostFailed, Unreachable
from authsvc.outbound.targets import parse_target
from tests.outbound.open_client import (
    HeldDialer,
    ProgrammedResolver,
    RecordingDialer,
    failure_of,
    open_outbound,
)
from tests.web_servers import Answer, ReceivedRequest, open_web_server


class _Time:
    """The breakers' time, which is the process's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._offset = 0.0
        monkeypatch.setattr(circuitbreaker, "monotonic", lambda: time.monotonic() + self._offset)

    def move(self, seconds: float) -> None:
        self._offset += seconds


async def test_a_breaker_opens_after_five_failures_and_closes_when_the_url_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = _Time(monkeypatch)
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 500)
        for _ in range(FAILURES):
            await failure_of(outbound, server.url)
        error = await failure_of(outbound, server.url)
        assert (error.outcome, error.temporary) == ("breaker_open", True)
        assert len(server.requests) == FAILURES

        now.move(RECOVERY_SECONDS + 1)
        await failure_of(outbound, server.url)  # tried, and still away
        assert (await failure_of(outbound, server.url)).outcome == "breaker_open"
        assert len(server.requests) == FAILURES + 1

        now.move(RECOVERY_SECONDS + 1)
        server.respond("/", body=b"back")
        for _ in range(2):
            assert await outbound.get(server.url, lane="essential") == b"back"


async def test_one_request_alone_finds_out_whether_the_url_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = _Time(monkeypatch)
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 500)
        for _ in range(FAILURES):
            await failure_of(outbound, server.url)
        now.move(RECOVERY_SECONDS + 1)
        asked, answer = asyncio.Event(), asyncio.Event()

        async def hold(_request: ReceivedRequest) -> Answer:
            asked.set()
            await answer.wait()
            return Answer(body=b"back")

        server.handle("/", hold)
        probe = asyncio.create_task(outbound.get(server.url, lane="essential"))
        await asked.wait()
        assert (await failure_of(outbound, f"{server.url}/#2")).outcome == "breaker_open"
        answer.set()
        assert await probe == b"back"


async def test_one_request_alone_finds_out_whether_the_host_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = _Time(monkeypatch)
    dialer = HeldDialer()
    resolver = ProgrammedResolver({"dead.example": [["1.1.1.1"]]})
    async with open_outbound(loopback=False, resolver=resolver, dialer=dialer) as outbound:
        for number in range(FAILURES):
            await failure_of(outbound, f"https://dead.example/{number}")
        now.move(RECOVERY_SECONDS + 1)
        dialer.hold()
        probe = asyncio.create_task(failure_of(outbound, "https://dead.example/a"))
        await dialer.dialing.wait()
        assert (await failure_of(outbound, "https://dead.example/b")).outcome == "breaker_open"
        dialer.release()
        assert (await probe).outcome == "failed"
        assert (await failure_of(outbound, "https://dead.example/b")).outcome == "breaker_open"


async def test_only_failures_in_a_row_count() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        for _ in range(2 * FAILURES):
            server.respond("/", 500)
            for _ in range(FAILURES - 1):
                assert (await failure_of(outbound, server.url)).outcome == "failed"
            server.respond("/", 404)
            assert (await failure_of(outbound, server.url)).outcome == "failed"


async def test_refusals_of_ours_and_of_the_host_leave_the_breaker_closed() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/large", body=b"x" * 100)
        for _ in range(FAILURES + 1):
            assert (await failure_of(outbound, f"{server.url}/large", max_bytes=10)).outcome != (
                "breaker_open"
            )
            assert (await failure_of(outbound, f"{server.url}/not-found")).outcome == "failed"
        server.respond("/", body=b"here")
        assert await outbound.get(server.url) == b"here"


async def test_an_address_that_is_refused_is_refused_again_and_not_a_failure() -> None:
    resolver = ProgrammedResolver({"evil.example": [["10.0.0.1"]]})
    async with open_outbound(loopback=False, resolver=resolver) as outbound:
        for _ in range(FAILURES + 1):
            assert (await failure_of(outbound, "https://evil.example")).outcome == "refused"


async def test_names_that_do_not_resolve_and_hosts_that_do_not_listen_are_failures() -> None:
    resolver = ProgrammedResolver({"dead.example": [["1.1.1.1"]]})
    async with open_outbound(
        loopback=False, resolver=resolver, dialer=RecordingDialer()
    ) as outbound:
        for url in ("https://unknown.example", "https://dead.example"):
            # The host's breaker: each request is for another URL.
            urls = [f"{url}/{number}" for number in range(FAILURES + 1)]
            outcomes = [(await failure_of(outbound, url)).outcome for url in urls]
            assert outcomes == ["failed"] * FAILURES + ["breaker_open"]


async def test_each_host_and_port_has_a_breaker_of_its_own() -> None:
    async with (
        open_web_server() as bad,
        open_web_server() as good,
        open_outbound(ca_file=good.ca_file) as outbound,
    ):
        for _ in range(FAILURES):
            await failure_of(outbound, bad.url)  # not trusted: its authority is another
        assert (await failure_of(outbound, f"{bad.url}/a")).outcome == "breaker_open"
        good.respond("/", body=b"here")
        assert await outbound.get(good.url, lane="essential") == b"here"


_TARGET = parse_target("https://host.example/", http=False)


@pytest.mark.parametrize("kind", ["host", "url"])
def test_breakers_are_bounded_in_number(kind: str) -> None:
    breakers = Breakers()

    def guard(number: int) -> AbstractContextManager[None]:
        target = parse_target(f"https://h{number}.example/", http=False)
        return breakers.guard_host(target) if kind == "host" else breakers.guard_url("GET", target)

    failure = Unreachable if kind == "host" else HostFailed
    for number in range(MAX_BREAKERS + 1):
        for _ in range(FAILURES):
            with pytest.raises(HostFailed), guard(number):
                raise failure("away")
    for number in (1, MAX_BREAKERS):
        with pytest.raises(BreakerOpen), guard(number):
            pass
    with guard(0):
        pass


async def test_a_caller_that_goes_away_says_nothing_of_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = _Time(monkeypatch)
    breakers = Breakers()
    for _ in range(FAILURES):
        with pytest.raises(Unreachable), breakers.guard_host(_TARGET):
            raise Unreachable("away")
    now.move(RECOVERY_SECONDS + 1)
    with pytest.raises(asyncio.CancelledError), breakers.guard_host(_TARGET):
        raise asyncio.CancelledError
    with pytest.raises(Unreachable), breakers.guard_host(_TARGET):
        raise Unreachable("still away")
    with pytest.raises(BreakerOpen), breakers.guard_host(_TARGET):
        pass


def test_what_is_too_busy_here_counts_on_no_breaker() -> None:
    breakers = Breakers()
    for _ in range(FAILURES + 1):
        with (
            pytest.raises(Busy),
            breakers.guard_url("GET", _TARGET),
            breakers.guard_host(_TARGET),
        ):
            raise Busy("too much")
