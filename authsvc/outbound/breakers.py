"""Circuit breakers, so that what is dead does not cost a timeout each time.

A stranger may name any URL, also one of somebody else's host. So there are two levels: what
no connection can be made to is left alone as a whole, and whatever else goes wrong is held
against the one URL that a client named.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from circuitbreaker import CircuitBreaker

from authsvc.outbound.errors import BreakerOpen, HostFailed, Unreachable, Unwanted
from authsvc.outbound.targets import Target

FAILURES: Final = 5
"""Failures in a row that open a breaker."""
RECOVERY_SECONDS: Final = 30
"""Seconds until one request may try again."""
MAX_BREAKERS: Final = 1_000
"""Breakers of each level."""

Level = Literal["host", "url"]


class Breakers:
    """The breakers of hosts (with their port) and of URLs (with the method)."""

    def __init__(self) -> None:
        self._hosts = BreakersByKey()
        self._urls = BreakersByKey()

    @contextmanager
    def guard_host(self, target: Target) -> Iterator[None]:
        """Send the request that a client named the URL of; raises BreakerOpen at once instead.

        Unreachable counts as a failure of the host, each answer as a success, also 5xx.
        """
        with self._hosts.admit(target.origin):
            try:
                yield
            except Unreachable:
                self._hosts.note_failure(target.origin)
                raise
            except HostFailed as error:
                if error.status is not None:
                    self._hosts.note_success(target.origin)
                raise
        self._hosts.note_success(target.origin)

    @contextmanager
    def guard_url(self, method: str, target: Target) -> Iterator[None]:
        """Make a whole call, redirects included; raises BreakerOpen at once instead.

        HostFailed counts as a failure of the URL, unless it counts on the host already.
        """
        key = _key(method, target)
        with self._urls.admit(key):
            try:
                yield
            except Unreachable:
                raise
            except HostFailed:
                self._urls.note_failure(key)
                raise
            except Unwanted:
                self._urls.note_success(key)
                raise
        self._urls.note_success(key)

    def count_open(self) -> dict[Level, int]:
        """Return how many are open, by level."""
        return {"host": self._hosts.count_open(), "url": self._urls.count_open()}

    def check_redirect(self, target: Target) -> None:
        """Raise BreakerOpen for where a redirect leads, if it is left alone.

        Nothing is counted there: whoever redirects chooses the place and the time that is left.
        """
        if self._hosts.is_open(target.origin) or self._urls.is_open(_key("GET", target)):
            raise BreakerOpen


def _key(method: str, target: Target) -> str:
    return f"{method} {target.resource}"


class BreakersByKey:
    """Keeps a breaker for what failed last and has not succeeded since."""

    def __init__(self, *, failures: int = FAILURES) -> None:
        """``failures`` in a row open a breaker."""
        self._failing: OrderedDict[str, _Breaker] = OrderedDict()
        self._failures = failures

    @contextmanager
    def admit(self, key: str) -> Iterator[None]:
        """Do the block; raises BreakerOpen at once instead where ``key`` is left alone."""
        breaker = self._failing.get(key)
        if breaker is None:
            yield
            return
        with breaker.admit():
            yield

    def is_open(self, key: str) -> bool:
        """Tell whether ``key`` is left alone."""
        breaker = self._failing.get(key)
        return breaker is not None and breaker.circuit.opened

    def is_failing(self, key: str) -> bool:
        """Tell whether ``key`` is left alone, but for a probe: until it has succeeded."""
        breaker = self._failing.get(key)
        return breaker is not None and not breaker.circuit.closed

    def count_open(self) -> int:
        """Return how many are left alone."""
        return sum(breaker.circuit.opened for breaker in self._failing.values())

    def note_failure(self, key: str) -> None:
        """Count a failure."""
        breaker = self._failing.setdefault(key, _Breaker(key, self._failures))
        self._failing.move_to_end(key)
        if len(self._failing) > MAX_BREAKERS:
            self._failing.popitem(last=False)
        # An exception of its own: the circuit keeps it, and with it what it refers to.
        with suppress(_Failure), breaker.circuit:
            raise _Failure

    def note_success(self, key: str) -> None:
        """Forget the failures."""
        self._failing.pop(key, None)


class _Breaker:
    def __init__(self, key: str, failures: int) -> None:
        self.circuit = CircuitBreaker(failures, RECOVERY_SECONDS, _Failure, key)
        self._is_probing = False

    @contextmanager
    def admit(self) -> Iterator[None]:
        if self.circuit.closed:
            yield
            return
        # The library lets everybody through when the time is over; one is enough to find out.
        if self.circuit.opened or self._is_probing:
            raise BreakerOpen
        self._is_probing = True
        try:
            yield
        finally:
            self._is_probing = False


class _Failure(Exception):
    pass
