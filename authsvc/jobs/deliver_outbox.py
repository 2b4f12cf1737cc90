"""What was written to the outbox is delivered: at least once, and soon."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from authsvc.jobs.places import Places
from authsvc.jobs.stopping import is_stopping
from authsvc.logs import get_logger
from authsvc.metrics import OUTBOX_ENTRIES
from authsvc.oauth.logout_notices import deliver_backchannel_logout
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.outbound.breakers import RECOVERY_SECONDS
from authsvc.outbound.errors import BreakerOpen, Busy
from authsvc.storage import outbox
from authsvc.storage.cancellation import end_all
from authsvc.storage.database import Transaction
from authsvc.storage.outbox import OutboxEntry
from authsvc.tokens.logout_token import BACKCHANNEL_LOGOUT

log = get_logger(__name__)

Handler = Callable[[AuthorizationServer, Mapping[str, Any]], Awaitable[None]]

HANDLERS: Final[Mapping[str, Handler]] = {BACKCHANNEL_LOGOUT: deliver_backchannel_logout}
"""What delivers each kind of entry, from its payload; raises when it failed."""


class Dropped(Exception):
    """An entry that is of no use to anybody any more; ``reason`` says why, for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


MAX_ATTEMPTS: Final = 32
"""With the delays below a receiver may be away for half a day at least."""
LONGEST_WAIT: Final = timedelta(days=1)
"""How long an entry waits for a receiver that is left alone, before it is given up."""
_FIRST_DELAY: Final = timedelta(seconds=5)
_LONGEST_DELAY: Final = timedelta(hours=1)
_AT_ONCE: Final = 40
_AT_ONCE_FOR_ONE: Final = 4
"""Deliveries under way to one receiver: a slow one must not hold up the others."""
_PUT_BACK: Final = timedelta(seconds=2)
_LEFT_ALONE: Final = timedelta(seconds=2 * RECOVERY_SECONDS)
RUN_SECONDS: Final = 30.0
"""After which it returns, however much there is: whoever called notes that it goes on."""
_LOOK_SECONDS: Final = 1.0
"""Between two looks for more, while nothing of what is under way comes to an end."""
_SHORTEST_LOOK_SECONDS: Final = 0.1
"""From a look that found all there was to the next, however much comes to an end meanwhile."""
_LEASE_MARGIN: Final = timedelta(minutes=1)


async def deliver_outbox(server: AuthorizationServer) -> None:
    """Deliver what is due, and what becomes due meanwhile; return when nothing is left.

    Up to 40 at once, of them 4 to one receiver, and as soon as one is done the next. Told to
    stop, or after half a minute, it finishes what is under way and begins nothing new.
    """
    await deliver(server, HANDLERS, at_once=_AT_ONCE)


async def deliver(
    server: AuthorizationServer,
    handlers: Mapping[str, Handler],
    *,
    at_once: int,
    for_one: int = _AT_ONCE_FOR_ONE,
    may_begin: Callable[[], bool] = lambda: True,
) -> None:
    """Deliver as ``deliver_outbox`` does, but only what ``handlers`` are for.

    ``for_one`` is how many may be under way to one receiver; nothing new is begun once
    ``may_begin`` says so.
    """
    await _Delivery(server, handlers, Places(at_once, for_one), at_once).run(may_begin)


class _Delivery:
    """One run: claims, begins what has a place, and notes what became of it."""

    def __init__(
        self,
        server: AuthorizationServer,
        handlers: Mapping[str, Handler],
        places: Places,
        at_once: int,
    ) -> None:
        self._server = server
        self._handlers = handlers
        self._places = places
        self._at_once = at_once
        self._under_way: set[asyncio.Task[None]] = set()
        self._look_at = 0.0
        self._has_finished = False
        """Whether something has come to an end since the last look."""

    async def run(self, may_begin: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + RUN_SECONDS
        try:
            while True:
                if is_stopping() or time.monotonic() >= ends_at or not may_begin():
                    await self._return(self._places.drain())
                else:
                    await self._fill()
                if not self._under_way:
                    return
                await self._wait()
        finally:
            await end_all(self._under_way)

    async def _wait(self) -> None:
        """Wait until something has come to an end, or it is time to look for more."""
        until_look = self._look_at - time.monotonic()
        finished, self._under_way = await asyncio.wait(
            self._under_way,
            timeout=until_look if self._has_finished and until_look > 0 else _LOOK_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        self._has_finished |= bool(finished)
        for task in finished:
            task.result()

    async def _fill(self) -> None:
        """Begin what has a place, and claim as long as there are places and more is due."""
        self._begin()
        while self._places.free > 0 and self._may_look():
            entries = await self._claim()
            self._places.add(entries)
            self._begin()
            if not entries:
                return

    def _may_look(self) -> bool:
        return not self._under_way or time.monotonic() >= self._look_at

    async def _claim(self) -> list[OutboxEntry]:
        resources = self._server.resources
        # Longer than a run, in which an entry may wait for a place, and a delivery, which fetches
        # a client's keys and posts, or hands in mail.
        lease = 2 * resources.settings.outbound_timeout + _LEASE_MARGIN
        async with resources.database.transaction() as tx:
            entries = await outbox.claim(
                tx,
                self._handlers.keys(),
                now=resources.clock.now(),
                lease=lease,
                limit=self._at_once,
                full=self._places.full(),
                full_of_retries=self._places.full_of_retries(),
            )
        self._has_finished = False
        if len(entries) < self._at_once:
            self._look_at = time.monotonic() + _SHORTEST_LOOK_SECONDS
        return entries

    def _begin(self) -> None:
        self._under_way |= {
            asyncio.create_task(self._deliver(entry)) for entry in self._places.begin()
        }

    async def _return(self, entries: Sequence[OutboxEntry]) -> None:
        """Let others have what was claimed and not begun."""
        if entries:
            async with self._server.resources.database.transaction() as tx:
                await outbox.give_back(tx, entries, now=self._server.resources.clock.now())

    async def _deliver(self, entry: OutboxEntry) -> None:
        """Deliver one entry, in no transaction, and then note what became of it."""
        began, error = time.monotonic(), None
        try:
            error = await self._attempt(entry)
        finally:
            seconds = time.monotonic() - began
            self._places.end(entry, seconds=seconds, delivered=not isinstance(error, OutboundError))
        try:
            if isinstance(error, BreakerOpen):
                await self._return(self._places.pause(entry.receiver))
            outcome = await _note(self._server, entry, error)
        except Exception as unnoted:  # noqa: BLE001  # the lease ends, and it is tried again
            log.warning("outbox_entry_not_noted", entry=entry.id, error=type(unnoted).__name__)
            return
        OUTBOX_ENTRIES.labels(entry.kind, outcome).inc()

    async def _attempt(self, entry: OutboxEntry) -> OutboundError | Dropped | None:
        """Return why the delivery failed, or was not due any more; None if it succeeded."""
        if entry.attempts > MAX_ATTEMPTS:
            # Whoever had the last attempt never came back, perhaps because of it.
            return OutboundError("no attempt came to an end", temporary=False)
        try:
            await self._handlers[entry.kind](self._server, entry.payload)
        except (OutboundError, Dropped) as error:
            return error
        except Exception as error:
            log.exception("outbox_delivery_broken", entry=entry.id, kind=entry.kind)
            return OutboundError(type(error).__name__, temporary=True)
        return None


def find_delay(attempts: int) -> timedelta:
    """Return how long to wait after ``attempts`` that failed: longer each time, never the same.

    From 5 seconds to an hour, half of it by chance, so that what failed together does not
    come back together.
    """
    growth: int = 4 ** min(attempts - 1, 10)
    return _spread(min(_FIRST_DELAY * growth, _LONGEST_DELAY))


def _spread(delay: timedelta) -> timedelta:
    return delay * random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing


async def _note(
    server: AuthorizationServer, entry: OutboxEntry, error: OutboundError | Dropped | None
) -> str:
    """Write down what became of the attempt, and return that in a word."""
    if isinstance(error, Busy):
        return await _put_back(server, entry, _PUT_BACK)
    if isinstance(error, BreakerOpen) and not _is_late(server, entry):
        return await _put_back(server, entry, _LEFT_ALONE)
    async with server.resources.database.transaction() as tx:
        if error is None:
            await outbox.done(tx, entry.id)
            return "delivered"
        if isinstance(error, Dropped):
            await outbox.done(tx, entry.id)
            log.info("outbox_entry_dropped", entry=entry.id, kind=entry.kind, reason=error.reason)
            return "dropped"
        return await _note_failure(server, tx, entry, error)


def _is_late(server: AuthorizationServer, entry: OutboxEntry) -> bool:
    return server.resources.clock.now() - entry.created_at > LONGEST_WAIT


async def _put_back(server: AuthorizationServer, entry: OutboxEntry, delay: timedelta) -> str:
    """Let an entry wait that nobody was sent."""
    async with server.resources.database.transaction() as tx:
        due_at = server.resources.clock.now() + _spread(delay)
        await outbox.put_back(tx, entry, due_at=due_at)
    return "put_back"


async def _note_failure(
    server: AuthorizationServer, tx: Transaction, entry: OutboxEntry, error: OutboundError
) -> str:
    now = server.resources.clock.now()
    facts = {
        "entry": entry.id,
        "kind": entry.kind,
        "attempts": entry.attempts,
        "reason": error.reason,
    }
    may_pass = error.temporary and not isinstance(error, BreakerOpen)
    if may_pass and entry.attempts < MAX_ATTEMPTS:
        due_at = now + find_delay(entry.attempts)
        await outbox.retry(tx, entry, due_at=due_at, error=error.reason)
        log.warning("outbox_delivery_failed", **facts)
        return "failed"
    await outbox.give_up(tx, entry, now=now, error=error.reason)
    log.error("outbox_entry_dead", **facts)
    return "dead"
