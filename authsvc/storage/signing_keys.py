"""Signing keys' rows. Private keys are sealed under the master key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, select, text, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import signing_keys

KeyState = Literal["next", "active", "retired", "revoked"]
_LOCK = 0x6175746873766301


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """A signing key as it is stored. ``usable_at`` is when it may begin to sign."""

    kid: str
    alg: str
    state: KeyState
    private_key_sealed: bytes
    public_jwk: Mapping[str, Any]
    created_at: datetime
    usable_at: datetime
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    revoked_at: datetime | None = None


_COLUMNS = (
    signing_keys.c.kid,
    signing_keys.c.alg,
    signing_keys.c.state,
    signing_keys.c.private_key_sealed,
    signing_keys.c.public_jwk,
    signing_keys.c.created_at,
    signing_keys.c.usable_at,
    signing_keys.c.activated_at,
    signing_keys.c.retired_at,
    signing_keys.c.revoked_at,
)


async def lock_signing_keys(tx: Transaction) -> None:
    """Let one transaction at a time change the keys, in the whole cluster."""
    connection = await tx.connection()
    if connection.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def load_signing_keys(tx: Transaction) -> list[SigningKeyRow]:
    """Return every key, oldest first."""
    rows = await tx.execute(
        select(*_COLUMNS).order_by(signing_keys.c.created_at, signing_keys.c.kid)
    )
    return [SigningKeyRow(*row) for row in rows]


async def save_signing_key(tx: Transaction, key: SigningKeyRow) -> None:
    """Store a new key."""
    await tx.execute(
        signing_keys.insert().values(
            kid=key.kid,
            alg=key.alg,
            state=key.state,
            private_key_sealed=key.private_key_sealed,
            public_jwk=dict(key.public_jwk),
            created_at=key.created_at,
            usable_at=key.usable_at,
            activated_at=key.activated_at,
        )
    )


async def set_key_state(tx: Transaction, kid: str, state: KeyState, *, now: datetime) -> None:
    """Move the key on and note when."""
    instant = {"active": "activated_at", "retired": "retired_at", "revoked": "revoked_at"}[state]
    await tx.execute(
        update(signing_keys).where(signing_keys.c.kid == kid).values({"state": state, instant: now})
    )


async def reseal_signing_key(tx: Transaction, kid: str, private_key_sealed: bytes) -> None:
    """Replace the sealed private key."""
    await tx.execute(
        update(signing_keys)
        .where(signing_keys.c.kid == kid)
        .values(private_key_sealed=private_key_sealed)
    )


async def remove_signing_key(tx: Transaction, kid: str) -> None:
    """Delete the key."""
    await tx.execute(delete(signing_keys).where(signing_keys.c.kid == kid))
