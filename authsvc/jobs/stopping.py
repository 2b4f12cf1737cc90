"""Told to end, a worker finishes what is under way and begins nothing new.

Work that goes on by itself, batch by batch, asks here whether it should.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_STOP: Final[ContextVar[asyncio.Event | None]] = ContextVar("stop", default=None)


@contextmanager
def stopped_by(stop: asyncio.Event) -> Iterator[None]:
    """Let ``stop`` tell all work that is begun inside of the block when to end."""
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def is_stopping() -> bool:
    """Tell whether this process is about to end."""
    stop = _STOP.get()
    return stop is not None and stop.is_set()


async def pause(seconds: float) -> None:
    """Sleep, for no longer than until the process is told to end."""
    stop = _STOP.get()
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
