"""Counters of the rate limits: counted in this process, shared through Redis behind it.

Counting never waits: it is a look-up in memory. A task beside the requests exchanges
what was counted with Redis a few times a second. The overshoot that this allows, and
why a failed exchange is not sent again, is derived in ``docs/decisions/0009-rate-limits.md``.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from authsvc.clock import Clock
from authsvc.logs import get_logger
from authsvc.storage.cancellation import check_not_cancelled

_PREFIX = "authsvc:rate:"
_MAX_KEYS = 65_536
# Packing commands takes the event loop: this many at a time is about a millisecond.
_BATCH_KEYS = 50
_BATCHES_AN_EXCHANGE = 20
# A window stays in Redis a little longer, for replicas whose clocks are behind.
_KEPT_AFTER = 10
_LONGEST_PAUSE = 2.0

_log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Window:
    """One key's count in the ``period`` seconds that begin at ``start`` (epoch seconds)."""

    key: str
    period: int
    start: int
    own: int = 0
    unpublished: int = 0
    shared: int = 0

    @property
    def end(self) -> int:
        return self.start + self.period

    @property
    def total(self) -> int:
        # Redis may have lost what it was told, but this process never forgets its own count.
        return max(self.own, self.shared + self.unpublished)

    @property
    def redis_key(self) -> str:
        return f"{_PREFIX}{self.key}/{self.start}"

    def settle(self, published: int, shared: object) -> None:
        """Take over the shared total; without one, take ``published`` as having arrived."""
        self.unpublished -= published
        self.shared = shared if isinstance(shared, int) else self.shared + published


class RateCounters:
    """Fixed windows aligned to the wall clock, so that replicas count in the same ones.

    Holds at most ``max_keys`` windows. Each new one drops up to two that have ended;
    without room, one of the length that has most goes (of those the one that ends next, and
    then the oldest), and ``evicted`` counts it. Not for use from several threads.
    """

    def __init__(self, clock: Clock, *, max_keys: int = _MAX_KEYS) -> None:
        self._clock = clock
        self._max_keys = max_keys
        # By period, so that in each the windows lie in the order in which they end.
        self._windows: dict[int, OrderedDict[str, _Window]] = {}
        self._unpublished: OrderedDict[_Window, None] = OrderedDict()
        self.evicted = 0
        self.last_exchange_ok = False

    def __len__(self) -> int:
        return sum(len(windows) for windows in self._windows.values())

    def count(self, key: str, period: int, amount: int = 1) -> int:
        """Add ``amount`` to the current window of ``period`` seconds; return what it holds."""
        now = self._now()
        start = int(now) // period * period
        windows = self._windows.get(period)
        window = windows.get(key) if windows else None
        if window is None or window.start != start:
            window = self._open(_Window(key, period, start), now)
        window.own += amount
        window.unpublished += amount
        self._unpublished[window] = None
        return window.total

    def total(self, key: str) -> int:
        """Return what the current window holds, as far as this process knows."""
        window = self._find(key)
        return window.total if window else 0

    def ends_at(self, key: str) -> float:
        """Return when the key's window ends (epoch seconds): now, when there is none."""
        window = self._find(key)
        return window.end if window else self._now()

    def seconds_left(self, period: int) -> int:
        """Return how long the current window of ``period`` seconds lasts, rounded up."""
        return math.ceil(period - self._now() % period)

    def forget(self, key: str) -> None:
        """Drop what this process counted for ``key``."""
        for windows in self._windows.values():
            if key in windows:
                self._drop(windows[key])

    def clear(self) -> None:
        """Drop every window of this process."""
        self._windows.clear()
        self._unpublished.clear()

    async def reconcile(self, redis: Redis | RedisCluster, *, request_timeout: float = 0.5) -> None:
        """Publish what was counted since the last exchange and take back the shared totals.

        Raises nothing when Redis is away, hangs for ``request_timeout`` seconds or refuses:
        then ``last_exchange_ok`` is false, and counting goes on in this process alone. One
        exchange carries a bounded number of keys, those that wait longest; the others wait.
        """
        try:
            if not self.last_exchange_ok:
                # Nothing is published to a Redis that may be hanging: it would read all
                # that piled up in its sockets, once it goes on, and count it several times.
                async with asyncio.timeout(request_timeout):
                    await redis.ping()
            refused = None
            for _ in range(_BATCHES_AN_EXCHANGE):
                if not self._unpublished:
                    break
                refused = await self._publish(redis, request_timeout) or refused
            self._note(refused)
        except Exception as error:  # noqa: BLE001 - uvloop and driver raise RuntimeError and more
            # It must not end the sharing for the rest of the process's life.
            self._note(error)

    async def run(
        self,
        redis: Redis | RedisCluster,
        *,
        interval: float = 0.25,
        request_timeout: float = 0.5,
    ) -> None:
        """Exchange every ``interval`` seconds until cancelled; less often while Redis is away.

        ``request_timeout`` (seconds) must not exceed the client's own socket timeout: past
        that the client would send the same counts again.
        """
        pause = interval
        while True:
            await self.reconcile(redis, request_timeout=request_timeout)
            check_not_cancelled()
            pause = interval if self.last_exchange_ok else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _publish(
        self, redis: Redis | RedisCluster, request_timeout: float
    ) -> Exception | None:
        """Publish the keys that wait longest; return an error that Redis answered, if any."""
        waiting = min(_BATCH_KEYS, len(self._unpublished))
        batch = [self._unpublished.popitem(last=False)[0] for _ in range(waiting)]
        published = [window.unpublished for window in batch]
        answers: Sequence[object] = [None] * (2 * len(batch))
        now = self._now()
        try:
            async with asyncio.timeout(request_timeout):
                pipeline = redis.pipeline(transaction=False)
                for window, amount in zip(batch, published, strict=True):
                    # In this order there is no moment at which the key has no expiry.
                    kept = max(1, math.ceil(window.end - now)) + _KEPT_AFTER
                    _ = pipeline.set(window.redis_key, 0, nx=True, ex=kept)
                    _ = pipeline.incrby(window.redis_key, amount)
                answers = await pipeline.execute(raise_on_error=False)
        finally:
            # Also without an answer: it may have arrived, and must not be counted twice.
            for window, amount, shared in zip(batch, published, answers[1::2], strict=True):
                window.settle(amount, shared)
        return next((answer for answer in answers if isinstance(answer, Exception)), None)

    def _note(self, error: Exception | None) -> None:
        if error is None and not self.last_exchange_ok:
            _log.info("rate_counters_shared")
        elif error is not None and self.last_exchange_ok:
            _log.warning("rate_counters_not_shared", reason=type(error).__name__)
        self.last_exchange_ok = error is None

    def _open(self, window: _Window, now: float) -> _Window:
        windows = self._windows.setdefault(window.period, OrderedDict())
        if window.key in windows:
            self._drop(windows[window.key])
        self._make_room(now)
        windows[window.key] = window
        return window

    def _make_room(self, now: float) -> None:
        for _ in range(2):
            firsts = [next(iter(windows.values())) for windows in self._windows.values() if windows]
            first = min(firsts, key=lambda window: window.end, default=None)
            if first is None or (first.end > now and len(self) < self._max_keys):
                return
            if first.end > now:
                # Of its own length: a flood of long windows must not leave no room for short
                # ones, nor the other way round.
                first = next(iter(max(self._windows.values(), key=len).values()))
                self.evicted += 1
            self._drop(first)

    def _drop(self, window: _Window) -> None:
        del self._windows[window.period][window.key]
        self._unpublished.pop(window, None)

    def _find(self, key: str) -> _Window | None:
        now = self._now()
        for windows in self._windows.values():
            window = windows.get(key)
            if window is not None and window.start <= now < window.end:
                return window
        return None

    def _now(self) -> float:
        return self._clock.now().timestamp()
