"""``authsvc roles``: roles, their permissions, and who holds them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from authsvc.access.administration import RoleAdministration
from authsvc.access.role_graph import Role
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_document, print_json, print_lines, print_table
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.roles import HolderKind

T = TypeVar("T")

app = typer.Typer(help="Roles: what they allow, and who holds them.")

RoleArgument = Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")]
PermissionArgument = Annotated[
    str, typer.Argument(metavar="PERMISSION", help="Such as orders:read.")
]
HeldRole = Annotated[str, typer.Argument(metavar="ROLE", help="The role's name.")]
UserOption = Annotated[
    str | None, typer.Option("--user", metavar="USER", help="User name, email or identifier.")
]
ClientOption = Annotated[
    str | None, typer.Option("--client", metavar="CLIENT_ID", help="The client's identifier.")
]


@app.command()
def create(
    name: RoleArgument,
    permission: Annotated[
        list[str] | None, typer.Option(metavar="PERMISSION", help="A permission; repeat for more.")
    ] = None,
    inherits: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="A role whose permissions it has too; repeat for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a role."""

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> Role:
        return await roles.create(
            tx, name, origin, permissions=permission or (), inherits=inherits or ()
        )

    _tell(_change(change), as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List roles by name."""

    async def work(operation: Operation) -> list[Role]:
        return (await operation.resources.role_graph.get()).roles()

    roles = operate(work)
    if as_json:
        print_json([role_document(role) for role in roles])
        return
    print_table(
        ["name", "permissions", "inherits"],
        [(role.name, role.permissions, role.inherits) for role in roles],
        empty="There are no roles yet: authsvc roles create --help",
    )


@app.command()
def show(name: RoleArgument, as_json: AsJson = False) -> None:
    """Show a role, as it was set up."""

    async def work(operation: Operation) -> Role:
        async with operation.database.reading() as tx:
            return await operation.resources.role_administration.get(tx, name)

    _tell(operate(work), as_json=as_json)


@app.command()
def delete(name: RoleArgument, as_json: AsJson = False) -> None:
    """Delete a role; whoever held it no longer does."""

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> int:
        return await roles.delete(tx, name, origin)

    holders = _change(change)
    if as_json:
        print_json({"name": name, "deleted": True, "holders": holders})
        return
    lost = "1 holder has lost it" if holders == 1 else f"{holders} holders have lost it"
    print_lines(f"The role {name} is deleted; {lost if holders else 'nobody held it'}.")


@app.command()
def allow(name: RoleArgument, permission: PermissionArgument, as_json: AsJson = False) -> None:
    """Give a role a permission."""

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> Role:
        return await roles.allow(tx, name, permission, origin)

    _tell(_change(change), as_json=as_json)


@app.command()
def deny(name: RoleArgument, permission: PermissionArgument, as_json: AsJson = False) -> None:
    """Take a permission from a role; it may still inherit it."""

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> Role:
        return await roles.deny(tx, name, permission, origin)

    _tell(_change(change), as_json=as_json)


@app.command()
def assign(
    role: HeldRole, user: UserOption = None, client: ClientOption = None, as_json: AsJson = False
) -> None:
    """Give a role to a user or a client."""
    kind, holder = _holder(user, client)

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> bool:
        return await roles.assign(tx, role, kind, holder, origin)

    changed = _change(change)
    if as_json:
        print_json({"role": role, kind: holder, "assigned": True, "changed": changed})
    else:
        print_lines(f"The {kind} {holder} {'now holds' if changed else 'already held'} {role}.")


@app.command()
def unassign(
    role: HeldRole, user: UserOption = None, client: ClientOption = None, as_json: AsJson = False
) -> None:
    """Take a role from a user or a client."""
    kind, holder = _holder(user, client)

    async def change(roles: RoleAdministration, tx: Transaction, origin: Origin) -> bool:
        return await roles.unassign(tx, role, kind, holder, origin)

    changed = _change(change)
    if as_json:
        print_json({"role": role, kind: holder, "assigned": False, "changed": changed})
    else:
        print_lines(
            f"The {kind} {holder} {'no longer holds' if changed else 'did not hold'} {role}."
        )


def role_document(role: Role) -> dict[str, object]:
    """Return the role as JSON."""
    return {"name": role.name, "permissions": role.permissions, "inherits": role.inherits}


def _change(change: Callable[[RoleAdministration, Transaction, Origin], Awaitable[T]]) -> T:
    async def work(operation: Operation) -> T:
        async with operation.database.transaction() as tx:
            return await change(operation.resources.role_administration, tx, operation.origin)

    return operate(work)


def _holder(user: str | None, client: str | None) -> tuple[HolderKind, str]:
    if user is not None and client is None:
        return "user", user
    if client is not None and user is None:
        return "client", client
    raise typer.BadParameter("name who holds the role: --user or --client, one of them")


def _tell(role: Role, *, as_json: bool) -> None:
    print_document(role_document(role), as_json=as_json)
