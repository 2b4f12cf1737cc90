"""The rate limits: declared on the routes with slowapi, counted without waiting.

Every limit has a name, which is also that of its setting. Limits per address are
declared on the route and count before anything else happens; limits per client count
after client authentication, or anybody could use up another client's budget by naming
it. These limits fail open: without Redis each process counts alone. Passwords are
throttled exactly, and elsewhere: in the database.
"""

import functools
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.requests import Request
from starlette.responses import Response

from authsvc.metrics import RATE_LIMIT_REFUSALS
from authsvc.protocol.addresses import network_of
from authsvc.protocol.errors import TooManyRequests
from authsvc.storage.rate_counters import RateCounters

Endpoint = Callable[[Request], Awaitable[Response]]

_STATE = "rate_limit_state"


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where a request stands with the tightest limit that counted it; ``reset`` in seconds."""

    limit: int
    remaining: int
    reset: int


class _CounterStorage(Storage):
    """Puts RateCounters behind the extension point of ``limits``; nothing here can fail."""

    STORAGE_SCHEME = ["authsvc"]  # noqa: RUF012 - the registry of limits reads it from the class

    def __init__(self, uri: str | None = None, *, counters: RateCounters) -> None:
        super().__init__(uri)
        self._counters = counters

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._counters.count(key, expiry, amount)

    def get(self, key: str) -> int:
        return self._counters.total(key)

    def get_expiry(self, key: str) -> float:
        return self._counters.ends_at(key)

    def check(self) -> bool:
        return True

    def reset(self) -> None:
        self._counters.clear()

    def clear(self, key: str) -> None:
        self._counters.forget(key)


class _Limiter(Limiter):
    """slowapi's limiter, which obeys our settings and no variables or files of its own."""

    def get_app_config(self, key: str, default_value: Any = None) -> Any:
        return default_value


class RateLimits:
    """The limits of one app: ``limits`` maps a limit's name to its rates, like ``600/minute``.

    Raises ValueError, in one line that names the limit, for a rate that is none. When not
    ``enabled`` nothing is counted and a route costs what it costs without a limit.
    """

    def __init__(
        self, counters: RateCounters, limits: Mapping[str, str], *, enabled: bool = True
    ) -> None:
        self._counters = counters
        self._enabled = enabled
        self._rates = {name: _parse_rates(name, text) for name, text in limits.items()}
        self._texts = dict(limits)
        self._serial = itertools.count()
        self._limiter = _open_limiter(counters)

    def limit(self, name: str) -> Callable[[Endpoint], Endpoint]:
        """Return the decorator that limits an endpoint per address by the limit ``name``.

        All endpoints under one name share its budget, whatever their paths. When it is used
        up the decorated endpoint raises TooManyRequests without being entered.
        """
        rates = self._get_rates(name)

        def decorate(endpoint: Endpoint) -> Endpoint:
            if not self._enabled:
                return endpoint

            async def counted(request: Request) -> Response:
                self._remember(request, rates, request.state.view_rate_limit[1])
                response = await endpoint(request)
                # Not through ``response.headers``, which costs as much as all the counting.
                response.raw_headers += [
                    (header.lower().encode(), value.encode())
                    for header, value in rate_limit_headers(request).items()
                ]
                return response

            # slowapi files limits under the function's name: two of one name would add up.
            counted.__name__ = f"{name}_{next(self._serial)}"
            declared = self._limiter.shared_limit(self._texts[name], scope=name)(counted)

            @functools.wraps(endpoint)
            async def limited(request: Request) -> Response:
                try:
                    return await declared(request)  # type: ignore[no-any-return] # slowapi: Any
                except RateLimitExceeded:
                    rate, identifiers = request.state.view_rate_limit
                    self._remember(request, [rate], identifiers)
                    raise self._refusal(name, rate) from None

            return limited

        return decorate

    def hit_client(self, request: Request, client_id: str, name: str) -> None:
        """Count a request of an authenticated client; raises TooManyRequests."""
        if not self._enabled:
            return
        identifiers = [client_id, name]
        for rate in self._get_rates(name):
            within = self._limiter.limiter.hit(rate, *identifiers)
            self._remember(request, [rate], identifiers)
            if not within:
                raise self._refusal(name, rate)

    def _get_rates(self, name: str) -> list[RateLimitItem]:
        try:
            return self._rates[name]
        except KeyError as error:
            raise ValueError(f"no rate limit is called {name}") from error

    def _remember(
        self, request: Request, rates: list[RateLimitItem], identifiers: list[str]
    ) -> None:
        """Keep the tightest limit so far for the response's headers; of equals the longest."""
        for rate in rates:
            total = self._counters.total(rate.key_for(*identifiers))
            remaining = max(0, rate.amount - total)
            reset = self._counters.seconds_left(rate.get_expiry())
            known: LimitState | None = request.scope.get(_STATE)
            if known is None or (remaining, -reset) < (known.remaining, -known.reset):
                request.scope[_STATE] = LimitState(rate.amount, remaining, reset)

    def _refusal(self, name: str, rate: RateLimitItem) -> TooManyRequests:
        RATE_LIMIT_REFUSALS.labels(name).inc()
        return TooManyRequests(
            "Too many requests; try again later",
            detail=f"rate limit {name}: {rate}",
            retry_after=self._counters.seconds_left(rate.get_expiry()),
        )


def rate_limit_headers(request: Request) -> dict[str, str]:
    """Return the ``RateLimit-*`` headers for the answer to ``request``; none if not limited.

    Limited endpoints set them on the response they return. Who makes a response from an
    error that a limited endpoint raised adds them.
    """
    state: LimitState | None = request.scope.get(_STATE)
    if state is None:
        return {}
    return {
        "RateLimit-Limit": str(state.limit),
        "RateLimit-Remaining": str(state.remaining),
        "RateLimit-Reset": str(state.reset),
    }


def address_of(request: Request) -> str:
    """Return what stands for the caller's address: IPv4 whole, IPv6 by its /64."""
    return network_of(request.client.host) if request.client else "unknown"


# slowapi asks for the signature at each request: found here, it need not be worked out.
address_of.__signature__ = inspect.signature(address_of)  # type: ignore[attr-defined] # PEP 362


def _parse_rates(name: str, text: str) -> list[RateLimitItem]:
    try:
        rates = parse_many(text)
    except ValueError as error:
        raise ValueError(f"rate limit {name} is {text!r}; it must be like 600/minute") from error
    if any(rate.amount < 1 for rate in rates):
        raise ValueError(f"rate limit {name} is {text!r}; it must allow at least 1")
    return rates


def _open_limiter(counters: RateCounters) -> Limiter:
    options: dict[str, Any] = {"counters": counters}
    limiter = _Limiter(address_of, storage_uri="authsvc://", storage_options=options)
    # slowapi warns of each refusal, which web.errors logs already, and adds one handler a
    # limiter to the process's logger.
    limiter.logger.removeHandler(limiter.logger.handlers[-1])
    limiter.logger.setLevel(logging.ERROR)
    return limiter
