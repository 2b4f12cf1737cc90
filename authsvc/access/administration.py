"""Changing roles: what the command line and the admin API do."""

import re
from collections.abc import Sequence
from typing import Any

from authsvc.access.role_graph import Role, RoleGraph
from authsvc.clock import Clock
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.storage import roles as rows
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.changes import Changes
from authsvc.storage.clients import find_client
from authsvc.storage.database import Transaction
from authsvc.storage.roles import HolderKind
from authsvc.storage.users import get_user

ROLES_REGISTRY = "roles"
CLIENTS_REGISTRY = "clients"
ADMIN_PERMISSION = "authsvc:admin"
_ROLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
_PERMISSION = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")


class RoleAdministration:
    """Creates, changes and assigns roles; each method works in the transaction given."""

    def __init__(self, changes: Changes, audit: AuditLog, clock: Clock) -> None:
        self._changes = changes
        self._audit = audit
        self._clock = clock

    async def create(
        self,
        tx: Transaction,
        name: str,
        origin: Origin,
        *,
        permissions: Sequence[str] = (),
        inherits: Sequence[str] = (),
    ) -> Role:
        """Create a role; raises InvalidRequest, Conflict, or NotFound for a parent."""
        if not _ROLE_NAME.fullmatch(name):
            raise InvalidRequest("A role's name has 1 to 100 letters, digits or . _ : / -")
        for permission in permissions:
            check_permission(permission)
        parent_ids = [await _get_role_id(tx, parent) for parent in inherits]
        role_id = await rows.create_role(tx, name, now=self._clock.now())
        for permission in permissions:
            await rows.allow(tx, role_id, permission)
        for parent_id in parent_ids:
            await rows.inherit(tx, role_id, parent_id)
        await self._changed(
            tx, "role.created", origin, name, permissions=[*permissions], inherits=[*inherits]
        )
        return await self.get(tx, name)

    async def get(self, tx: Transaction, name: str) -> Role:
        """Return the role ``name``; raises NotFound."""
        for role in await self.list(tx):
            if role.name == name:
                return role
        raise _no_such_role(name)

    async def list(self, tx: Transaction) -> list[Role]:
        """Return every role, by name."""
        return RoleGraph(await rows.load_roles(tx)).roles()

    async def delete(self, tx: Transaction, name: str, origin: Origin) -> int:
        """Delete the role and return how many users and clients lose it. Raises NotFound."""
        role_id = await _get_role_id(tx, name)
        holders = await rows.count_holders(tx, [role_id])
        await rows.delete_role(tx, role_id)
        await self._changed(tx, "role.deleted", origin, name, holders=holders)
        return holders

    async def allow(self, tx: Transaction, name: str, permission: str, origin: Origin) -> Role:
        """Give the role a permission. Safe to repeat. Raises InvalidRequest, NotFound."""
        check_permission(permission)
        if await rows.allow(tx, await _get_role_id(tx, name), permission):
            await self._changed(tx, "role.allowed", origin, name, permission=permission)
        return await self.get(tx, name)

    async def deny(self, tx: Transaction, name: str, permission: str, origin: Origin) -> Role:
        """Take a permission from the role. Safe to repeat. Raises NotFound."""
        if await rows.deny(tx, await _get_role_id(tx, name), permission):
            await self._changed(tx, "role.denied", origin, name, permission=permission)
        return await self.get(tx, name)

    async def inherit(self, tx: Transaction, name: str, parent: str, origin: Origin) -> Role:
        """Let the role inherit from ``parent``; raises NotFound, or Conflict for a circle."""
        await rows.lock_inheritance(tx)
        role_id = await _get_role_id(tx, name)
        parent_id = await _get_role_id(tx, parent)
        if RoleGraph(await rows.load_roles(tx)).inherits_from(parent_id, role_id):
            raise Conflict("A role can not inherit from itself, directly or through others")
        if await rows.inherit(tx, role_id, parent_id):
            await self._changed(tx, "role.inherits", origin, name, parent=parent)
        return await self.get(tx, name)

    async def assign(
        self, tx: Transaction, name: str, kind: HolderKind, holder: str, origin: Origin
    ) -> bool:
        """Give the role to a user or client; False when they had it. Raises NotFound."""
        role_id = await _get_role_id(tx, name)
        holder_id = await _get_holder(tx, kind, holder)
        assigned = await rows.assign(tx, role_id, kind, holder_id)
        if assigned:
            await self._held(tx, "role.assigned", kind, holder_id, name, origin)
        return assigned

    async def unassign(
        self, tx: Transaction, name: str, kind: HolderKind, holder: str, origin: Origin
    ) -> bool:
        """Take the role from a user or client; False when they lacked it. Raises NotFound."""
        role_id = await _get_role_id(tx, name)
        holder_id = await _get_holder(tx, kind, holder)
        taken = await rows.unassign(tx, role_id, kind, holder_id)
        if taken:
            await self._held(tx, "role.unassigned", kind, holder_id, name, origin)
        return taken

    async def _held(
        self, tx: Transaction, event: str, kind: HolderKind, holder: str, name: str, origin: Origin
    ) -> None:
        if kind == "client":
            await self._changes.bump(tx, CLIENTS_REGISTRY)
        await self._audit.record(
            tx,
            event,
            origin,
            now=self._clock.now(),
            subject=holder,
            client_id=holder if kind == "client" else "",
            role=name,
        )

    async def _changed(
        self, tx: Transaction, event: str, origin: Origin, name: str, **details: Any
    ) -> None:
        await self._changes.bump(tx, ROLES_REGISTRY)
        await self._audit.record(tx, event, origin, now=self._clock.now(), subject=name, **details)


def check_permission(permission: str) -> None:
    """Raise InvalidRequest when it can not be a permission: a scope-token (RFC 6749 §3.3)."""
    if not _PERMISSION.fullmatch(permission):
        raise InvalidRequest("A permission is a word like orders:read, without spaces or quotes")


async def _get_role_id(tx: Transaction, name: str) -> str:
    try:
        return await rows.get_role_id(tx, name)
    except NotFound as error:
        raise _no_such_role(name) from error


def _no_such_role(name: str) -> NotFound:
    # Of several that a caller named, the one; but no text that could be no role at all.
    named = f": {name}" if _ROLE_NAME.fullmatch(name) else ""
    return NotFound(f"There is no such role{named}")


async def _get_holder(tx: Transaction, kind: HolderKind, holder: str) -> str:
    if kind == "user":
        return (await get_user(tx, holder)).id
    if await find_client(tx, holder) is None:
        raise NotFound("There is no such client")
    return holder
