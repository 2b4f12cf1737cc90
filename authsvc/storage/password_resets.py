"""Links by which a person sets another password: each is good once, for a short time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import password_resets


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """A link that is good; ``binding`` is what must not have changed since it was made."""

    user_id: str
    binding: bytes


async def add_password_reset(
    tx: Transaction, token_hash: bytes, reset: PasswordReset, *, now: datetime, expires_at: datetime
) -> None:
    """Store a link; the caller holds its person, and has seen that it is not there yet."""
    await tx.execute(
        password_resets.insert().values(
            token_hash=token_hash,
            user_id=reset.user_id,
            binding=reset.binding,
            created_at=now,
            expires_at=expires_at,
        )
    )


async def find_password_reset(
    tx: Transaction, token_hash: bytes, *, now: datetime
) -> PasswordReset | None:
    """Return the link if it is good, and leave it so."""
    reset = password_resets.c
    found = select(reset.user_id, reset.binding).where(
        reset.token_hash == token_hash, reset.expires_at > now
    )
    row = (await tx.execute(found)).first()
    return None if row is None else PasswordReset(*row)


async def spend_password_reset(tx: Transaction, token_hash: bytes, *, now: datetime) -> bool:
    """Use the link up; of any number of callers at once one is told that it was good."""
    reset = password_resets.c
    spent = (
        delete(password_resets)
        .where(reset.token_hash == token_hash, reset.expires_at > now)
        .returning(reset.token_hash)
    )
    return (await tx.execute(spent)).first() is not None


async def count_password_resets(tx: Transaction, user_id: str, *, now: datetime) -> int:
    """Return how many links of a person are good now."""
    reset = password_resets.c
    number: int = (
        await tx.execute(
            select(func.count())
            .select_from(password_resets)
            .where(reset.user_id == user_id, reset.expires_at > now)
        )
    ).scalar_one()
    return number


async def delete_password_resets(tx: Transaction) -> int:
    """Let no link of anybody be good any more; return how many there were."""
    deleted = await tx.execute(delete(password_resets))
    return deleted.rowcount


async def void_password_resets(tx: Transaction, user_id: str) -> None:
    """Let no link of a person be good any more."""
    await tx.execute(delete(password_resets).where(password_resets.c.user_id == user_id))
