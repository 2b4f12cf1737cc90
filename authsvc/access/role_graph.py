"""The role graph in memory: what a set of roles amounts to."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from authsvc.storage.roles import RoleRow

RESERVED_NAMESPACE: Final = "authsvc:"


@dataclass(frozen=True, slots=True)
class Role:
    """A role by its names: what it was given, and what it inherits."""

    name: str
    permissions: tuple[str, ...]
    inherits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a subject holds, inherited roles and their permissions included."""

    roles: tuple[str, ...]
    permissions: tuple[str, ...]


def is_reserved(permission: str) -> bool:
    """Tell whether the permission governs this service itself."""
    return permission.startswith(RESERVED_NAMESPACE)


class RoleGraph:
    """Every role at one moment; never changes, a new one takes its place."""

    def __init__(self, rows: Sequence[RoleRow]) -> None:
        self._rows = {row.id: row for row in rows}
        self._held: dict[frozenset[str], Holding] = {}
        self._permissions = frozenset(p for row in rows for p in row.permissions)

    def roles(self) -> list[Role]:
        """Return every role, by name."""
        return [
            Role(
                row.name,
                row.permissions,
                tuple(sorted(self._rows[id_].name for id_ in row.parent_ids)),
            )
            for row in self._rows.values()
        ]

    def holding(self, role_ids: Iterable[str]) -> Holding:
        """Return what the roles amount to; roles that are gone amount to nothing."""
        wanted = frozenset(role_ids)
        held = self._held.get(wanted)
        if held is None:
            held = self._held[wanted] = self._resolve(wanted)
        return held

    def inherits_from(self, role_id: str, ancestor_id: str) -> bool:
        """Tell whether the role is, or inherits directly or not from, the other."""
        return ancestor_id in self._closure({role_id})

    def names(self, role_ids: Iterable[str]) -> list[str]:
        """Return the names of the roles given, without those they inherit."""
        return sorted(self._rows[id_].name for id_ in role_ids if id_ in self._rows)

    def narrow(
        self,
        permissions: Iterable[str],
        *,
        scope: Iterable[str],
        audience: Collection[str],
        resources: Mapping[str, frozenset[str]],
    ) -> tuple[str, ...]:
        """Return the permissions that a token of this scope and audience carries.

        A scope that names permissions narrows to those: the person consented to no more.
        A token for declared resource servers carries the permissions in their namespaces,
        the part before the first colon. Nothing is ever added.
        """
        named = self._permissions.intersection(scope)
        declared = [resources[uri] for uri in audience if uri in resources]
        namespaces = frozenset().union(*declared)
        return tuple(
            permission
            for permission in permissions
            if (not named or permission in named)
            and (not declared or permission.partition(":")[0] in namespaces)
        )

    def reserved(self, role_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the permissions of the roles that govern this service itself.

        A person's token carries them only for a client that the person has allowed to use
        them: any app they sign in to could administer the service otherwise.
        """
        held = self.holding(role_ids).permissions
        return tuple(name for name in held if is_reserved(name))

    def _resolve(self, role_ids: frozenset[str]) -> Holding:
        reached = self._closure(role_ids)
        names = {self._rows[id_].name for id_ in reached}
        permissions = {p for id_ in reached for p in self._rows[id_].permissions}
        return Holding(tuple(sorted(names)), tuple(sorted(permissions)))

    def _closure(self, role_ids: Collection[str]) -> set[str]:
        reached: set[str] = set()
        pending = [id_ for id_ in role_ids if id_ in self._rows]
        while pending:
            role_id = pending.pop()
            if role_id not in reached:
                reached.add(role_id)
                pending += self._rows[role_id].parent_ids
        return reached
