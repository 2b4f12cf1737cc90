"""A circuit breaker for a server that everything needs: the database, or Redis.

What does not answer costs a wait each time. After a few such waits in a row nobody waits
any more but a probe, one in a while. A server that answers, be it with an error, is no case
for it: it costs no wait, and what it can still do it goes on doing.
"""

import time
from contextlib import suppress
from typing import Final

from circuitbreaker import CircuitBreaker

from authsvc.logs import get_logger

log = get_logger(__name__)

FAILURES: Final = 3
"""Times in a row without an answer that open the breaker."""
RECOVERY_SECONDS: Final = 1.0
"""Seconds until one may ask again, and between two that ask."""


class Breaker:
    """Says whether a dependency may be asked; is told whether it answered."""

    def __init__(self, dependency: str) -> None:
        self._dependency = dependency
        self._circuit = CircuitBreaker(FAILURES, RECOVERY_SECONDS, _NoAnswer, dependency)
        # While nothing fails this is all that is looked at: once or twice in each request.
        self._is_failing = False
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the dependency is left alone, but for a probe."""
        return self._is_failing and not self._circuit.closed

    def admits(self) -> bool:
        """Tell whether to ask now. Who is told yes while it is open is the probe."""
        if not self._is_failing or self._circuit.closed:
            return True
        # The library lets everybody through when the time is over; one is enough to find
        # out. By time, so that a probe that nobody hears of again keeps no other away.
        now = time.monotonic()
        if self._circuit.opened or now < self._next_probe_at:
            return False
        self._next_probe_at = now + RECOVERY_SECONDS
        return True

    def note_failure(self) -> None:
        """Note that there was no answer."""
        was_open = self.is_open
        self._is_failing = True
        # An exception of its own: the circuit keeps it, and with it what it refers to.
        with suppress(_NoAnswer), self._circuit:
            raise _NoAnswer
        if self.is_open and not was_open:
            log.warning("breaker_opened", dependency=self._dependency)

    def note_answer(self) -> None:
        """Note that there was an answer."""
        if not self._is_failing:
            return
        if self.is_open:
            log.warning("breaker_closed", dependency=self._dependency)
        self._is_failing = False
        self._circuit.reset()


class _NoAnswer(Exception):
    pass
