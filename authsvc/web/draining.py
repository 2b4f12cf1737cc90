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

_SAME_SECONDS: Final = 1.0
"""Two signals within this time are one, sent to a group of processes: a parent passes it on."""


@dataclass
class Draining:
    """Whether the process was told to end, so that it is not ready for more."""

    begun: bool = False


@contextmanager
def ending_late(draining: Draining, delay: timedelta) -> Iterator[None]:
    """Pass SIGTERM on to the server ``delay`` after it came; one that repeats it at once.

    To be entered within the server's own handling of signals, and without effect outside.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not delay or not callable(handler):
        yield
        return
    loop = asyncio.get_running_loop()
    begun_at = 0.0

    def begin(number: int, frame: FrameType | None) -> None:
        nonlocal begun_at
        if draining.begun:
            if time.monotonic() >= begun_at + _SAME_SECONDS:
                handler(number, frame)
            return
        begun_at = time.monotonic()
        draining.begun = True
        # A signal does not wake the loop up by itself.
        loop.call_soon_threadsafe(loop.call_later, delay.total_seconds(), handler, number, frame)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
