"""Audit events are chained soon after they were written, and now and then that is signed."""

from authsvc.oauth.server import AuthorizationServer


async def chain_audit(server: AuthorizationServer) -> None:
    """Chain the events that are not chained yet; issue a checkpoint when one is due.

    Raises Conflict when the log ends before a checkpoint: it was tampered with.
    """
    resources = server.resources
    async with resources.database.transaction() as tx:
        head = await resources.audit_chain.chain(tx)
    await resources.audit_checkpoints.issue_if_due(head)
