"""What is over goes, so that the tables stay as large as what lives.

What each table keeps, and for how long, is in docs/operations.md ("Jobs") and decision 28.
"""

import time
from datetime import timedelta
from typing import Final

from authsvc.jobs.stopping import is_stopping, pause
from authsvc.logs import get_logger
from authsvc.metrics import PURGED_ROWS
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.purge import PURGES, Batch, Cutoffs, Purge

log = get_logger(__name__)

BATCH: Final = 500
"""Rows of one transaction."""
BUDGET_SECONDS: Final = 60.0
"""Longest time of one run; what is left is for the next."""
GRACE: Final = timedelta(hours=1)
"""How long a row stays once it is over: for clocks that differ, requests that are under way, and
processes that know other settings."""
_SHORTEST_PAUSE: Final = 0.01


async def purge_expired(server: AuthorizationServer) -> None:
    """Delete what was over long enough, a batch of each table in turn, until nothing is left.

    It pauses for as long as each batch took, so that it takes half of a database at most.
    Safe in any number of processes at once: each takes rows that no other holds.
    """
    cutoffs = find_cutoffs(server)
    left = dict(PURGES)
    deleted = dict.fromkeys(PURGES, 0)
    until = time.monotonic() + BUDGET_SECONDS
    while left and not is_stopping() and time.monotonic() < until:
        for name, purge in list(left.items()):
            batch, seconds = await _purge_batch(server, purge, cutoffs)
            deleted[name] += batch.deleted
            PURGED_ROWS.labels(name.partition(" ")[0]).inc(batch.deleted)
            if batch.seen < BATCH:
                del left[name]
            if batch.seen:
                await pause(max(seconds, _SHORTEST_PAUSE))
    if any(deleted.values()):
        facts = {name.replace(" ", "_"): number for name, number in deleted.items() if number}
        log.info("expired_rows_purged", complete=not left, **facts)


def find_cutoffs(server: AuthorizationServer) -> Cutoffs:
    """Return since when a row must be over to go, by the settings."""
    settings, now = server.resources.settings, server.resources.clock.now()
    return Cutoffs(
        now=now,
        expired=now - GRACE,
        # A replay of a code takes back the access token that it yielded.
        codes=now - settings.access_token_ttl - GRACE,
        dead_entries=now - settings.outbox_dead_ttl,
    )


async def _purge_batch(
    server: AuthorizationServer, purge: Purge, cutoffs: Cutoffs
) -> tuple[Batch, float]:
    """Return what one transaction did, and the seconds it took."""
    began = time.monotonic()
    async with server.resources.database.transaction() as tx:
        batch = await purge(tx, cutoffs, BATCH)
    return batch, time.monotonic() - began
