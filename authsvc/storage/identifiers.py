"""Time-ordered identifiers: UUIDv7 (RFC 9562 §5.7) as text. None of them is a secret."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def new_id(at: datetime) -> str:
    """Return a new identifier made at ``at``; those made later sort later."""
    return str(uuid_utils.uuid7(nanoseconds=int(at.timestamp() * 1_000_000) * 1_000))


def made_at(identifier: str) -> datetime:
    """Return the instant, to the millisecond, at which ``identifier`` was made.

    Raises ValueError when it is not an identifier of ours.
    """
    parsed = UUID(identifier)
    if parsed.version != 7:
        raise ValueError("not a UUIDv7")
    return datetime.fromtimestamp((parsed.int >> 80) / 1000, UTC)


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an identifier."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
