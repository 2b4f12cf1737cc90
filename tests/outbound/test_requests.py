"""What the guarded client sends, and what it makes of the answers."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authsvc.clock import Clock
from authsvc.outbound import Outbound, OutboundError
from authsvc.outbound.errors import HostFailed
from tests.outbound.open_client import (
    ProgrammedResolver,
    RecordingDialer,
    failure_of,
    open_outbound,
)
from tests.web_certificates import CertificateAuthority
from tests.web_servers import Answer, ReceivedRequest, open_web_server


async def test_a_request_says_what_it_must_and_nothing_else() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/a", body=b"{}")

        assert await outbound.get(f"{server.url}/a?b=%20c#d", accept="application/jwt") == b"{}"

        (request,) = server.requests
        assert (request.method, request.target) == ("GET", "/a?b=%20c")
        assert request.headers == {
            "host": f"localhost:{server.port}",
            "user-agent": "authsvc",
            "accept": "application/jwt",
            "accept-encoding": "identity",
            "connection": "close",
        }


async def test_environment_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", body=b"here")
        assert await outbound.get(server.url) == b"here"


async def test_cookies_are_not_sent_back() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"Set-Cookie": "a=b; Path=/"}, body=b"x")
        await outbound.get(server.url)
        await outbound.get(server.url)
        assert ["cookie" in request.headers for request in server.requests] == [False, False]


async def test_a_form_is_posted_and_its_status_returned() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        for status in (200, 204, 302, 400, 501, 503):
            headers = {"Location": "/elsewhere"} if status == 302 else {}
            server.respond(f"/{status}", status, headers, b"" if status == 204 else b"answer")
            fields = {"logout_token": "a.b&c=é"}
            assert await outbound.post_form(f"{server.url}/{status}", fields) == status
            assert server.requests[-1].form == fields
            assert server.requests[-1].method == "POST"
        assert "/elsewhere" not in [request.path for request in server.requests]


async def test_a_long_answer_to_a_form_is_not_read_on_and_its_status_counts() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        stopped = asyncio.Event()

        async def endless(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            except OSError:
                stopped.set()
                raise

        server.speak("/", endless)
        assert await outbound.post_form(server.url, {"a": "b"}) == 200
        async with asyncio.timeout(5):
            await stopped.wait()


async def _drip(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)  # the drip itself


async def _break_off(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\nx")
    await writer.drain()
    writer.close()


async def _garble(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n")
    await writer.drain()


@pytest.mark.parametrize("speak", [_drip, _break_off, _garble])
async def test_the_status_of_a_form_counts_whatever_becomes_of_the_body(
    speak: Callable[[ReceivedRequest, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=1) as outbound,
    ):
        server.speak("/", speak)
        async with asyncio.timeout(5):
            assert await outbound.post_form(server.url, {"a": "b"}) == 200
        # Of a GET the body is what was asked for.
        assert (await failure_of(outbound, server.url)).temporary


async def test_a_form_that_is_not_answered_with_a_status_in_time_has_failed() -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=0.5) as outbound,
    ):

        async def hesitate(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            await writer.drain()
            await asyncio.Event().wait()

        server.speak("/", hesitate)
        async with asyncio.timeout(5):
            with pytest.raises(HostFailed):
                await outbound.post_form(server.url, {"a": "b"})


async def test_redirects_are_followed_three_times() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/1", 301, {"Location": f"{server.url}/2"})
        server.respond("/2", 307, {"Location": "deeper/3"})
        server.respond("/deeper/3", 303, {"Location": "//" + server.url.partition("//")[2] + "/4"})
        server.respond("/4", body=b"there")
        assert await outbound.get(f"{server.url}/1") == b"there"
        server.respond("/0", 302, {"Location": "/1"})
        error = await failure_of(outbound, f"{server.url}/0")
        assert (error.outcome, error.temporary) == ("refused", False)


@pytest.mark.parametrize(
    ("status", "temporary"),
    [(204, False), (304, False), (404, False), (429, True), (500, True), (503, True)],
)
async def test_only_a_200_is_an_answer(status: int, temporary: bool) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", status)
        error = await failure_of(outbound, server.url)
        assert (error.reason, error.temporary) == (f"the host answered {status}", temporary)


async def test_an_answer_may_be_as_long_as_allowed() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", body=b"x" * 100)
        assert len(await outbound.get(server.url, max_bytes=100)) == 100
        await failure_of(outbound, server.url, max_bytes=99)


async def test_the_next_address_is_tried_when_one_is_dead() -> None:
    async with open_web_server(hosts=["good.example"]) as server:
        dialer = RecordingDialer(server.port, dead=["1.1.1.1"])
        resolver = ProgrammedResolver({"good.example": [["1.1.1.1", "2606:4700::1111"]]})
        server.respond("/", body=b"found")
        async with open_outbound(
            loopback=False, ca_file=server.ca_file, resolver=resolver, dialer=dialer
        ) as outbound:
            assert await outbound.get("https://good.example") == b"found"
        assert dialer.dialed == [("1.1.1.1", 443), ("2606:4700::1111", 443)]
        assert server.requests[0].headers["host"] == "good.example"


async def test_a_certificate_must_be_for_the_host(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with (
        open_web_server(hosts=["other.example"], authority=authority) as server,
        open_outbound(ca_file=authority.ca_file) as outbound,
    ):
        error = await failure_of(outbound, server.url)
        assert "certificate" in error.reason.lower()
        assert server.requests == []


async def test_a_certificate_must_still_be_valid(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    expired = authority.server_context(["localhost"], ends_at=datetime.now(UTC) - timedelta(1))
    async with (
        open_web_server(authority=authority, server_tls=expired) as server,
        open_outbound(ca_file=authority.ca_file) as outbound,
    ):
        assert "expired" in (await failure_of(outbound, server.url)).reason


async def test_a_certificate_must_be_of_a_trusted_authority() -> None:
    async with open_web_server() as server, open_outbound() as outbound:
        assert "certificate" in (await failure_of(outbound, server.url)).reason.lower()
        assert server.requests == []


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    old = authority.server_context(["localhost"])
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with (
        open_web_server(authority=authority, server_tls=old) as server,
        open_outbound(ca_file=authority.ca_file) as outbound,
    ):
        assert "no connection" in (await failure_of(outbound, server.url)).reason


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"authorities\.pem"):
        Outbound(loopback=False, ca_file=path, timeout=timedelta(seconds=1), clock=Clock())


async def test_callers_of_one_url_share_one_request() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def hold(_request: ReceivedRequest) -> Answer:
            asked.set()
            await answer.wait()
            return Answer(body=b"shared")

        server.handle("/", hold)
        first, *others = [asyncio.create_task(outbound.get(server.url)) for _ in range(8)]
        await asked.wait()
        first.cancel()
        answer.set()
        assert await asyncio.gather(*others) == [b"shared"] * 7
        assert len(server.requests) == 1
        assert first.cancelled()


async def test_a_closed_client_sends_nothing_and_lets_nobody_wait() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        asked = asyncio.Event()

        async def hold(_request: ReceivedRequest) -> Answer:
            asked.set()
            await asyncio.Event().wait()
            return Answer()

        server.handle("/", hold)
        waiting = asyncio.create_task(failure_of(outbound, server.url))
        await asked.wait()
        await outbound.aclose()
        assert (await waiting).temporary
        with pytest.raises(OutboundError):
            await outbound.post_form(server.url, {})
        await failure_of(outbound, f"{server.url}/again")
        assert len(server.requests) == 1
