"""Clients that registered themselves and were never used go."""

from typing import Final

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.jobs.stopping import is_stopping
from authsvc.logs import get_logger
from authsvc.oauth.server import AuthorizationServer
from authsvc.resources import Resources
from authsvc.storage.audit import Origin
from authsvc.storage.registered_clients import delete_unused_clients

log = get_logger(__name__)
_ORIGIN: Final = Origin("schedule")
BATCH: Final = 100


async def purge_unused_clients(server: AuthorizationServer) -> None:
    """Delete those that are older than the setting allows, a batch a transaction.

    Safe in any number of processes at once: each takes rows that no other holds.
    """
    resources = server.resources
    deleted = await _purge_batch(resources)
    while deleted == BATCH and not is_stopping():
        deleted = await _purge_batch(resources)


async def _purge_batch(resources: Resources) -> int:
    now = resources.clock.now()
    async with resources.database.transaction() as tx:
        client_ids = await delete_unused_clients(
            tx, before=now - resources.settings.registration_unused_ttl, limit=BATCH
        )
        for client_id in client_ids:
            await resources.audit.record(
                tx,
                "client.deleted",
                _ORIGIN,
                now=now,
                subject=client_id,
                client_id=client_id,
                reason="never used",
            )
        if client_ids:
            await resources.changes.bump(tx, CLIENTS_REGISTRY)
    if client_ids:
        log.info("unused_clients_deleted", number=len(client_ids))
    return len(client_ids)
