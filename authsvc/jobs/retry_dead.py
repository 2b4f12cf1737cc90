"""What the outbox gave up is tried again when an operator says so."""

from typing import Final

from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import NotFound
from authsvc.storage import outbox
from authsvc.storage.audit import Origin

BATCH: Final = 500


async def retry_dead_entry(server: AuthorizationServer, entry_id: str, origin: Origin) -> int:
    """Let one dead entry be due again; return 0 when it waits anyway.

    Raises NotFound when there is none: it was delivered, or purged, or never was.
    """
    resources = server.resources
    now = resources.clock.now()
    async with resources.database.transaction() as tx:
        revived = await outbox.revive(tx, now=now, limit=1, entry_id=entry_id)
        if not revived and not await outbox.exists(tx, entry_id):
            raise NotFound("There is no such outbox entry: it was delivered, or never there")
        for found in revived:
            await resources.audit.record(tx, "outbox.retried", origin, now=now, subject=found)
    return len(revived)


async def retry_dead_entries(server: AuthorizationServer, origin: Origin) -> int:
    """Let every entry that is dead now be due again; return how many they were.

    A batch a transaction, each with an event that says how many: whoever follows the audit log
    is told of hundreds of identifiers otherwise.
    """
    resources = server.resources
    now, revived = resources.clock.now(), 0
    while True:
        async with resources.database.transaction() as tx:
            batch = await outbox.revive(tx, now=now, limit=BATCH)
            if batch:
                await resources.audit.record(
                    tx, "outbox.retried", origin, now=now, every=True, number=len(batch)
                )
        revived += len(batch)
        if len(batch) < BATCH:
            return revived
