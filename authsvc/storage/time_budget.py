"""How long a request may wait for the database, over all that it asks.

A request asks more than once: for versions, for a client, in its transaction. Each alone
within a bound would add up. The clock runs only while something is asked: what a password
hash or another host takes is not the database's.
"""

import asyncio
import time
from contextvars import ContextVar
from typing import Any, Final

_SLACK: Final = 0.05
"""Seconds by which a wait outlasts what is waited for, so that the cause is known."""


class TimeBudget:
    """A block in which all waits share so many seconds; None: no bound.

    Waits that overlap are counted once.
    """

    __slots__ = ("_deadline", "_left", "_token", "_waiting")

    def __init__(self, seconds: float | None) -> None:
        self._left = seconds
        self._waiting = 0

    def __enter__(self) -> None:
        self._token = _current.set(None if self._left is None else self)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    def begin(self) -> float:
        """Let the clock run; return the seconds that are left."""
        if not self._waiting:
            self._deadline = time.monotonic() + (self._left or 0.0)
        self._waiting += 1
        return self.left()

    def left(self) -> float:
        """Return the seconds that are left, while the clock runs."""
        return max(0.0, self._deadline - time.monotonic())

    def end(self) -> None:
        """Stop the clock, unless somebody else waits."""
        self._waiting -= 1
        if not self._waiting:
            self._left = self.left()


_current: ContextVar[TimeBudget | None] = ContextVar("time_budget", default=None)


class Wait:
    """One wait within the budget of the block, if there is one."""

    __slots__ = ("_budget", "_timer", "seconds")

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._budget = _current.get()
        self.seconds = self._budget.begin() if self._budget else None
        """Seconds that are left, or None for no bound."""

    def timeout(self) -> asyncio.Timeout:
        """Return what bounds the wait by cancelling."""
        return asyncio.timeout(None if self.seconds is None else self.seconds + _SLACK)

    def end_at_last(self, connection: Any) -> None:
        """Have the driver's ``connection`` ended when the budget is used up.

        Cancelling would wait: for a rollback, and for a server's good-bye.
        """
        if self._budget is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._budget.left(), self._look_once_more, connection)

    def _look_once_more(self, connection: Any) -> None:
        # If it was this process that stood still, the answer lies there already.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_SLACK, connection.terminate)

    def end(self) -> None:
        """End the wait."""
        if self._timer is not None:
            self._timer.cancel()
        if self._budget is not None:
            self._budget.end()
