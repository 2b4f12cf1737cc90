"""Clients' rows, their secrets and the roles they hold, read together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from authsvc.protocol.errors import Conflict, NotFound
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import client_roles, client_secrets, clients


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One client secret: its keyed hash and, where the client signs with it, itself, sealed."""

    secret_hash: bytes
    secret_sealed: bytes | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as it is stored."""

    client_id: str
    metadata: Mapping[str, Any]
    self_registered: bool
    registration_token_hash: bytes | None
    created_at: datetime
    updated_at: datetime
    used_at: datetime | None
    secrets: tuple[SecretRow, ...]
    role_ids: tuple[str, ...]


_COLUMNS = (
    clients.c.client_id,
    clients.c.metadata,
    clients.c.self_registered,
    clients.c.registration_token_hash,
    clients.c.created_at,
    clients.c.updated_at,
    clients.c.used_at,
)


async def create_client(
    tx: Transaction,
    client_id: str,
    metadata: Mapping[str, Any],
    *,
    now: datetime,
    registration_token_hash: bytes | None = None,
) -> None:
    """Store a new client; raises Conflict when the identifier is taken.

    A client with a registration access token is one that registered itself.
    """
    try:
        await tx.execute(
            clients.insert().values(
                client_id=client_id,
                metadata=dict(metadata),
                self_registered=registration_token_hash is not None,
                registration_token_hash=registration_token_hash,
                created_at=now,
                updated_at=now,
            )
        )
    except IntegrityError as error:
        raise Conflict("There is a client with this client_id already") from error


async def find_client(tx: Transaction, client_id: str) -> ClientRow | None:
    """Return the client with its secrets and roles, or None."""
    found = await _read(tx, [client_id])
    return found[0] if found else None


async def lock_client(tx: Transaction, client_id: str) -> None:
    """Let nobody else change the client before ``tx`` ends."""
    await tx.execute(
        select(clients.c.client_id)
        .where(clients.c.client_id == client_id)
        .with_for_update(key_share=True)
    )


async def list_clients(tx: Transaction, *, after: str | None, limit: int) -> list[ClientRow]:
    """Return up to ``limit`` clients by identifier, from the one after ``after`` on."""
    return await _read(tx, await list_client_ids(tx, after=after, limit=limit))


async def list_client_ids(tx: Transaction, *, after: str | None, limit: int) -> list[str]:
    """Return up to ``limit`` identifiers in order, from the one after ``after`` on."""
    statement = select(clients.c.client_id).order_by(clients.c.client_id).limit(limit)
    if after is not None:
        statement = statement.where(clients.c.client_id > after)
    return list((await tx.execute(statement)).scalars())


async def update_client(
    tx: Transaction, client_id: str, metadata: Mapping[str, Any], *, now: datetime
) -> None:
    """Replace the client's metadata; raises NotFound."""
    rows = await tx.execute(
        update(clients)
        .where(clients.c.client_id == client_id)
        .values(metadata=dict(metadata), updated_at=now)
        .returning(clients.c.client_id)
    )
    if rows.first() is None:
        raise NotFound("There is no such client")


async def delete_client(tx: Transaction, client_id: str) -> None:
    """Delete the client and all that hangs on the row; raises NotFound."""
    rows = await tx.execute(
        delete(clients).where(clients.c.client_id == client_id).returning(clients.c.client_id)
    )
    if rows.first() is None:
        raise NotFound("There is no such client")


async def add_secret(
    tx: Transaction,
    client_id: str,
    secret_hash: bytes,
    *,
    secret_sealed: bytes | None,
    now: datetime,
) -> None:
    """Store one more secret of the client."""
    await tx.execute(
        client_secrets.insert().values(
            id=new_id(now),
            client_id=client_id,
            secret_hash=secret_hash,
            secret_sealed=secret_sealed,
            created_at=now,
        )
    )


async def list_sealed_secrets(tx: Transaction) -> list[tuple[str, bytes]]:
    """Return identifier and value of every sealed secret; none changes before ``tx`` ends."""
    secret = client_secrets.c
    rows = await tx.execute(
        select(secret.id, secret.secret_sealed)
        .where(secret.secret_sealed.is_not(None))
        .order_by(secret.id)
        .with_for_update()
    )
    return [(secret_id, sealed) for secret_id, sealed in rows]


async def replace_sealed_secret(tx: Transaction, secret_id: str, sealed: bytes) -> None:
    """Store the same secret, sealed anew."""
    await tx.execute(
        update(client_secrets).where(client_secrets.c.id == secret_id).values(secret_sealed=sealed)
    )


async def drop_sealed_secrets(tx: Transaction, client_id: str) -> None:
    """Keep of the client's secrets their hashes alone."""
    secret = client_secrets.c
    await tx.execute(
        update(client_secrets)
        .where(secret.client_id == client_id, secret.secret_sealed.is_not(None))
        .values(secret_sealed=None)
    )


async def expire_secrets(tx: Transaction, client_id: str, *, at: datetime) -> None:
    """Let every secret the client has now end at ``at``, those that end sooner apart."""
    secret = client_secrets.c
    await tx.execute(
        update(client_secrets)
        .where(
            secret.client_id == client_id,
            or_(secret.expires_at.is_(None), secret.expires_at > at),
        )
        .values(expires_at=at)
    )
    await tx.execute(
        delete(client_secrets).where(secret.client_id == client_id, secret.expires_at < at)
    )


async def _read(tx: Transaction, client_ids: Sequence[str]) -> list[ClientRow]:
    rows = (
        await tx.execute(
            select(*_COLUMNS)
            .where(clients.c.client_id.in_(client_ids))
            .order_by(clients.c.client_id)
        )
    ).all()
    if not rows:
        # Anybody may ask for a client that is not there: it costs one look-up.
        return []
    secrets: dict[str, list[SecretRow]] = {}
    secret = client_secrets.c
    for client_id, *members in await tx.execute(
        select(secret.client_id, secret.secret_hash, secret.secret_sealed, secret.expires_at)
        .where(secret.client_id.in_(client_ids))
        .order_by(secret.id.desc())
    ):
        secrets.setdefault(client_id, []).append(SecretRow(*members))
    role_ids: dict[str, list[str]] = {}
    for client_id, role_id in await tx.execute(
        select(client_roles.c.client_id, client_roles.c.role_id).where(
            client_roles.c.client_id.in_(client_ids)
        )
    ):
        role_ids.setdefault(client_id, []).append(role_id)
    return [
        ClientRow(
            client_id=row.client_id,
            metadata=row.metadata,
            self_registered=row.self_registered,
            registration_token_hash=row.registration_token_hash,
            created_at=row.created_at,
            updated_at=row.updated_at,
            used_at=row.used_at,
            secrets=tuple(secrets.get(row.client_id, ())),
            role_ids=tuple(role_ids.get(row.client_id, ())),
        )
        for row in rows
    ]
