"""What waits for one webhook is bounded, and nothing is kept for one that is gone.

A receiver that is away while somebody makes events would fill the table: the oldest go first,
since what is told late is worth least.
"""

from typing import Final

from authsvc.logs import get_logger
from authsvc.metrics import OUTBOX_ENTRIES
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage import outbox
from authsvc.storage.webhooks import load_webhooks
from authsvc.webhooks.messages import WEBHOOK

MAX_WAITING: Final = 10_000
"""Entries that wait for one webhook."""
_MEMBER: Final = "webhook_id"
_BATCH: Final = 500

log = get_logger(__name__)


async def bound_webhooks(server: AuthorizationServer) -> None:
    """Drop what waits for a webhook beyond ``MAX_WAITING``, the oldest first; say how much.

    What is dead counts by itself: it goes by its age. Of webhooks that are gone all is dropped.
    """
    database = server.resources.database
    async with database.reading() as tx:
        waiting = await outbox.count_by(tx, WEBHOOK, _MEMBER, dead=False)
        dead = await outbox.count_by(tx, WEBHOOK, _MEMBER, dead=True)
        # After the entries: a webhook that is created meanwhile is seen with them.
        there = {webhook.id for webhook in await load_webhooks(tx)}
    for webhook_id in sorted((waiting.keys() | dead.keys()) - there):
        dropped = await server.resources.webhooks.discard_entries(webhook_id)
        _tell(webhook_id, dropped, reason="the webhook is gone")
    for webhook_id in sorted(waiting.keys() & there):
        dropped = await _drop_oldest(server, webhook_id, waiting[webhook_id] - MAX_WAITING)
        _tell(webhook_id, dropped, reason="too many wait")


async def _drop_oldest(server: AuthorizationServer, webhook_id: str, number: int) -> int:
    dropped = 0
    while dropped < number:
        limit = min(_BATCH, number - dropped)
        async with server.resources.database.transaction() as tx:
            batch = await outbox.drop_oldest(tx, WEBHOOK, _MEMBER, webhook_id, limit=limit)
        dropped += batch
        if batch < limit:
            break
    return dropped


def _tell(webhook_id: str, dropped: int, *, reason: str) -> None:
    if dropped:
        OUTBOX_ENTRIES.labels(WEBHOOK, "dropped").inc(dropped)
        log.warning("webhook_entries_dropped", webhook=webhook_id, number=dropped, reason=reason)
