"""What one process keeps in memory of rarely changed rows, and drops when they change."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from authsvc.metrics import REGISTRY_RELOADS
from authsvc.storage.changes import Changes
from authsvc.storage.database import Database, Transaction

V = TypeVar("V")


class Registry(Generic[V]):
    """Values by key, loaded on demand, the least recently used dropped beyond ``size``.

    What is not there is not remembered, so that a new row is seen at once.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        name: str,
        load: Callable[[Transaction, str], Awaitable[V | None]],
        *,
        size: int = 10_000,
    ) -> None:
        self._database = database
        self._load = load
        self._size = size
        self._reloads = REGISTRY_RELOADS.labels(name)
        self._values: OrderedDict[str, V] = OrderedDict()
        self._generation = 0
        changes.watch(name, self.invalidate)

    def invalidate(self) -> None:
        """Forget everything."""
        self._generation += 1
        self._values.clear()

    async def find(self, key: str) -> V | None:
        """Return the value of ``key``, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        self._reloads.inc()
        generation = self._generation
        async with self._database.reading() as tx:
            value = await self._load(tx, key)
        # A change heard while loading makes what was loaded unfit to keep.
        if value is not None and generation == self._generation:
            self._values[key] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return value


class Snapshot(Generic[V]):
    """One value that is loaded as a whole, and again after a change."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        name: str,
        load: Callable[[Transaction], Awaitable[V]],
    ) -> None:
        self._database = database
        self._load = load
        self._value: V | None = None
        self._generation = 0
        self._loading = asyncio.Lock()
        self._reloads = REGISTRY_RELOADS.labels(name)
        changes.watch(name, self.invalidate)

    def invalidate(self) -> None:
        """Forget the value."""
        self._generation += 1
        self._value = None

    async def get(self) -> V:
        """Return the value, loaded now if need be."""
        kept = self._kept()
        if kept is not None:
            return kept
        # One loads, the others wait: opening every signing key is no small work.
        async with self._database.waiting(), self._loading:
            return self._kept() or await self._reload()

    def _kept(self) -> V | None:
        return self._value

    async def _reload(self) -> V:
        self._reloads.inc()
        generation = self._generation
        async with self._database.reading() as tx:
            value = await self._load(tx)
        if generation == self._generation:
            self._value = value
        return value
