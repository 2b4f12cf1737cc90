"""One request and its answer, within limits of time and size (RFC 9112)."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpcore

from authsvc.outbound.addresses import Network
from authsvc.outbound.errors import HostFailed, Unreachable
from authsvc.outbound.lookups import Lookups, Resolver
from authsvc.outbound.network import GuardedNetwork
from authsvc.outbound.slots import MAX_REQUESTS
from authsvc.outbound.targets import Target
from authsvc.tracing import trace_headers

_USER_AGENT: Final = "authsvc"
_MAX_REASON: Final = 200
# Well before the end, so that a host that swallows packets is told from one that is slow.
_CONNECT_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``headers`` have lower-case names, repeated ones joined by commas.

    ``body`` is None when it was not read to its end: it was longer than asked for, or the
    answer to a POST whose status is all that counts.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class Exchange:
    """Sends requests, each on a connection of its own, so that each is checked anew."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        resolver: Resolver,
        dialer: httpcore.AsyncNetworkBackend,
        *,
        loopback: bool,
        networks: Sequence[Network] = (),
    ) -> None:
        """Speak https with public hosts; with ``loopback`` also http and https with this one.

        ``networks`` are those whose hosts may be spoken https with as well.
        """
        self._lookups = Lookups(resolver)
        self._networks = {
            "https": GuardedNetwork(
                self._lookups, dialer, public=True, loopback=loopback, networks=networks
            )
        }
        if loopback:
            self._networks["http"] = GuardedNetwork(
                self._lookups, dialer, public=False, loopback=True
            )
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                tls, max_connections=MAX_REQUESTS, network_backend=network
            )
            for scheme, network in self._networks.items()
        }

    def check(self, target: Target) -> None:
        """Raise Refused when ``target`` names an address that requests may not go to."""
        self._networks[target.scheme].check_host(target.host)

    async def send(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        max_bytes: int,
        deadline: float,
    ) -> Answer:
        """Return the answer, of any status below 500 and with a body of ``max_bytes`` at most.

        ``deadline`` is a time of the event loop. Raises Refused, Busy, Unreachable when it
        is clear that there was no connection, and HostFailed for what else lies with the
        host: slow, no HTTP, or 5xx. To a POST the status is the answer: a body that does not
        come to its end counts as one that was too long.
        """
        request = _make_request(method, target, headers, body, deadline)
        with _told_apart():
            async with asyncio.timeout_at(deadline):
                response = await self._pools[target.scheme].handle_async_request(request)
        try:
            answer = await _receive(response, max_bytes, deadline)
        except HostFailed:
            if method != "POST":
                raise
            answer = Answer(response.status, _headers_of(response), None)
        if answer.status >= 500:
            raise HostFailed(f"the host answered {answer.status}", status=answer.status)
        return answer

    async def aclose(self) -> None:
        """Close what is open."""
        for pool in self._pools.values():
            await pool.aclose()
        await self._lookups.aclose()


@contextmanager
def _told_apart() -> Iterator[None]:
    """Turn what goes wrong on the wire into Unreachable or HostFailed."""
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise Unreachable("no connection: it took too long") from error
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise HostFailed("the host took too long") from error
    except httpcore.ConnectError as error:
        raise Unreachable(f"no connection: {error}"[:_MAX_REASON]) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        # Not the error's text, which may quote what the host sent.
        raise HostFailed(f"broken off: {type(error).__name__}") from error


def _make_request(
    method: str, target: Target, headers: Mapping[str, str], body: bytes, deadline: float
) -> httpcore.Request:
    sent = {
        "Host": target.host_header,
        "User-Agent": _USER_AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
        **trace_headers(),
        **headers,
    }
    if method == "POST":
        sent["Content-Length"] = str(len(body))
    seconds = max(deadline - asyncio.get_running_loop().time(), 0.001)
    return httpcore.Request(
        method,
        # From its parts: no second reader of the URL decides where it leads.
        httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        content=body,
        extensions={
            "timeout": {
                "connect": _CONNECT_SHARE * seconds,
                **dict.fromkeys(("read", "write", "pool"), seconds),
            }
        },
    )


def _headers_of(response: httpcore.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _receive(response: httpcore.Response, max_bytes: int, deadline: float) -> Answer:
    """Read the answer's body, and close its connection however that ends."""
    headers = _headers_of(response)
    try:
        with _told_apart():
            async with asyncio.timeout_at(deadline):
                body = await _read(response, headers, max_bytes)
    finally:
        await response.aclose()
    return Answer(response.status, headers, body)


async def _read(
    response: httpcore.Response, headers: Mapping[str, str], max_bytes: int
) -> bytes | None:
    if int(headers.get("content-length", "0")) > max_bytes:
        return None
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)
