"""``/roles``: what they permit and what they inherit."""

from pydantic import Field

from authsvc.access.role_graph import Role
from authsvc.storage.database import Transaction
from authsvc.web.admin.bodies import Body, Line
from authsvc.web.admin.idempotency import create_once
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, View, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit


class RoleView(View):
    """A role: the permissions given to it, and the roles it inherits."""

    name: str
    permissions: tuple[str, ...]
    inherits: tuple[str, ...]


class NewRole(Body):
    """A role to be created."""

    name: Line
    permissions: list[Line] = Field(default_factory=list)
    inherits: list[Line] = Field(default_factory=list)


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    after = read_cursor(call, "roles")
    resources = call.server.resources
    async with resources.database.reading() as tx:
        roles = await resources.role_administration.list(tx)
    # Sorted here: databases sort by locale, and a cursor must mean the same everywhere.
    roles.sort(key=lambda role: role.name)
    following = [role for role in roles if after is None or role.name > after]
    return page_of(
        following,
        limit=limit,
        collection="roles",
        place=lambda role: role.name,
        view=_view,
        page=Page[RoleView],
    )


async def _create(call: Call, body: NewRole) -> Answer:
    async def create(tx: Transaction) -> Answer:
        role = await call.server.resources.role_administration.create(
            tx,
            body.name,
            call.origin,
            permissions=list(dict.fromkeys(body.permissions)),
            inherits=list(dict.fromkeys(body.inherits)),
        )
        return ok(_view(role), status=201, location=call.location("roles", role.name))

    return await create_once(call, create)


async def _show(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.reading() as tx:
        return ok(_view(await resources.role_administration.get(tx, call.path["role"])))


async def _delete(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        await resources.role_administration.delete(tx, call.path["role"], call.origin)
    return NO_CONTENT


async def _allow(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        role = await resources.role_administration.allow(
            tx, call.path["role"], call.path["permission"], call.origin
        )
    return ok(_view(role))


async def _deny(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        role = await resources.role_administration.deny(
            tx, call.path["role"], call.path["permission"], call.origin
        )
    return ok(_view(role))


def _view(role: Role) -> RoleView:
    return RoleView(name=role.name, permissions=role.permissions, inherits=role.inherits)


_ROLE = "/roles/{role}"
_PERMISSION = f"{_ROLE}/permissions/{{permission}}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/roles",
        summary="List roles by name",
        run=_list,
        answer=Page[RoleView],
        query=PAGING,
        errors=(400,),
    ),
    Operation(
        method="POST",
        path="/roles",
        summary="Create a role",
        run=_create,
        body=NewRole,
        answer=RoleView,
        status=201,
        creates=True,
        errors=(400, 404, 409, 415),
    ),
    Operation(
        method="GET", path=_ROLE, summary="Show a role", run=_show, answer=RoleView, errors=(404,)
    ),
    Operation(
        method="DELETE",
        path=_ROLE,
        summary="Delete a role; its holders lose it",
        run=_delete,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="PUT",
        path=_PERMISSION,
        summary="Give a role a permission",
        run=_allow,
        answer=RoleView,
        errors=(400, 404),
    ),
    Operation(
        method="DELETE",
        path=_PERMISSION,
        summary="Take a permission from a role",
        run=_deny,
        answer=RoleView,
        errors=(404,),
    ),
)
