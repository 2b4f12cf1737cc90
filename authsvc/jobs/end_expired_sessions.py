"""Sessions end when their time is over, so that clients hear of it."""

from authsvc.jobs.stopping import is_stopping
from authsvc.logs import get_logger
from authsvc.oauth.server import AuthorizationServer

log = get_logger(__name__)
_BATCH = 100


async def end_expired_sessions(server: AuthorizationServer) -> None:
    """End every session whose time is over, a batch in each transaction.

    Safe in any number of processes at once: each gets sessions of its own.
    """
    resources = server.resources
    ended = 0
    while True:
        async with resources.database.transaction() as tx:
            batch = await resources.revoker.revoke_expired_sessions(
                tx, idle_ttl=resources.settings.session_idle_ttl, limit=_BATCH
            )
        ended += batch
        if batch < _BATCH or is_stopping():
            break
    if ended:
        log.info("expired_sessions_ended", sessions=ended)
