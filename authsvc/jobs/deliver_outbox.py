"""What was written to the outbox is delivered: at least once, and soon."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from authsvc.jobs.stopping import is_stopping
from authsvc.logs import get_logger
from authsvc.metrics import OUTBOX_ENTRIES
from authsvc.oauth.logout_notices import deliver_backchannel_logout
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.storage import outbox
from authsvc.storage.cancellation import end_all
from authsvc.storage.database import Transaction
from authsvc.storage.outbox import OutboxEntry
from authsvc.tokens.logout_token import BACKCHANNEL_LOGOUT

log = get_logger(__name__)

Handler = Callable[[AuthorizationServer, Mapping[str, Any]], Awaitable[None]]

HANDLERS: Final[Mapping[str, Handler]] = {BACKCHANNEL_LOGOUT: deliver_backchannel_logout}
"""What delivers each kind of entry, from its payload; raises when it failed."""

MAX_ATTEMPTS: Final = 32
"""With the delays below a receiver may be away for half a day at least."""
_FIRST_DELAY: Final = timedelta(seconds=5)
_LONGEST_DELAY: Final = timedelta(hours=1)
_AT_ONCE: Final = 40
_AT_ONCE_FOR_ONE: Final = 4
"""Deliveries under way to one client: a slow one must not hold up the others."""
_PUT_BACK: Final = timedelta(seconds=2)
_LONGEST_PUT_BACK: Final = timedelta(minutes=5)
RUN_SECONDS: Final = 30.0
"""After which it returns, however much there is: whoever called notes that it goes on."""
_LOOK_SECONDS: Final = 1.0
_LEASE_MARGIN: Final = timedelta(minutes=1)


async def deliver_outbox(server: AuthorizationServer) -> None:
    """Deliver what is due, and what becomes due meanwhile; return when nothing is left.

    Up to 40 at once, of them 4 to one client, and as soon as one is done the next. Told to
    stop, or after half a minute, it finishes what is under way and begins nothing new.
    """
    await deliver(server, HANDLERS, at_once=_AT_ONCE)


async def deliver(
    server: AuthorizationServer, handlers: Mapping[str, Handler], *, at_once: int
) -> None:
    """Deliver as ``deliver_outbox`` does, but only what ``handlers`` are for."""
    under_way: set[asyncio.Task[None]] = set()
    receivers = _Receivers()
    ends_at = time.monotonic() + RUN_SECONDS
    try:
        while True:
            is_over = is_stopping() or time.monotonic() >= ends_at
            entries = (
                [] if is_over else await _claim(server, handlers.keys(), at_once - len(under_way))
            )
            under_way |= {
                asyncio.create_task(_deliver(server, handlers[entry.kind], entry, receivers))
                for entry in entries
            }
            if not under_way:
                return
            finished, under_way = await asyncio.wait(
                under_way, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in finished:
                task.result()
    finally:
        await end_all(under_way)


def find_delay(attempts: int) -> timedelta:
    """Return how long to wait after ``attempts`` that failed: longer each time, never the same.

    From 5 seconds to an hour, half of it by chance, so that what failed together does not
    come back together.
    """
    growth: int = 4 ** min(attempts - 1, 10)
    return _spread(min(_FIRST_DELAY * growth, _LONGEST_DELAY))


def _spread(delay: timedelta) -> timedelta:
    return delay * random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing


async def _claim(
    server: AuthorizationServer, kinds: Collection[str], limit: int
) -> list[OutboxEntry]:
    if limit <= 0:
        return []
    resources = server.resources
    # Longer than a delivery takes, which fetches a client's keys and posts, or hands in mail.
    lease = 2 * resources.settings.outbound_timeout + _LEASE_MARGIN
    async with resources.database.transaction() as tx:
        return await outbox.claim(tx, kinds, now=resources.clock.now(), lease=lease, limit=limit)


class _Receivers:
    """To whom deliveries are under way, and how many had to wait for those."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def begin(self, receiver: str) -> bool:
        """Take a place for one delivery; False when there is none."""
        if self._under_way[receiver] >= _AT_ONCE_FOR_ONE:
            return False
        self._under_way[receiver] += 1
        self._waiting[receiver] = max(self._waiting[receiver] - 1, 0)
        return True

    def end(self, receiver: str) -> None:
        """Give the place back."""
        self._under_way[receiver] -= 1

    def find_delay(self, receiver: str) -> timedelta:
        """Return how long one more has to wait: longer, the more there are before it.

        Else a receiver that is slow, and has many, is looked at in vain all the time.
        """
        rounds = 1 + self._waiting[receiver] // _AT_ONCE_FOR_ONE
        self._waiting[receiver] += 1
        return min(_PUT_BACK * rounds, _LONGEST_PUT_BACK)


async def _deliver(
    server: AuthorizationServer, handler: Handler, entry: OutboxEntry, receivers: _Receivers
) -> None:
    """Deliver one entry, in no transaction, and then note what became of it."""
    receiver = entry.receiver
    try:
        if not receivers.begin(receiver):
            outcome = await _put_back(server, entry, receivers.find_delay(receiver))
        else:
            try:
                error = await _attempt(server, handler, entry)
            finally:
                receivers.end(receiver)
            outcome = await _note(server, entry, error)
    except Exception as unnoted:  # noqa: BLE001  # the lease ends, and it is tried again
        log.warning("outbox_entry_not_noted", entry=entry.id, error=type(unnoted).__name__)
        return
    OUTBOX_ENTRIES.labels(entry.kind, outcome).inc()


async def _attempt(
    server: AuthorizationServer, handler: Handler, entry: OutboxEntry
) -> OutboundError | None:
    """Return why the delivery failed, None if it did not."""
    if entry.attempts > MAX_ATTEMPTS:
        # Whoever had the last attempt never came back, perhaps because of it.
        return OutboundError("no attempt came to an end", temporary=False)
    try:
        await handler(server, entry.payload)
    except OutboundError as error:
        return error
    except Exception as error:
        log.exception("outbox_delivery_broken", entry=entry.id, kind=entry.kind)
        return OutboundError(type(error).__name__, temporary=True)
    return None


async def _note(
    server: AuthorizationServer, entry: OutboxEntry, error: OutboundError | None
) -> str:
    """Write down what became of the attempt, and return that in a word."""
    if error is not None and error.outcome == "busy":
        return await _put_back(server, entry, _PUT_BACK)
    async with server.resources.database.transaction() as tx:
        if error is None:
            await outbox.done(tx, entry.id)
            return "delivered"
        return await _note_failure(server, tx, entry, error)


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
    if error.temporary and entry.attempts < MAX_ATTEMPTS:
        due_at = now + find_delay(entry.attempts)
        await outbox.retry(tx, entry, due_at=due_at, error=error.reason)
        log.warning("outbox_delivery_failed", **facts)
        return "failed"
    await outbox.give_up(tx, entry, now=now, error=error.reason)
    log.error("outbox_entry_dead", **facts)
    return "dead"
