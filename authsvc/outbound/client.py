"""The one client through which every request of the service goes out."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode

import httpcore

from authsvc.clock import Clock
from authsvc.logs import get_logger
from authsvc.metrics import OUTBOUND_REQUESTS
from authsvc.outbound.addresses import Network
from authsvc.outbound.breakers import Level
from authsvc.outbound.errors import Busy, OutboundError, Refused
from authsvc.outbound.exchange import Exchange
from authsvc.outbound.lanes import LANES, Lane
from authsvc.outbound.lookups import Resolver, SystemResolver
from authsvc.outbound.recent import Failures
from authsvc.outbound.targets import parse_target
from authsvc.outbound.tls import make_tls_context
from authsvc.outbound.traffic import Traffic, Wanted
from authsvc.tracing import span

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}

_log = get_logger(__name__)


class Outbound:
    """Fetches and posts to URLs that strangers name: https, to public hosts, in bounds.

    There are no proxies, cookies or credentials, and no environment variable is read.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        ca_file: Path | None,
        timeout: timedelta,
        clock: Clock,
        event_networks: Sequence[Network] = (),
        resolver: Resolver | None = None,
        dialer: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Connect to nothing yet.

        ``loopback`` allows this machine, also over http, besides public hosts; ``ca_file``
        holds certificates to trust besides the system's; ``timeout`` is for a whole call,
        redirects and waiting included; ``event_networks`` are where the lane ``events`` may
        go besides. Raises ValueError when ``ca_file`` cannot be read.
        """
        tls = make_tls_context(ca_file)
        self._clock = clock
        self._resolver = resolver or SystemResolver()
        dialer = dialer or httpcore.AnyIOBackend()
        self._traffic: dict[Lane, Traffic] = {
            lane: Traffic(
                Exchange(
                    tls,
                    self._resolver,
                    dialer,
                    loopback=loopback,
                    networks=event_networks if lane == "events" else (),
                ),
                http=loopback,
                timeout=timeout,
                clock=clock,
            )
            for lane in LANES
        }
        self._failures = Failures()
        self._flights: dict[tuple[Lane, Wanted], asyncio.Task[bytes]] = {}
        self._is_closed = False

    async def get(
        self,
        url: str,
        *,
        accept: str = "application/json",
        max_bytes: int = 65_536,
        renew: bool = False,
        heuristic: timedelta = timedelta(),
        lane: Lane = "content",
    ) -> bytes:
        """Return the body of a 200, at most ``max_bytes`` long, perhaps from the cache.

        ``heuristic`` is the life of an answer that says nothing of it (RFC 9111 §4.2.2).
        ``renew`` asks the host again although the stored answer is fresh, five times a
        minute at most: then the stored answer stands, or it fails where there is none.
        Callers that ask for the same at once share one request. At most three redirects
        are followed. A URL with another fragment is another one to the cache (OIDC Core
        §6.2). In the lane ``content``, a failure stands for 30 seconds. Raises
        OutboundError for everything.
        """
        wanted = Wanted(url, accept, max_bytes, renew, heuristic)
        kept = self._find_kept(lane, wanted)
        if kept is not None:
            return kept
        flight = self._flights.get((lane, wanted))
        if flight is None:
            self._check_open()
            # A task of its own: a caller that goes away does not take the others' answer along.
            flight = asyncio.create_task(self._fly(lane, wanted))
            self._flights[lane, wanted] = flight
            flight.add_done_callback(lambda done: self._land(lane, wanted, done))
        await asyncio.wait({flight})
        if flight.cancelled():
            self._check_open()
        return flight.result()

    async def post_form(
        self, url: str, fields: Mapping[str, str], *, max_bytes: int = 4_096
    ) -> int:
        """Post ``fields`` as a form and return the status, whichever it is.

        It goes in the lane ``essential``. The answer's body is thrown away, and after
        ``max_bytes`` not read on. No redirect is followed. Raises OutboundError when there
        is no answer.
        """
        self._check_open()
        body = urlencode(fields).encode()
        with _observed("POST", url):
            status = await self._traffic["essential"].post(url, _FORM, body, max_bytes=max_bytes)
        if status < 400:  # RFC 9111 §4.4
            for traffic in self._traffic.values():
                traffic.forget(url)
        return status

    async def post_event(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post ``body``, which is JSON, in the lane ``events``; else as ``post_form``.

        An event that is answered with 5xx is held against no other.
        """
        self._check_open()
        sent = {"Content-Type": "application/json", **headers}
        with _observed("POST", url):
            return await self._traffic["events"].post(
                url, sent, body, max_bytes=4_096, blames_errors=False
            )

    def check_event_url(self, url: str) -> str:
        """Return the host and port of ``url``; raises Refused when no event may go there.

        Of a name nothing is known before it is looked up.
        """
        return self._traffic["events"].check(url).origin

    async def aclose(self) -> None:
        """Give up what is under way, and take no more."""
        self._is_closed = True
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for traffic in self._traffic.values():
            await traffic.aclose()
        self._resolver.close()

    def count_open_breakers(self) -> dict[Level, int]:
        """Return how many hosts and URLs are left alone now, by level."""
        counts: dict[Level, int] = {"host": 0, "url": 0}
        for traffic in self._traffic.values():
            for level, number in traffic.count_open_breakers().items():
                counts[level] += number
        return counts

    def _check_open(self) -> None:
        if self._is_closed:
            raise OutboundError("the service is shutting down", temporary=True)

    def _find_kept(self, lane: Lane, wanted: Wanted) -> bytes | None:
        """Return what needs no request; raises OutboundError for a failure that stands."""
        kept = self._traffic[lane].find_kept(wanted)
        failure = None
        if kept is None and lane == "content":
            failure = self._failures.find(wanted, self._clock.now())
        if kept is not None or failure is not None:
            OUTBOUND_REQUESTS.labels("GET", "cached").inc()
        if failure is not None:
            raise failure
        return kept

    async def _fly(self, lane: Lane, wanted: Wanted) -> bytes:
        try:
            with _observed("GET", wanted.url):
                return await self._traffic[lane].get(wanted)
        except Busy:
            raise
        except OutboundError as error:
            if lane == "content":
                self._failures.note(wanted, error, self._clock.now())
            raise

    def _land(self, lane: Lane, wanted: Wanted, flight: asyncio.Task[bytes]) -> None:
        del self._flights[lane, wanted]
        if not flight.cancelled():
            flight.exception()  # so that it counts as seen, if every caller went away


@contextmanager
def _observed(method: Literal["GET", "POST"], url: str) -> Iterator[None]:
    """Count a request by its outcome, and log why it failed."""
    try:
        with span(f"outbound {method}"):
            yield
    except OutboundError as error:
        OUTBOUND_REQUESTS.labels(method, error.outcome).inc()
        _log.warning("outbound_failed", host=error.host or _host_of(url), reason=error.reason)
        raise
    OUTBOUND_REQUESTS.labels(method, "ok").inc()


def _host_of(url: str) -> str | None:
    try:
        return parse_target(url, http=True).origin
    except Refused:
        return None
