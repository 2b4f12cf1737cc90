"""How many of a kind may be under way, in all and for one name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from authsvc.outbound.errors import Busy

MAX_REQUESTS: Final = 100
"""Requests under way at once in one lane, and so connections."""
MAX_REQUESTS_PER_HOST: Final = 10
"""Of them, to one host, whatever the port."""


class Slots:
    """Hands out the slots, first come, first served."""

    def __init__(self, most: int, most_per_name: int, *, of: str) -> None:
        """``of`` says what they are, for the log."""
        self._all = asyncio.Semaphore(most)
        self._of_names: dict[str, _NameSlots] = {}
        self._most_per_name = most_per_name
        self._of = of

    @asynccontextmanager
    async def take(self, name: str, until: float) -> AsyncIterator[None]:
        """Hold a slot for ``name``; raises Busy when ``until`` comes first.

        ``until`` is a time of the event loop.
        """
        of_name = self._of_names.setdefault(name, _NameSlots(self._most_per_name))
        of_name.users += 1
        try:
            # The name's first: who waits for a slow one must not hold a slot of all.
            async with self._taken(of_name.semaphore, until), self._taken(self._all, until):
                yield
        finally:
            of_name.users -= 1
            if not of_name.users:
                del self._of_names[name]

    @asynccontextmanager
    async def _taken(self, semaphore: asyncio.Semaphore, until: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(until):
                await semaphore.acquire()
        except TimeoutError as error:
            raise Busy(f"too many {self._of} are under way") from error
        try:
            yield
        finally:
            semaphore.release()


class _NameSlots:
    def __init__(self, most: int) -> None:
        self.semaphore = asyncio.Semaphore(most)
        self.users = 0
