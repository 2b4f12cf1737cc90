"""A process that is told to end says so before it stops to listen.

A proxy takes a moment to notice. Until then it goes on sending requests, and those that meet a
closed socket, or one whose backlog is thrown away, are lost.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Final

_SAME_SIGNAL: Final = 1.0
"""Seconds in which a second signal is the first once more.

Who signals a process group reaches each worker twice: the parent passes it on.
"""


@dataclass
class Draining:
    """Whether the process was told to end, so that it is not ready for more."""

    begun_at: float | None = None
    """Monotonic seconds; None before."""

    @property
    def begun(self) -> bool:
        """Whether it was told."""
        return self.begun_at is not None


@contextmanager
def ending_late(draining: Draining, delay: timedelta) -> Iterator[None]:
    """Pass SIGTERM on to the server ``delay`` after it came; a second one, later, at once.

    To be entered within the server's own handling of signals, and without effect outside.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not delay or not callable(handler):
        yield
        return
    loop = asyncio.get_running_loop()

    def begin(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if draining.begun_at is not None:
            if now - draining.begun_at >= _SAME_SIGNAL:
                handler(number, frame)
            return
        draining.begun_at = now
        # A signal does not wake the loop up by itself.
        loop.call_soon_threadsafe(loop.call_later, delay.total_seconds(), handler, number, frame)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
