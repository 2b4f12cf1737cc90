"""What is held against a host, and what against the one URL that was named."""

import asyncio

import pytest

from authsvc.outbound.breakers import FAILURES
from authsvc.outbound.errors import BreakerOpen
from tests.outbound.open_client import (
    HeldDialer,
    ProgrammedResolver,
    RecordingDialer,
    failure_of,
    open_outbound,
)
from tests.web_servers import Answer, ReceivedRequest, open_web_server


async def test_failures_after_the_connection_are_held_against_the_url_alone() -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=0.3) as outbound,
    ):

        async def hang(_request: ReceivedRequest) -> Answer:
            await asyncio.Event().wait()
            return Answer()

        async def hang_up(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

        server.respond("/error", 503)
        server.handle("/hang", hang)
        server.speak("/half", hang_up)
        server.respond("/", body=b"here")
        for path in ("/error", "/hang", "/half"):
            url = f"{server.url}{path}"
            outcomes = [(await failure_of(outbound, url)).outcome for _ in range(FAILURES + 1)]
            assert outcomes == ["failed"] * FAILURES + ["breaker_open"], path
        assert await outbound.get(server.url, lane="essential") == b"here"
        # A query is part of the URL.
        assert (await failure_of(outbound, f"{server.url}/error?")).outcome == "failed"


async def test_an_answer_closes_the_breaker_of_the_host_also_an_error() -> None:
    async with open_web_server(hosts=["a.example"]) as server:
        dialer = RecordingDialer(server.port)
        resolver = ProgrammedResolver({"a.example": [["1.1.1.1"]]})
        async with open_outbound(
            loopback=False, ca_file=server.ca_file, resolver=resolver, dialer=dialer
        ) as outbound:
            server.respond("/error", 500)
            for number in range(2 * FAILURES):
                dialer.dead = frozenset({"1.1.1.1"}) if number % FAILURES else frozenset()
                error = await failure_of(outbound, f"https://a.example/error?{number}")
                assert error.outcome == "failed"


async def test_a_host_that_swallows_packets_is_told_from_one_that_is_slow() -> None:
    dialer = HeldDialer()
    dialer.hold()
    resolver = ProgrammedResolver({"dead.example": [["1.1.1.1", "1.0.0.1"]]})
    async with open_outbound(
        loopback=False, resolver=resolver, dialer=dialer, seconds=0.2
    ) as outbound:
        for number in range(FAILURES):
            error = await failure_of(outbound, f"https://dead.example/{number}")
            assert error.reason == "no connection: it took too long"
        assert (await failure_of(outbound, "https://dead.example")).outcome == "breaker_open"


async def test_where_a_redirect_leads_is_left_alone_while_its_breaker_is_open() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/bad", 500)
        server.respond("/", 302, {"Location": "/bad"})
        for _ in range(FAILURES):
            await failure_of(outbound, f"{server.url}/bad")
        for _ in range(FAILURES + 1):
            assert (await failure_of(outbound, server.url)).outcome == "breaker_open"
        assert [request.path for request in server.requests].count("/bad") == FAILURES


async def test_a_url_that_redirects_to_what_fails_is_left_alone_itself() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/bad", 500)
        server.respond("/", 302, {"Location": "/bad"})
        outcomes = [(await failure_of(outbound, server.url)).outcome for _ in range(FAILURES + 1)]
        assert outcomes == ["failed"] * FAILURES + ["breaker_open"]
        assert (await failure_of(outbound, f"{server.url}/bad")).outcome == "failed"


async def test_a_get_and_a_post_have_breakers_of_their_own() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 500)
        for _ in range(FAILURES):
            await failure_of(outbound, server.url)
        assert [await outbound.post_form(server.url, {}) for _ in range(FAILURES)] == [500] * 5
        with pytest.raises(BreakerOpen):
            await outbound.post_form(server.url, {})
