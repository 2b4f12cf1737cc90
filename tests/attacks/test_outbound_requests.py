"""A stranger names a URL, so that the service reaches where the stranger cannot (SSRF)."""

import asyncio
import gzip
from itertools import count

import pytest

from authsvc.outbound.errors import Refused
from authsvc.outbound.targets import parse_target
from tests.outbound.open_client import (
    ProgrammedResolver,
    RecordingDialer,
    failure_of,
    open_outbound,
)
from tests.web_servers import ReceivedRequest, WebServer, open_web_server

_PUBLIC = "93.184.215.14"
_PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", _PRIVATE)
async def test_a_private_address_as_the_host_is_never_connected_to(address: str) -> None:
    dialer = RecordingDialer()
    async with open_outbound(loopback=False, dialer=dialer) as outbound:
        error = await failure_of(outbound, f"https://{_literal(address)}:8443/latest/meta-data")
        assert (error.outcome, error.temporary) == ("refused", False)
    assert dialer.dialed == []


@pytest.mark.parametrize("address", [*_PRIVATE, "fe80::1%eth0"])
async def test_a_name_of_a_private_address_is_never_connected_to(address: str) -> None:
    dialer = RecordingDialer()
    for answer in ([address], [_PUBLIC, address], [address, _PUBLIC], [_PUBLIC] * 9 + [address]):
        resolver = ProgrammedResolver({"evil.example": [answer]})
        async with open_outbound(loopback=False, resolver=resolver, dialer=dialer) as outbound:
            error = await failure_of(outbound, "https://evil.example")
            # The name may have another address tomorrow, unlike a URL that holds one.
            assert (error.outcome, error.temporary) == ("refused", True)
    assert dialer.dialed == []


@pytest.mark.parametrize(
    "address", ["8.8.8.8", _PUBLIC, "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8"]
)
async def test_a_public_address_is_connected_to_exactly(address: str) -> None:
    dialer = RecordingDialer()
    resolver = ProgrammedResolver({"good.example": [[address]]})
    async with open_outbound(loopback=False, resolver=resolver, dialer=dialer) as outbound:
        assert (await failure_of(outbound, "https://good.example:8443")).outcome == "failed"
    assert [port for _, port in dialer.dialed] == [8443]


async def test_a_name_that_changes_between_the_check_and_the_connection_gains_nothing() -> None:
    async with open_web_server(hosts=["evil.example"]) as server:
        dialer = RecordingDialer(server.port)
        resolver = ProgrammedResolver({"evil.example": [[_PUBLIC], ["127.0.0.1"]]})
        server.respond("/", body=b"public")
        async with open_outbound(
            loopback=False, ca_file=server.ca_file, resolver=resolver, dialer=dialer
        ) as outbound:
            assert await outbound.get("https://evil.example") == b"public"
            assert (resolver.asked, dialer.dialed) == (["evil.example"], [(_PUBLIC, 443)])
            # The next request looks the name up and judges it again.
            assert (await failure_of(outbound, "https://evil.example")).outcome == "refused"
        assert dialer.dialed == [(_PUBLIC, 443)]


async def test_loopback_for_tests_opens_nothing_else() -> None:
    hosts = {
        "mixed.example": [["127.0.0.1", _PUBLIC]],
        "inner.example": [["127.0.0.1", "10.0.0.1"]],
        "private.example": [["192.168.0.1"]],
        "public.example": [[_PUBLIC]],
    }
    dialer = RecordingDialer()
    async with open_outbound(resolver=ProgrammedResolver(hosts), dialer=dialer) as outbound:
        for url in (
            *(f"{scheme}://{host}" for host in list(hosts)[:3] for scheme in ("http", "https")),
            "http://public.example",
            "http://169.254.169.254",
            "https://[::ffff:127.0.0.1]",
        ):
            assert (await failure_of(outbound, url)).outcome == "refused", url
    assert dialer.dialed == []


async def test_http_is_for_loopback_alone_and_only_when_allowed() -> None:
    async with open_web_server(tls=False) as server:
        server.respond("/", body=b"plain")
        for host in ("localhost", "127.0.0.1"):
            async with open_outbound() as outbound:
                assert await outbound.get(f"http://{host}:{server.port}") == b"plain"
            async with open_outbound(loopback=False) as outbound:
                error = await failure_of(outbound, f"http://{host}:{server.port}")
                assert error.reason == "the scheme of the URL is not allowed"


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example@evil.example/",
        "https://good.example:443@evil.example/",
        "https://:@evil.example/",
        "https://good.example\\@evil.example/",
        "https://good.example\\.evil.example/",
        "https:\\\\evil.example/",
        "https://evil.example\t/",
        "https://evil.example\n/",
        " https://evil.example/",
        "https://evil.example /",
        "https://evil.example/a b",
        "https://evil.example/\r\nX-Injected: 1",
        "https://evil.example/%00",
        "https://evil.example/%0d%0a",
        "https://évil.example/",
        "https://evil。example/",
        "https://①②⑦.⓪.⓪.①/",
        "https://ev%69l.example/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://127.0.0.1.0x1/",
        "https://[127.0.0.1]/",
        "https://[::1/",
        "https://::1/",
        "https://[::1%25lo]/",
        "https://[fe80::1%eth0]/",
        "https://[::1]evil.example/",
        "https://[v1.x]/",
        "https://evil.example:/",
        "https://evil.example:0/",
        "https://evil.example:65536/",
        "https://evil.example:80:443/",
        "https://evil..example/",
        "https://.evil.example/",
        "https:///evil.example/",
        "https:evil.example",
        "//evil.example/",
        "evil.example",
        "",
        "https://",
        "https://evil.example/" + "a" * 2_048,
        "file:///etc/passwd",
        "gopher://evil.example/_x",
        "ftp://evil.example/",
        "data:application/json,{}",
        "unix:///run/service.sock",
        "ws://evil.example/",
        "http+unix://x/",
    ],
)
async def test_a_url_that_two_readers_may_read_as_two_is_refused(url: str) -> None:
    dialer = RecordingDialer()
    resolver = ProgrammedResolver({})
    async with open_outbound(resolver=resolver, dialer=dialer) as outbound:
        assert (await failure_of(outbound, url)).outcome == "refused"
    assert (resolver.asked, dialer.dialed) == ([], [])


def test_a_host_with_a_port_is_read_as_it_is_written() -> None:
    target = parse_target("HTTPS://[2606:4700::1111]:8443?x=//a@b:1/", http=False)
    assert (target.host, target.port, target.path) == ("2606:4700::1111", 8443, "/?x=//a@b:1/")
    assert target.host_header == "[2606:4700::1111]:8443"
    with pytest.raises(Refused):
        parse_target("http://good.example", http=False)


@pytest.mark.parametrize(
    "location",
    [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://inner.example/",
        "//127.0.0.1/",
        "http://good.example/",
        "file:///etc/passwd",
        "gopher://good.example/_x",
        "javascript:alert(1)",
        "https://good.example@inner.example/",
        "https://good.example\\@inner.example/",
        "/\\inner.example",
        "\t//inner.example",
        "//2130706433/",
        "https://[::1",
        "https://[inner]/",
        "/a\xa0b",
        "/a\tb",
        "",
    ],
)
async def test_a_redirect_leads_nowhere_that_a_url_may_not(location: str) -> None:
    async with open_web_server(hosts=["good.example"]) as server:
        dialer = RecordingDialer(server.port)
        hosts = {
            "good.example": [[_PUBLIC]],
            "inner.example": [["10.0.0.1"]],
        }
        server.respond("/", 302, {"Location": location})
        async with open_outbound(
            loopback=False,
            ca_file=server.ca_file,
            resolver=ProgrammedResolver(hosts),
            dialer=dialer,
        ) as outbound:
            error = await failure_of(outbound, "https://good.example/")
        assert error.outcome == "refused"
        assert [address for address, _ in dialer.dialed] == [_PUBLIC]


async def test_a_redirect_that_says_not_where_is_not_followed() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 302)
        error = await failure_of(outbound, server.url)
        assert (error.outcome, error.temporary) == ("refused", False)
        assert len(server.requests) == 1


async def test_two_locations_are_none() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 302, [("Location", "/a"), ("Location", "/b")])
        assert (await failure_of(outbound, server.url)).outcome == "refused"
        assert len(server.requests) == 1


async def test_https_does_not_fall_back_to_http() -> None:
    async with (
        open_web_server() as server,
        open_outbound(
            ca_file=server.ca_file,
            resolver=ProgrammedResolver({"localhost": [["127.0.0.1"]], "a.example": [[_PUBLIC]]}),
        ) as outbound,
    ):
        server.respond("/", 302, {"Location": "http://a.example/"})
        assert (await failure_of(outbound, server.url)).outcome == "refused"


async def test_a_redirect_loop_ends() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/a", 302, {"Location": "/b"})
        server.respond("/b", 302, {"Location": "/a"})
        await failure_of(outbound, f"{server.url}/a")
        assert len(server.requests) == 4


async def _bytes_taken(server: WebServer, head: bytes, piece: bytes) -> int:
    """Answer with ``head`` and ``piece`` without end; return how many bytes were taken."""
    written = 0
    done = asyncio.Event()

    async def endless(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(head)
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                written += len(piece)
        finally:
            done.set()

    server.speak("/", endless)
    async with open_outbound(ca_file=server.ca_file, seconds=10) as outbound:
        await failure_of(outbound, server.url, max_bytes=65_536)
    async with asyncio.timeout(5):
        await done.wait()
    return written


_ENDLESS = {
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"x" * 65_536 + b"\r\n",
    ),
    "chunk extension": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"x" * 65_536,
    ),
    "error": (b"HTTP/1.1 404 Not Found\r\n\r\n", b"x" * 65_536),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Flood: %s\r\n" % (b"x" * 4_096)),
    "one header": (b"HTTP/1.1 200 OK\r\nX-Flood: ", b"x" * 65_536),
    "status line": (b"HTTP/1.1 200 ", b"x" * 65_536),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-Flood: %s\r\n" % (b"x" * 4_096),
    ),
}


@pytest.mark.parametrize("kind", list(_ENDLESS))
async def test_an_answer_without_end_is_cut_off(kind: str) -> None:
    async with open_web_server() as server:
        # What the sockets' buffers swallow is more than what the client reads.
        assert await _bytes_taken(server, *_ENDLESS[kind]) < 16 * 1024 * 1024


async def test_a_body_that_is_announced_as_too_large_is_not_waited_for() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:

        async def announce(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n")
            await asyncio.Event().wait()

        server.speak("/", announce)
        assert (await failure_of(outbound, server.url)).reason == "the answer is too large"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 50\r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Bad Header: 1\r\n",
        b"Folded: 1\x00\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_none(head: bytes) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:

        async def speak(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nhello")

        server.speak("/", speak)
        error = await failure_of(outbound, server.url)
        assert error.reason == "broken off: RemoteProtocolError"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "gzip, gzip", "zstd"])
async def test_a_compressed_answer_is_refused_unread(encoding: str) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"Content-Encoding": encoding}, body=bomb)
        error = await failure_of(outbound, server.url)
        assert error.reason == "the answer is encoded, which was not asked for"


_DRIPS = {
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", list(_DRIPS))
async def test_a_slow_drip_ends_with_the_time_for_the_whole_call(kind: str) -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=0.5) as outbound,
    ):

        async def drip(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(_DRIPS[kind])
            for _ in count():
                await writer.drain()
                await asyncio.sleep(0.02)  # the drip itself
                writer.write(b"x" if _DRIPS[kind] else b"")

        server.speak("/", drip)
        async with asyncio.timeout(5):
            assert (await failure_of(outbound, server.url)).reason == "the host took too long"


async def test_interim_answers_without_end_do_not_hold_the_client() -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=0.5) as outbound,
    ):

        async def interim(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
                await writer.drain()

        server.speak("/", interim)
        async with asyncio.timeout(5):
            assert (await failure_of(outbound, server.url)).reason == "the host took too long"


async def test_slow_redirects_share_the_time_of_one_call() -> None:
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, seconds=0.6) as outbound,
    ):

        async def slow(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.4)  # shorter than the time for the whole call
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /more\r\nContent-Length: 0\r\n\r\n")

        server.speak("/", slow)
        server.speak("/more", slow)
        assert (await failure_of(outbound, server.url)).reason == "the host took too long"
        assert len(server.requests) == 2


async def test_a_resolver_that_hangs_ends_with_the_time_for_the_whole_call() -> None:
    class Hanging(ProgrammedResolver):
        async def resolve(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    async with (
        asyncio.timeout(5),
        open_outbound(loopback=False, seconds=0.2, resolver=Hanging({})) as outbound,
    ):
        assert (await failure_of(outbound, "https://slow.example")).temporary


async def test_a_posted_form_goes_nowhere_that_a_get_may_not() -> None:
    dialer = RecordingDialer()
    async with open_outbound(loopback=False, dialer=dialer) as outbound:
        for url in ("https://127.0.0.1/", "http://1.1.1.1/", "https://a@1.1.1.1/", "file:///x"):
            with pytest.raises(Refused):
                await outbound.post_form(url, {"logout_token": "x"})
    assert dialer.dialed == []
