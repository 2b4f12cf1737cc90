"""``authsvc clients``: the applications that may ask for tokens."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from authsvc.cli.ignored_members import warn_of_ignored_members
from authsvc.cli.input import STDIN, read_json_object, read_secret
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import (
    AsJson,
    print_document,
    print_json,
    print_lines,
    print_table,
    print_thing,
)
from authsvc.cli.paging import read_pages
from authsvc.oauth.clients import Client, registration_response
from authsvc.protocol.client_metadata import ClientMetadata

app = typer.Typer(help="Clients: the applications that may ask for tokens.")

ClientArgument = Annotated[
    str, typer.Argument(metavar="CLIENT_ID", help="The client's identifier.")
]
_METADATA = "Client metadata of RFC 7591, a JSON object; - is standard input."


@app.command()
def create(
    client_id: Annotated[
        str | None,
        typer.Option("--client-id", metavar="ID", help="Identifier; otherwise one is made up."),
    ] = None,
    client_secret_stdin: Annotated[
        bool,
        typer.Option(
            "--client-secret-stdin",
            help="Read the secret from standard input; otherwise a random one is made.",
        ),
    ] = False,
    metadata: Annotated[str | None, typer.Option(metavar="FILE", help=_METADATA)] = None,
    as_json: AsJson = False,
) -> None:
    """Register a client; prints its secret once.

    Members of the metadata that mean nothing here are ignored, and named in a warning.
    """
    if client_secret_stdin and metadata == STDIN:
        raise typer.BadParameter("standard input can not be the secret and the metadata")
    members = read_json_object(metadata) if metadata is not None else {}
    secret = read_secret("Client secret") if client_secret_stdin else None

    async def work(operation: Operation) -> tuple[ClientMetadata, dict[str, Any]]:
        checked = await operation.server.client_administration.check(members)
        async with operation.database.transaction() as tx:
            return checked, await operation.server.client_administration.create(
                tx, checked, operation.origin, client_id=client_id, client_secret=secret
            )

    checked, document = operate(work)
    warn_of_ignored_members(members, checked, document)
    _tell(document, as_json=as_json)


@app.command("list")
def list_(
    limit: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="At most so many.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CLIENT_ID", help="Begin behind this identifier.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List clients by identifier."""

    async def work(operation: Operation) -> list[Client]:
        registered = operation.server.client_administration
        async with operation.database.reading() as tx:
            return await read_pages(
                lambda last, size: registered.list(
                    tx, after=last.client_id if last else after, limit=size
                ),
                limit=limit,
            )

    clients = operate(work)
    if as_json:
        print_json([registration_response(client) for client in clients])
        return
    print_table(
        ["client_id", "name", "grants", "authentication", "created"],
        [
            (
                client.client_id,
                client.metadata.client_name,
                client.metadata.grant_types,
                client.metadata.token_endpoint_auth_method,
                client.created_at,
            )
            for client in clients
        ],
        empty="There are no clients yet: authsvc clients create --help"
        if after is None
        else "There are no more clients.",
    )


@app.command()
def show(client_id: ClientArgument, as_json: AsJson = False) -> None:
    """Show a client, its roles and permissions."""

    async def work(operation: Operation) -> dict[str, Any]:
        graph = await operation.resources.role_graph.get()
        async with operation.database.reading() as tx:
            client = await operation.server.client_administration.get(tx, client_id)
        return {
            **registration_response(client),
            "roles": graph.names(client.role_ids),
            "permissions": graph.holding(client.role_ids).permissions,
        }

    print_document(operate(work), as_json=as_json)


@app.command()
def update(
    client_id: ClientArgument,
    metadata: Annotated[
        str,
        typer.Option(metavar="FILE", help=f"{_METADATA} A member that is null is removed."),
    ],
    as_json: AsJson = False,
) -> None:
    """Change metadata; members not named stay.

    Members that mean nothing here are ignored, and named in a warning.
    """
    members = read_json_object(metadata)

    async def work(operation: Operation) -> tuple[ClientMetadata, dict[str, Any]]:
        administration = operation.server.client_administration
        change = await administration.check_change(client_id, members)
        async with operation.database.transaction() as tx:
            return change.after, await administration.update(
                tx, client_id, change, operation.origin
            )

    checked, document = operate(work)
    warn_of_ignored_members(members, checked, document)
    _tell(document, as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    client_id: ClientArgument,
    overlap: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=31_536_000,
            help="Time in which the secrets before stay valid; with 0 the running "
            "application is locked out until it has the new one.",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Give a client a new secret, printed this once."""

    async def work(operation: Operation) -> dict[str, Any]:
        async with operation.database.transaction() as tx:
            return await operation.server.client_administration.rotate_secret(
                tx, client_id, operation.origin, overlap=timedelta(seconds=overlap)
            )

    document = operate(work)
    _tell(document, as_json=as_json)
    if not as_json:
        print_lines(
            f"The secrets before stay valid for {overlap} seconds."
            if overlap
            else "The secrets before are invalid from now on."
        )


@app.command()
def delete(client_id: ClientArgument, as_json: AsJson = False) -> None:
    """Delete a client and end all it was issued."""

    async def work(operation: Operation) -> None:
        async with operation.database.transaction() as tx:
            await operation.server.client_administration.delete(tx, client_id, operation.origin)

    operate(work)
    if as_json:
        print_json({"client_id": client_id, "deleted": True})
    else:
        print_lines(f"The client {client_id} is deleted, and all it was issued is invalid.")


def _tell(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    print_thing(document)
    if "client_secret" in document:
        print_lines("Keep the client_secret now: it is stored as a hash and never shown again.")
