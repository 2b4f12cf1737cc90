"""Which clients a session was used at, of those that want to hear when it ends."""

from collections.abc import Sequence

from sqlalchemy import select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import clients, session_clients
from authsvc.storage.upsert import insert_into

_BATCH = 1_000


async def add_session_client(tx: Transaction, session_id: str, client_id: str) -> None:
    """Note that the client got something on the session. Safe to repeat."""
    statement = (await insert_into(tx, session_clients)).values(
        session_id=session_id, client_id=client_id
    )
    await tx.execute(statement.on_conflict_do_nothing())


async def list_session_clients(tx: Transaction, session_id: str) -> list[str]:
    """Return the clients that were noted for the session, by their identifiers."""
    rows = await tx.execute(
        select(session_clients.c.client_id)
        .where(session_clients.c.session_id == session_id)
        .order_by(session_clients.c.client_id)
    )
    return list(rows.scalars())


async def list_backchannel_clients(
    tx: Transaction, session_ids: Sequence[str]
) -> list[tuple[str, str]]:
    """Return session and client for each client of the sessions with a back-channel URI."""
    uri = clients.c.metadata["backchannel_logout_uri"].as_string()
    found: list[tuple[str, str]] = []
    for start in range(0, len(session_ids), _BATCH):
        rows = await tx.execute(
            select(session_clients.c.session_id, session_clients.c.client_id)
            .join(clients, clients.c.client_id == session_clients.c.client_id)
            .where(
                session_clients.c.session_id.in_(session_ids[start : start + _BATCH]),
                uri.is_not(None),
            )
        )
        found.extend((session_id, client_id) for session_id, client_id in rows)
    return found
