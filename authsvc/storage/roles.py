"""Roles, what they hold and inherit, and who holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Table, delete, func, select, text
from sqlalchemy.exc import IntegrityError

from authsvc.protocol.errors import Conflict, NotFound
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import (
    client_roles,
    role_parents,
    role_permissions,
    roles,
    user_roles,
    users,
)
from authsvc.storage.upsert import insert_into

HolderKind = Literal["user", "client"]
_LOCK = 0x6175746873766304


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role with the permissions and the parents given to it directly."""

    id: str
    name: str
    permissions: tuple[str, ...]
    parent_ids: tuple[str, ...]


async def lock_inheritance(tx: Transaction) -> None:
    """Let one transaction at a time change what inherits from what."""
    connection = await tx.connection()
    if connection.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def load_roles(tx: Transaction) -> list[RoleRow]:
    """Return every role, by name."""
    permissions: dict[str, list[str]] = {}
    for role_id, permission in await tx.execute(
        select(role_permissions.c.role_id, role_permissions.c.permission).order_by(
            role_permissions.c.permission
        )
    ):
        permissions.setdefault(role_id, []).append(permission)
    parents: dict[str, list[str]] = {}
    for role_id, parent_id in await tx.execute(
        select(role_parents.c.role_id, role_parents.c.parent_id)
    ):
        parents.setdefault(role_id, []).append(parent_id)
    rows = await tx.execute(select(roles.c.id, roles.c.name).order_by(roles.c.name))
    return [
        RoleRow(id_, name, tuple(permissions.get(id_, ())), tuple(parents.get(id_, ())))
        for id_, name in rows
    ]


async def create_role(tx: Transaction, name: str, *, now: datetime) -> str:
    """Store a new role and return its identifier; raises Conflict when the name is taken."""
    role_id = new_id(now)
    try:
        await tx.execute(roles.insert().values(id=role_id, name=name, created_at=now))
    except IntegrityError as error:
        raise Conflict("There is a role with this name already") from error
    return role_id


async def get_role_id(tx: Transaction, name: str) -> str:
    """Return the identifier of the role ``name``; raises NotFound."""
    role_id = (await tx.execute(select(roles.c.id).where(roles.c.name == name))).scalar()
    if role_id is None:
        raise NotFound("There is no such role")
    return str(role_id)


async def delete_role(tx: Transaction, role_id: str) -> None:
    """Delete the role; those who held or inherited it no longer do."""
    await tx.execute(delete(roles).where(roles.c.id == role_id))


async def allow(tx: Transaction, role_id: str, permission: str) -> bool:
    """Give the role a permission; False when it had it."""
    return await _insert(tx, role_permissions, role_id=role_id, permission=permission)


async def deny(tx: Transaction, role_id: str, permission: str) -> bool:
    """Take a permission from the role; False when it did not have it."""
    rows = await tx.execute(
        delete(role_permissions)
        .where(role_permissions.c.role_id == role_id, role_permissions.c.permission == permission)
        .returning(role_permissions.c.role_id)
    )
    return rows.first() is not None


async def inherit(tx: Transaction, role_id: str, parent_id: str) -> bool:
    """Let the role inherit from another; False when it did."""
    return await _insert(tx, role_parents, role_id=role_id, parent_id=parent_id)


async def assign(tx: Transaction, role_id: str, kind: HolderKind, holder_id: str) -> bool:
    """Give the role to a user or a client; False when they had it."""
    table = user_roles if kind == "user" else client_roles
    return await _insert(tx, table, **{f"{kind}_id": holder_id, "role_id": role_id})


async def unassign(tx: Transaction, role_id: str, kind: HolderKind, holder_id: str) -> bool:
    """Take the role from a user or a client; False when they did not have it."""
    table = user_roles if kind == "user" else client_roles
    rows = await tx.execute(
        delete(table)
        .where(table.c[f"{kind}_id"] == holder_id, table.c.role_id == role_id)
        .returning(table.c.role_id)
    )
    return rows.first() is not None


async def count_holders(tx: Transaction, role_ids: Sequence[str]) -> int:
    """Return how many users and clients hold one of the roles directly."""
    total = 0
    for table in (user_roles, client_roles):
        rows = await tx.execute(
            select(func.count()).select_from(table).where(table.c.role_id.in_(role_ids))
        )
        total += rows.scalar_one()
    return total


async def has_living_holder(tx: Transaction, role_ids: Sequence[str]) -> bool:
    """Tell whether a client, or a user who is not disabled, holds one of the roles directly."""
    people = (
        select(user_roles.c.role_id)
        .join(users, users.c.id == user_roles.c.user_id)
        .where(user_roles.c.role_id.in_(role_ids), users.c.disabled_at.is_(None))
    )
    clients = select(client_roles.c.role_id).where(client_roles.c.role_id.in_(role_ids))
    for statement in (people, clients):
        if (await tx.execute(statement.limit(1))).first() is not None:
            return True
    return False


async def _insert(tx: Transaction, table: Table, **values: str) -> bool:
    statement = (await insert_into(tx, table)).values(**values)
    rows = await tx.execute(
        statement.on_conflict_do_nothing().returning(next(iter(statement.table.c)))
    )
    return rows.first() is not None
