"""How much may be under way, in each lane for itself."""

import asyncio
import contextlib
import socket
import threading

import pytest

from authsvc.outbound import Lane, OutboundError
from authsvc.outbound.breakers import FAILURES
from authsvc.outbound.errors import Busy
from authsvc.outbound.lanes import LANES
from authsvc.outbound.lookups import (
    MAX_LOOKUPS,
    MAX_LOOKUPS_PER_DOMAIN,
    Lookups,
    SystemResolver,
    parse_domain,
)
from authsvc.outbound.slots import MAX_REQUESTS, MAX_REQUESTS_PER_HOST, Slots
from tests.outbound.open_client import SlowResolver, failure_of, open_outbound
from tests.web_servers import Answer, ReceivedRequest, open_web_server


async def test_a_host_gets_ten_requests_at_once() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        full, end = asyncio.Event(), asyncio.Event()
        under_way: list[int] = []

        async def hold(_request: ReceivedRequest) -> Answer:
            under_way.append(len(under_way))
            if len(under_way) == MAX_REQUESTS_PER_HOST:
                full.set()
            await end.wait()
            return Answer(body=b"late")

        server.handle("/", hold)
        held = [
            asyncio.create_task(outbound.get(f"{server.url}/?{number}"))
            for number in range(MAX_REQUESTS_PER_HOST + 5)
        ]
        await full.wait()
        # Another connection of theirs would have come through before this whole exchange.
        async with open_web_server() as other, open_outbound(ca_file=other.ca_file) as free:
            other.respond("/", body=b"free")
            assert await free.get(other.url) == b"free"
        assert len(under_way) == MAX_REQUESTS_PER_HOST
        end.set()
        assert await asyncio.gather(*held) == [b"late"] * (MAX_REQUESTS_PER_HOST + 5)


async def test_who_waits_too_long_for_a_slot_fails_and_other_hosts_have_theirs() -> None:
    slots = Slots(MAX_REQUESTS, MAX_REQUESTS_PER_HOST, of="requests")
    now = asyncio.get_running_loop().time()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_REQUESTS_PER_HOST):
            await stack.enter_async_context(slots.take("busy.example", now + 60))
        with pytest.raises(OutboundError) as caught:
            await stack.enter_async_context(slots.take("busy.example", now + 0.01))
        assert caught.value.temporary
        await stack.enter_async_context(slots.take("free.example", now + 60))
        for number in range(MAX_REQUESTS - MAX_REQUESTS_PER_HOST - 1):
            await stack.enter_async_context(slots.take(f"h{number}.example", now + 60))
        with pytest.raises(OutboundError):
            await stack.enter_async_context(slots.take("last.example", now + 0.01))
    assert not slots._of_names
    async with slots.take("busy.example", now + 60):
        pass


async def test_the_ports_of_a_host_share_its_requests_and_the_lanes_do_not() -> None:
    async with (
        open_web_server(tls=False) as first,
        open_web_server(tls=False) as second,
        open_outbound(seconds=1) as outbound,
    ):
        full = asyncio.Event()

        async def hold(_request: ReceivedRequest) -> Answer:
            if len(first.requests) == MAX_REQUESTS_PER_HOST:
                full.set()
            await asyncio.Event().wait()
            return Answer()

        first.handle("/", hold)
        second.respond("/", body=b"free")
        held = [
            asyncio.create_task(failure_of(outbound, f"{first.url}/?{number}", lane="content"))
            for number in range(MAX_REQUESTS_PER_HOST)
        ]
        await full.wait()
        waiting = asyncio.create_task(failure_of(outbound, second.url, lane="content"))
        assert await outbound.get(second.url, lane="essential") == b"free"
        assert (await waiting).reason == "too many requests are under way"
        await asyncio.gather(*held)


async def test_a_look_up_that_nobody_waits_for_holds_its_place_until_it_is_done() -> None:
    resolver = SlowResolver({f"slow.d{number}.example": [["1.1.1.1"]] for number in range(99)})
    lookups = Lookups(resolver)
    now = asyncio.get_running_loop().time()

    async def find(host: str, seconds: float) -> None:
        await lookups.find(host, 443, start_by=now + seconds, until=now + 60)

    # One for each domain: about what one owner has.
    callers = [
        asyncio.create_task(find(f"slow.d{number}.com", 60)) for number in range(MAX_LOOKUPS)
    ]
    await resolver.until_waiting(MAX_LOOKUPS)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    with pytest.raises(Busy) as caught:
        await find("slow.other.com", 0.01)
    assert (caught.value.reason, caught.value.temporary) == (
        "too many look-ups are under way",
        True,
    )
    # An address needs none.
    assert await lookups.find("1.1.1.1", 443, start_by=now, until=now) == ["1.1.1.1"]
    assert await lookups.find("::1", 443, start_by=now, until=now) == ["::1"]
    resolver.go_on.set()
    await resolver.until_waiting(0)
    with pytest.raises(OSError, match="no such host"):
        await find("slow.other.com", 60)
    await lookups.aclose()


async def test_the_names_of_one_domain_get_few_look_ups_at_once() -> None:
    resolver = SlowResolver({"slow.good.com": [["1.1.1.1"]]})
    async with open_outbound(loopback=False, resolver=resolver, seconds=1) as outbound:
        held = [
            asyncio.create_task(failure_of(outbound, f"https://slow{number}.evil.com"))
            for number in range(3 * MAX_LOOKUPS_PER_DOMAIN)
        ]
        await resolver.until_waiting(MAX_LOOKUPS_PER_DOMAIN)
        good = asyncio.create_task(failure_of(outbound, "https://slow.good.com"))
        await resolver.until_waiting(MAX_LOOKUPS_PER_DOMAIN + 1)
        reasons = [(await one).reason for one in held]
        assert reasons.count("too many look-ups are under way") == 2 * MAX_LOOKUPS_PER_DOMAIN
        assert reasons.count("the name took too long to resolve") == MAX_LOOKUPS_PER_DOMAIN
        assert resolver.most_waiting == MAX_LOOKUPS_PER_DOMAIN + 1
        await good


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("localhost", "localhost"),
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("a.b.example.com.", "example.com"),
        ("a.shop.co.uk", "shop.co.uk"),
        ("shop.co.uk", "shop.co.uk"),
        ("a.shop.de", "shop.de"),
    ],
)
def test_a_domain_is_about_what_one_owner_registers(host: str, domain: str) -> None:
    assert parse_domain(host) == domain


async def test_no_lane_waits_for_threads_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    started, end = threading.Semaphore(0), threading.Event()

    def look_up(_host: bytes, port: int, **_kinds: object) -> list[object]:
        started.release()
        end.wait(20)
        return [(0, 0, 0, "", ("1.1.1.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver()
    all_lanes = len(LANES) * MAX_LOOKUPS
    lookups = [asyncio.create_task(resolver.resolve("a.example", 443)) for _ in range(all_lanes)]
    try:
        await asyncio.sleep(0)  # so that each has asked for its thread
        for _ in lookups:
            assert started.acquire(timeout=10)
    finally:
        end.set()
        assert await asyncio.gather(*lookups) == [["1.1.1.1"]] * all_lanes
        resolver.close()


async def test_a_name_that_resolves_slowly_counts_and_one_that_had_to_wait_does_not() -> None:
    resolver = SlowResolver({})
    async with open_outbound(loopback=False, resolver=resolver, seconds=0.1) as outbound:
        for number in range(MAX_LOOKUPS_PER_DOMAIN):
            await failure_of(outbound, f"https://slow{number}.evil.com")
        for number in range(2 * FAILURES):
            error = await failure_of(outbound, f"https://slow.evil.com/{number}")
            assert error.reason == "too many look-ups are under way"
        resolver.go_on.set()
        await resolver.until_waiting(0)
        resolver.go_on.clear()
        outcomes = [
            (await failure_of(outbound, "https://slow.evil.com/")).outcome
            for _ in range(MAX_LOOKUPS_PER_DOMAIN)
        ]
        assert outcomes == ["failed"] * MAX_LOOKUPS_PER_DOMAIN
        resolver.go_on.set()
        await resolver.until_waiting(0)
        assert (await failure_of(outbound, "https://slow.evil.com/")).outcome == "failed"
        assert (await failure_of(outbound, "https://slow.evil.com/")).outcome == "breaker_open"


@pytest.mark.parametrize("lane", LANES)
async def test_each_lane_fetches(lane: Lane) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"Cache-Control": "max-age=60"}, body=b"x")
        for _ in range(2):
            assert await outbound.get(server.url, lane=lane) == b"x"
        assert len(server.requests) == 1
