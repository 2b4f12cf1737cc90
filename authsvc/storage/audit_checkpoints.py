"""Rows of the audit chain's signed checkpoints; never changed, never removed."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import audit_checkpoints, audit_events

_BATCH = 500


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as it is stored: a compact JWS and the public JWK that verifies it."""

    position: int
    checkpoint: str
    public_jwk: Mapping[str, Any]
    created_at: datetime


_COLUMNS = (
    audit_checkpoints.c.position,
    audit_checkpoints.c.checkpoint,
    audit_checkpoints.c.public_jwk,
    audit_checkpoints.c.created_at,
)


async def save_checkpoint(tx: Transaction, row: CheckpointRow) -> None:
    """Store a new checkpoint; raises IntegrityError where there is one at the position."""
    await tx.execute(
        audit_checkpoints.insert().values(
            position=row.position,
            checkpoint=row.checkpoint,
            public_jwk=dict(row.public_jwk),
            created_at=row.created_at,
        )
    )


async def find_last_checkpoint(tx: Transaction) -> CheckpointRow | None:
    """Return the checkpoint that is furthest in the chain, None before the first."""
    rows = await tx.execute(
        select(*_COLUMNS).order_by(audit_checkpoints.c.position.desc()).limit(1)
    )
    row = rows.first()
    return CheckpointRow(*row) if row else None


async def list_checkpoints(
    tx: Transaction,
) -> AsyncGenerator[Sequence[tuple[CheckpointRow, bytes | None]]]:
    """Yield the checkpoints in the order of their positions, many at a time.

    With each comes the link of the event at its position, None where there is no such event.
    """
    statement = (
        select(*_COLUMNS, audit_events.c.chain_hash)
        .select_from(audit_checkpoints)
        .outerjoin(audit_events, audit_events.c.position == audit_checkpoints.c.position)
        .order_by(audit_checkpoints.c.position)
        .limit(_BATCH)
    )
    position = -1
    while True:
        rows = (await tx.execute(statement.where(audit_checkpoints.c.position > position))).all()
        yield [(CheckpointRow(*row[:4]), row[4]) for row in rows]
        if len(rows) < _BATCH:
            return
        position = rows[-1][0]
