"""Audit events are chained soon after they were written."""

from authsvc.oauth.server import AuthorizationServer


async def chain_audit(server: AuthorizationServer) -> None:
    """Chain the events that are not chained yet."""
    async with server.resources.database.transaction() as tx:
        await server.resources.audit.chain(tx)
