"""Links by which a person sets another password: each is good once, for a short time."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select, text

from authsvc.storage.database import Transaction
from authsvc.storage.schema import IS_LINK, password_resets

_BAR: Final = b""
"""The binding of a row that is no link: by it those are void that are not made yet."""


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


async def spend_password_reset(
    tx: Transaction, token_hash: bytes, *, now: datetime
) -> PasswordReset | None:
    """Use the link up, and return it; of any number of callers at once one has it."""
    reset = password_resets.c
    spent = (
        delete(password_resets)
        .where(reset.token_hash == token_hash, reset.expires_at > now)
        .returning(reset.user_id, reset.binding)
    )
    row = (await tx.execute(spent)).first()
    return None if row is None else PasswordReset(*row)


async def count_password_resets(tx: Transaction, reset: PasswordReset, *, now: datetime) -> int:
    """Return how many links of a person are good now: those of another binding are not."""
    stored = password_resets.c
    number: int = (
        await tx.execute(
            select(func.count())
            .select_from(password_resets)
            .where(
                text(IS_LINK),
                stored.user_id == reset.user_id,
                stored.binding == reset.binding,
                stored.expires_at > now,
            )
        )
    ).scalar_one()
    return number


async def delete_password_resets(tx: Transaction) -> int:
    """Let no link of anybody be good any more; return how many there were."""
    binding = password_resets.c.binding
    deleted = await tx.execute(delete(password_resets).returning(binding))
    return sum(found != _BAR for found in deleted.scalars())


async def void_password_resets(tx: Transaction, user_id: str) -> None:
    """Let no link of a person be good any more."""
    await tx.execute(delete(password_resets).where(password_resets.c.user_id == user_id))


async def bar_password_resets(
    tx: Transaction, user_id: str, *, now: datetime, expires_at: datetime
) -> None:
    """Let no link of a person be good any more, nor one that was asked for until ``now``.

    Such a one may wait to be made until ``expires_at``. The caller holds the person.
    """
    await void_password_resets(tx, user_id)
    bar = PasswordReset(user_id, _BAR)
    await add_password_reset(tx, secrets.token_bytes(32), bar, now=now, expires_at=expires_at)


async def is_barred(tx: Transaction, user_id: str, *, asked_at: datetime) -> bool:
    """Tell whether no link may be made that was asked for at ``asked_at``."""
    reset = password_resets.c
    bar = select(reset.token_hash).where(
        reset.user_id == user_id, reset.binding == _BAR, reset.created_at >= asked_at
    )
    return (await tx.execute(bar.limit(1))).first() is not None
