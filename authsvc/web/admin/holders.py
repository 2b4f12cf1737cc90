"""The roles that a user or a client holds directly."""

from collections.abc import Awaitable, Callable, Sequence

from authsvc.access.role_graph import RoleGraph
from authsvc.protocol.errors import NotFound
from authsvc.storage.database import Transaction
from authsvc.storage.roles import HolderKind, load_roles
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, View, ok


class HeldRole(View):
    """A role that is held."""

    name: str


class HeldRoles(View):
    """The roles that are held directly, by name; those they inherit are not listed."""

    items: tuple[HeldRole, ...]
    next_cursor: None


async def held_roles(tx: Transaction, role_ids: Sequence[str]) -> HeldRoles:
    """Return the roles of these identifiers."""
    names = RoleGraph(await load_roles(tx)).names(role_ids)
    return HeldRoles(items=tuple(HeldRole(name=name) for name in names), next_cursor=None)


def holder_operations(
    kind: HolderKind, path: str, read: Callable[[Call], Awaitable[HeldRoles]]
) -> tuple[Operation, ...]:
    """Return the operations on the roles of a ``kind`` that ``path`` leads to."""

    def holder(call: Call) -> str:
        return call.id("user_id") if kind == "user" else call.path["client_id"]

    async def show_all(call: Call) -> Answer:
        return ok(await read(call))

    async def show(call: Call) -> Answer:
        for role in (await read(call)).items:
            if role.name == call.path["role"]:
                return ok(role)
        raise NotFound("The role is not held")

    async def assign(call: Call) -> Answer:
        resources = call.server.resources
        async with resources.database.transaction() as tx:
            await resources.role_administration.assign(
                tx, call.path["role"], kind, holder(call), call.origin
            )
        return NO_CONTENT

    async def unassign(call: Call) -> Answer:
        resources = call.server.resources
        async with resources.database.transaction() as tx:
            await resources.role_administration.unassign(
                tx, call.path["role"], kind, holder(call), call.origin
            )
        return NO_CONTENT

    one = f"{path}/roles/{{role}}"
    return (
        Operation(
            method="GET",
            path=f"{path}/roles",
            summary=f"List the roles of a {kind}",
            run=show_all,
            answer=HeldRoles,
            errors=(404,),
        ),
        Operation(
            method="GET",
            path=one,
            summary=f"Tell whether a {kind} holds a role",
            run=show,
            answer=HeldRole,
            errors=(404,),
        ),
        Operation(
            method="PUT",
            path=one,
            summary=f"Give a {kind} a role",
            run=assign,
            status=204,
            errors=(404,),
        ),
        Operation(
            method="DELETE",
            path=one,
            summary=f"Take a role from a {kind}",
            run=unassign,
            status=204,
            errors=(404,),
        ),
    )
