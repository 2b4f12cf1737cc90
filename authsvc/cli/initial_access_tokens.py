"""``authsvc clients initial-access-token``: lets somebody register a client themselves."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_json, print_lines, print_thing
from authsvc.oauth.initial_access_tokens import InitialAccessToken, issue_initial_access_token


def initial_access_token(
    ttl: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=1, max=31_536_000, help="How long it is good."),
    ] = 86_400,
    uses: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=0,
            max=1_000_000,
            help="How many clients may be registered with it; 0: any number.",
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Make a token to register clients with; prints it once."""

    async def work(operation: Operation) -> InitialAccessToken:
        async with operation.database.transaction() as tx:
            return await issue_initial_access_token(
                operation.server,
                tx,
                operation.origin,
                uses=uses or None,
                ttl=timedelta(seconds=ttl),
            )

    issued = asdict(operate(work))
    if as_json:
        print_json(issued)
        return
    print_thing(issued)
    print_lines("Keep the token now: it is stored as a hash and never shown again.")
