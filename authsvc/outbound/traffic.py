"""The requests of one lane, with all that they need for themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from authsvc.clock import Clock
from authsvc.outbound.breakers import Breakers, Level
from authsvc.outbound.cache import ResponseCache, StoredResponse
from authsvc.outbound.errors import Busy, HostFailed, OutboundError, Refused, Unreachable, Unwanted
from authsvc.outbound.exchange import Answer, Exchange
from authsvc.outbound.recent import Renewals
from authsvc.outbound.slots import MAX_REQUESTS, MAX_REQUESTS_PER_HOST, Slots
from authsvc.outbound.targets import Target, parse_redirect, parse_target

MAX_REDIRECTS: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# 408 Request Timeout and 429 Too Many Requests pass; other refusals of a host stay.
_TEMPORARY: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller of `Outbound.get` asks for; ``heuristic`` makes no other request of it."""

    url: str
    accept: str
    max_bytes: int
    renew: bool
    heuristic: timedelta = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Sent:
    method: str
    headers: Mapping[str, str]
    max_bytes: int
    body: bytes = b""


class Traffic:
    """Sends the requests of one lane, and keeps the answers."""

    def __init__(self, exchange: Exchange, *, http: bool, timeout: timedelta, clock: Clock) -> None:
        """``http`` allows that scheme too; ``timeout`` is for a whole call."""
        self._exchange = exchange
        self._http = http
        self._timeout = timeout.total_seconds()
        self._clock = clock
        self._slots = Slots(MAX_REQUESTS, MAX_REQUESTS_PER_HOST, of="requests")
        self._breakers = Breakers()
        self._cache = ResponseCache()
        self._renewals = Renewals()

    def check(self, url: str) -> Target:
        """Return where ``url`` leads; raises Refused when no request may go there."""
        target = parse_target(url, http=self._http)
        self._exchange.check(target)
        return target

    def find_kept(self, wanted: Wanted) -> bytes | None:
        """Return the stored answer if it is one; raises Refused when it is too large."""
        now = self._clock.now()
        stored = self._cache.find(wanted.url, wanted.accept)
        if stored is None or not stored.is_fresh(now):
            return None
        if wanted.renew and not self._is_spent(wanted.url):
            return None
        return _bounded(stored.body, wanted.max_bytes)

    async def get(self, wanted: Wanted) -> bytes:
        """Fetch what is wanted; raises OutboundError, its ``host`` being where it ended."""
        deadline = self._deadline()
        named = target = parse_target(wanted.url, http=self._http)
        try:
            # What goes wrong behind a redirect is held against the URL that a client named:
            # whoever wrote the redirect is to blame, not the place it leads to.
            with self._breakers.guard_url("GET", named):
                for _ in range(MAX_REDIRECTS + 1):
                    found = await self._fetch(target, wanted, deadline, is_named=target is named)
                    if isinstance(found, bytes):
                        return found
                    target = found
                raise Refused("the host redirects again and again")
        except OutboundError as error:
            error.host = target.origin
            raise

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        max_bytes: int,
        blames_errors: bool = True,
    ) -> int:
        """Post ``body`` and return the status, also a 5xx; raises OutboundError without one.

        A 5xx is held against the URL, unless ``blames_errors`` is False: where each body is
        another matter, one that the receiver stumbles over says nothing of the next.
        """
        deadline = self._deadline()
        target = parse_target(url, http=self._http)
        sent = _Sent("POST", headers, max_bytes, body)
        try:
            with self._breakers.guard_url("POST", target):
                try:
                    return (await self._send(target, sent, deadline, is_named=True)).status
                except HostFailed as error:
                    if error.status is None or blames_errors:
                        raise
                    return error.status
        except HostFailed as error:
            if error.status is None:
                raise
            return error.status

    def count_open_breakers(self) -> dict[Level, int]:
        """Return how many hosts and URLs are left alone now, by level."""
        return self._breakers.count_open()

    def forget(self, url: str) -> None:
        """Drop what is stored for ``url``."""
        self._cache.drop(url)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._exchange.aclose()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    def _is_spent(self, url: str) -> bool:
        resource = parse_target(url, http=self._http).resource
        return self._renewals.is_spent(resource, self._clock.now())

    async def _fetch(
        self, target: Target, wanted: Wanted, deadline: float, *, is_named: bool
    ) -> bytes | Target:
        """Return the body at ``target``, or where it redirects to."""
        stored = self._cache.find(target.url, wanted.accept)
        requested_at = self._clock.now()
        is_spent = wanted.renew and self._renewals.is_spent(target.resource, requested_at)
        if stored is not None and stored.is_fresh(requested_at) and (is_spent or not wanted.renew):
            return _bounded(stored.body, wanted.max_bytes)
        if is_spent:
            raise Busy("the URL was asked again too often")
        if wanted.renew:
            self._renewals.note(target.resource, requested_at)
        headers = {"Accept": wanted.accept, **(stored.validators if stored else {})}
        sent = _Sent("GET", headers, wanted.max_bytes)
        answer = await self._send(target, sent, deadline, is_named=is_named)
        if answer.status in _REDIRECTS:
            location = answer.headers.get("location", "")
            return parse_redirect(location, base=target, http=self._http)
        now = self._clock.now()
        if answer.status == 304 and stored is not None and stored.is_meant_by(answer.headers):
            response = stored.confirmed(answer.headers, requested_at=requested_at, received_at=now)
        else:
            response = StoredResponse.received(
                _body_of(answer),
                answer.headers,
                accept=wanted.accept,
                heuristic=wanted.heuristic,
                requested_at=requested_at,
                received_at=now,
            )
        self._cache.store(target.url, response, now=now)
        return _bounded(response.body, wanted.max_bytes)

    async def _send(
        self, target: Target, sent: _Sent, deadline: float, *, is_named: bool
    ) -> Answer:
        if is_named:
            with self._breakers.guard_host(target):
                # Half of the time is the host's: a wait here must not look like its slowness.
                return await self._exchanged(target, sent, deadline, deadline - self._timeout / 2)
        self._breakers.check_redirect(target)
        try:
            return await self._exchanged(target, sent, deadline, deadline)
        except Unreachable as error:
            raise HostFailed(error.reason) from error

    async def _exchanged(
        self, target: Target, sent: _Sent, deadline: float, start_by: float
    ) -> Answer:
        async with self._slots.take(target.name, start_by):
            return await self._exchange.send(
                sent.method,
                target,
                sent.headers,
                sent.body,
                max_bytes=sent.max_bytes,
                deadline=deadline,
            )


def _body_of(answer: Answer) -> bytes:
    if answer.status != 200:
        reason = f"the host answered {answer.status}"
        raise Unwanted(reason, temporary=answer.status in _TEMPORARY)
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused("the answer is encoded, which was not asked for")
    if answer.body is None:
        raise Refused("the answer is too large")
    return answer.body


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise Refused("the answer is too large")
    return body
