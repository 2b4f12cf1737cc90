"""``authsvc init``: from nothing to a service that somebody can administer."""

import secrets
from typing import Annotated, Any

import typer

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.cli.migration import migrate_up
from authsvc.cli.operation import Operation, operate, prepare, run
from authsvc.cli.output import AsJson, print_json, print_lines
from authsvc.config import MASTER_KEY_PATH
from authsvc.protocol.errors import Conflict
from authsvc.storage.database import Transaction
from authsvc.storage.users import count_users

_NAME = "admin"


def init(
    before_serve: Annotated[
        bool,
        typer.Option("--before-serve", help="The service starts right after: do not say how."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare everything that `serve` needs.

    Migrates the database, makes the first signing keys, and the first administrator
    when there is no user at all: the password is printed, this once. Safe to repeat:
    what is there stays.
    """
    settings = prepare()
    made_master_key = settings.master_key is None and not MASTER_KEY_PATH.exists()
    migration = run(migrate_up(settings))
    administrator = operate(_make_administrator)
    if as_json:
        print_json(
            {
                "revision": migration.after,
                "signing_keys": migration.signing_keys,
                "administrator": administrator,
                "issuer": settings.issuer,
            }
        )
        return
    print_lines(str(migration))
    if made_master_key:
        print_lines(
            f"Made the master key {MASTER_KEY_PATH}: keep a copy, nothing opens without it."
        )
    if migration.signing_keys:
        print_lines(f"Made the first {len(migration.signing_keys)} signing keys.")
    if administrator is not None:
        print_lines(
            "",
            "Made the first administrator. The password is shown this once:",
            f"  username  {administrator['username']}",
            f"  password  {administrator['password']}",
            "",
        )
    if not before_serve:
        print_lines(f"Next: `authsvc serve`, then open {settings.issuer}")


async def _make_administrator(operation: Operation) -> dict[str, Any] | None:
    """Create the first administrator; None when somebody is there."""
    async with operation.database.reading() as tx:
        if await count_users(tx):
            return None
    password = secrets.token_urlsafe(18)
    people = operation.resources.people
    password_hash = await people.hash_new_password(password, names=(_NAME,))
    try:
        async with operation.database.transaction() as tx:
            if await count_users(tx):
                return None
            user = await people.create(
                tx, operation.origin, username=_NAME, password_hash=password_hash
            )
            await _make_role(operation, tx)
            await operation.resources.role_administration.assign(
                tx, _NAME, "user", user.id, operation.origin
            )
    except Conflict:
        # Another process that began at the same moment was first.
        return None
    return {"id": user.id, "username": user.username, "password": password}


async def _make_role(operation: Operation, tx: Transaction) -> None:
    roles, origin = operation.resources.role_administration, operation.origin
    if any(role.name == _NAME for role in await roles.list(tx)):
        await roles.allow(tx, _NAME, ADMIN_PERMISSION, origin)
    else:
        await roles.create(tx, _NAME, origin, permissions=[ADMIN_PERMISSION])
