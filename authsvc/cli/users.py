"""``authsvc users``: people."""

from shlex import quote
from typing import Annotated, Any

import typer

from authsvc.cli.input import prompt_new_password, read_secret
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_document, print_json, print_lines, print_table
from authsvc.cli.paging import read_pages
from authsvc.cli.user_claims import parse_claims
from authsvc.storage.users import User, find_role_ids, get_user, list_users

app = typer.Typer(help="People: create, look at, disable, import.")

UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="User name, email address or identifier.")
]
ClaimOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=JSON", help="A claim about the person; repeat for more."),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@app.command()
def create(
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="Name to sign in with.")],
    email: Annotated[str, typer.Option(metavar="EMAIL", help="Mail address; signs in as well.")],
    email_verified: Annotated[
        bool, typer.Option("--email-verified", help="The address is known to be the person's.")
    ] = False,
    password_stdin: PasswordStdin = False,
    password_prompt: Annotated[
        bool, typer.Option("--password-prompt", help="Ask for the password on the terminal.")
    ] = False,
    claim: ClaimOption = None,
    as_json: AsJson = False,
) -> None:
    """Create a person.

    Without a password they can not sign in until one is set.
    """
    claims = parse_claims(claim or [])
    password = _read_password(stdin=password_stdin, prompt=password_prompt)

    async def work(operation: Operation) -> dict[str, Any]:
        people = operation.resources.people
        password_hash = None
        if password is not None:
            password_hash = await people.hash_new_password(password, names=(username, email))
        async with operation.database.transaction() as tx:
            user = await people.create(
                tx,
                operation.origin,
                username=username,
                email=email,
                email_verified=email_verified,
                password_hash=password_hash,
                claims=claims,
            )
        return user_document(user)

    _tell_created(operate(work), without_password=password is None, as_json=as_json)


@app.command("list")
def list_(
    limit: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="At most so many.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Begin behind this identifier.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List people, oldest first."""

    async def work(operation: Operation) -> list[User]:
        async with operation.database.reading() as tx:
            return await read_pages(
                lambda last, size: list_users(tx, after=last.id if last else after, limit=size),
                limit=limit,
            )

    users = operate(work)
    if as_json:
        print_json([user_document(user) for user in users])
        return
    print_table(
        ["username", "email", "disabled", "id"],
        [(user.username, user.email, bool(user.disabled_at), user.id) for user in users],
        empty="There are no users yet: authsvc users create --help"
        if after is None
        else "There are no more users.",
    )


@app.command()
def show(user: UserArgument, as_json: AsJson = False) -> None:
    """Show a person, their roles and permissions."""

    async def work(operation: Operation) -> dict[str, Any]:
        graph = await operation.resources.role_graph.get()
        async with operation.database.reading() as tx:
            found = await get_user(tx, user)
            role_ids = await find_role_ids(tx, found.id)
        return {
            **user_document(found),
            "roles": graph.names(role_ids),
            "permissions": graph.holding(role_ids).permissions,
        }

    print_document(operate(work), as_json=as_json)


@app.command("set-password")
def set_password(
    user: UserArgument, password_stdin: PasswordStdin = False, as_json: AsJson = False
) -> None:
    """Replace a password.

    Ends all that was signed in with the old one.
    """
    password = read_secret("Password") if password_stdin else prompt_new_password()

    async def work(operation: Operation) -> User:
        people = operation.resources.people
        async with operation.database.reading() as tx:
            found = await get_user(tx, user)
        password_hash = await people.hash_new_password(
            password, names=(found.username, found.email)
        )
        async with operation.database.transaction() as tx:
            return await people.set_password(tx, found.id, password_hash, operation.origin)

    _tell(operate(work), "has a new password and is signed out everywhere", as_json=as_json)


@app.command()
def disable(user: UserArgument, as_json: AsJson = False) -> None:
    """Let a person in no more, and end all they have."""

    async def work(operation: Operation) -> User:
        async with operation.database.transaction() as tx:
            return await operation.resources.people.disable(tx, user, operation.origin)

    _tell(operate(work), "is disabled and signed out everywhere", as_json=as_json)


@app.command()
def enable(user: UserArgument, as_json: AsJson = False) -> None:
    """Let a person in again."""

    async def work(operation: Operation) -> User:
        async with operation.database.transaction() as tx:
            return await operation.resources.people.enable(tx, user, operation.origin)

    _tell(operate(work), "may sign in", as_json=as_json)


@app.command()
def delete(user: UserArgument, as_json: AsJson = False) -> None:
    """Delete a person and end all they had."""

    async def work(operation: Operation) -> User:
        async with operation.database.transaction() as tx:
            return await operation.resources.people.delete(tx, user, operation.origin)

    _tell(operate(work), "is deleted", as_json=as_json)


@app.command("revoke-sessions")
def revoke_sessions(user: UserArgument, as_json: AsJson = False) -> None:
    """Sign a person out everywhere.

    Ends their sessions, refresh tokens and access tokens.
    """

    async def work(operation: Operation) -> tuple[User, int]:
        async with operation.database.transaction() as tx:
            found = await get_user(tx, user)
            people = operation.resources.people
            return found, await people.revoke_sessions(tx, found.id, operation.origin)

    found, ended = operate(work)
    if as_json:
        print_json({**user_document(found), "sessions_revoked": ended})
    else:
        print_lines(f"{found.username} is signed out everywhere; {ended} sessions ended.")


def user_document(user: User) -> dict[str, Any]:
    """Return the person as JSON; the password's hash is not in it."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "disabled": user.disabled_at is not None,
        "claims": dict(user.claims),
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def _read_password(*, stdin: bool, prompt: bool) -> str | None:
    if stdin and prompt:
        raise typer.BadParameter("give --password-stdin or --password-prompt, not both")
    if stdin:
        return read_secret("Password")
    return prompt_new_password() if prompt else None


def _tell_created(document: dict[str, Any], *, without_password: bool, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    name = document["username"]
    print_lines(f"Created the user {name}, {document['id']}.")
    if without_password:
        print_lines(f"There is no password yet: authsvc users set-password {quote(name)}")


def _tell(user: User, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(user_document(user))
    else:
        print_lines(f"{user.username} {what}.")
