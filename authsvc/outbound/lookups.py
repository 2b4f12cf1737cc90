"""Look-ups of names, a bounded number at once.

A look-up cannot be stopped: the system's resolver holds its thread until it gives up. A
stranger who names slow names must not take all the threads along.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Final, Protocol

from authsvc.outbound.errors import Unreachable
from authsvc.outbound.lanes import LANES
from authsvc.outbound.slots import Slots

MAX_LOOKUPS: Final = 32
"""Look-ups under way at once in one lane."""
MAX_LOOKUPS_PER_DOMAIN: Final = 4
"""Of them, for names of one domain."""


class Resolver(Protocol):
    """Finds the addresses of a host; tests replace it."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of ``host``, best first; raises OSError for an unknown one."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class SystemResolver:
    """Asks the system's resolver."""

    def __init__(self) -> None:
        # Threads of its own, since the loop's also resolve the database's host, and enough
        # for all lanes, so that none waits for another's.
        self._threads = ThreadPoolExecutor(
            len(LANES) * MAX_LOOKUPS, thread_name_prefix="outbound-lookup"
        )

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of ``host``."""

        def look_up() -> list[str]:
            # As bytes: the text would first go through a codec for names beyond ASCII.
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
            return [str(address[0]) for *_, address in found]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)

    def close(self) -> None:
        """Take no more look-ups, and wait for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Lookups:
    """The look-ups of one lane."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._slots = Slots(MAX_LOOKUPS, MAX_LOOKUPS_PER_DOMAIN, of="look-ups")
        self._under_way: set[asyncio.Task[Sequence[str]]] = set()

    async def find(self, host: str, port: int, *, start_by: float, until: float) -> Sequence[str]:
        """Return the addresses of ``host``, which may be one itself, best first.

        The times are those of the event loop. Raises Busy when the look-up could not start
        by ``start_by``, Unreachable when it took longer than ``until``, and OSError for an
        unknown name.
        """
        if _is_address(host):
            return [host]
        slot = AsyncExitStack()
        await slot.enter_async_context(self._slots.take(parse_domain(host), start_by))
        # A task of its own, which holds the slot until the thread is done, whoever gives up.
        lookup = asyncio.create_task(self._look_up(slot, host, port))
        self._under_way.add(lookup)
        lookup.add_done_callback(self._land)
        left = until - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({lookup}, timeout=left)
        if not done:
            raise Unreachable("the name took too long to resolve")
        return lookup.result()

    async def aclose(self) -> None:
        """Wait for no look-up."""
        lookups = list(self._under_way)
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    async def _look_up(self, slot: AsyncExitStack, host: str, port: int) -> Sequence[str]:
        async with slot:
            return await self._resolver.resolve(host, port)

    def _land(self, lookup: asyncio.Task[Sequence[str]]) -> None:
        self._under_way.discard(lookup)
        if not lookup.cancelled():
            lookup.exception()  # so that it counts as seen, if the caller went away


def parse_domain(host: str) -> str:
    """Return the domain that ``host`` is a name of: about what one owner registers.

    The last two labels; three below a country's ``co``, ``com``, ``org`` and the like, which
    many owners share.
    """
    labels = host.removesuffix(".").split(".")
    is_shared = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if is_shared else -2 :])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
