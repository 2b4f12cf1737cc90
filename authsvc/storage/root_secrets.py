"""The root secret: random, made once, sealed by the master key."""

import os
from datetime import datetime

from sqlalchemy import select, update

from authsvc.master_key import MasterKeys, RootSecret
from authsvc.storage.database import Transaction
from authsvc.storage.schema import root_secrets
from authsvc.storage.upsert import insert_into

_NAME = "root"
_PURPOSE = "root secret"


async def get_or_create_root_secret(
    tx: Transaction, master_keys: MasterKeys, *, now: datetime
) -> RootSecret:
    """Return the installation's root secret, made first where there is none.

    Raises SealError when none of the master keys opens it.
    """
    sealed = await _find_sealed(tx)
    if sealed is None:
        made = master_keys.seal(os.urandom(32), purpose=_PURPOSE)
        statement = (await insert_into(tx, root_secrets)).values(
            name=_NAME, secret_sealed=made, created_at=now
        )
        await tx.execute(statement.on_conflict_do_nothing())
        sealed = await _find_sealed(tx) or made
    return RootSecret(master_keys.open(sealed, purpose=_PURPOSE))


async def find_root_secret(tx: Transaction, master_keys: MasterKeys) -> RootSecret | None:
    """Return the root secret, or None where it was never made; raises SealError."""
    sealed = await _find_sealed(tx)
    return None if sealed is None else RootSecret(master_keys.open(sealed, purpose=_PURPOSE))


async def reseal_root_secret(tx: Transaction, master_keys: MasterKeys) -> int:
    """Put the root secret under the newest master key; return how many rows changed."""
    sealed = await _find_sealed(tx)
    if sealed is None or master_keys.is_newest(sealed):
        return 0
    secret = master_keys.open(sealed, purpose=_PURPOSE)
    await tx.execute(
        update(root_secrets)
        .where(root_secrets.c.name == _NAME)
        .values(secret_sealed=master_keys.seal(secret, purpose=_PURPOSE))
    )
    return 1


async def _find_sealed(tx: Transaction) -> bytes | None:
    rows = await tx.execute(
        select(root_secrets.c.secret_sealed).where(root_secrets.c.name == _NAME)
    )
    sealed: bytes | None = rows.scalar_one_or_none()
    return sealed
