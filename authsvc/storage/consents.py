"""What a person has allowed a client."""

from datetime import datetime

from sqlalchemy import select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import consents
from authsvc.storage.upsert import insert_into


async def find_consent(
    tx: Transaction, user_id: str, client_id: str
) -> tuple[frozenset[str], datetime] | None:
    """Return the scopes the person allowed the client and when they last did, or None."""
    row = (
        await tx.execute(
            select(consents.c.scope, consents.c.granted_at).where(
                consents.c.user_id == user_id, consents.c.client_id == client_id
            )
        )
    ).first()
    return None if row is None else (frozenset(row[0].split()), row[1])


async def save_consent(
    tx: Transaction, user_id: str, client_id: str, scopes: frozenset[str], *, now: datetime
) -> None:
    """Add ``scopes`` to what the person allows the client."""
    earlier = await find_consent(tx, user_id, client_id)
    scope = " ".join(sorted(scopes | (earlier[0] if earlier else frozenset())))
    statement = (await insert_into(tx, consents)).values(
        user_id=user_id, client_id=client_id, scope=scope, granted_at=now
    )
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[consents.c.user_id, consents.c.client_id],
            set_={"scope": scope, "granted_at": now},
        )
    )
