"""A process that is told to end says so before it stops to listen.

A proxy takes a moment to notice. Until then it goes on sending requests, and those that meet a
closed socket, or one whose backlog is thrown away, are lost.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType


@dataclass
class Draining:
    """Whether the process was told to end, so that it is not ready for more."""

    begun: bool = False


@contextmanager
def ending_late(draining: Draining, delay: timedelta) -> Iterator[None]:
    """Pass SIGTERM on to the server ``delay`` after it came; a second one at once.

    To be entered within the server's own handling of signals, and without effect outside.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not delay or not callable(handler):
        yield
        return
    loop = asyncio.get_running_loop()

    def begin(number: int, frame: FrameType | None) -> None:
        if draining.begun:
            handler(number, frame)
            return
        draining.begun = True
        # A signal does not wake the loop up by itself.
        loop.call_soon_threadsafe(loop.call_later, delay.total_seconds(), handler, number, frame)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
