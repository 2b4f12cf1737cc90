"""Audit events are chained soon after they were written."""

from authsvc.resources import Resources


async def chain_audit(resources: Resources) -> None:
    """Chain the events that are not chained yet."""
    async with resources.database.transaction() as tx:
        await resources.audit.chain(tx)
