"""``authsvc serve``: the service itself."""

import sys
from typing import Annotated

import typer

from authsvc.cli.addresses import check_address
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_json, print_lines
from authsvc.config import Settings, unknown_variables

_OTHER_PORT = (
    "; take another with --port PORT and AUTHSVC_ISSUER=http://127.0.0.1:PORT, "
    "or with `PORT=9000 make run`"
)


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=1, max=65_535, help="Port to listen on.")
    ] = 8000,
    workers: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=512, help="Processes that serve.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Serve over HTTP until it is told to end.

    The database must be migrated; the first signing keys are made where there are none.
    """

    async def work(operation: Operation) -> Settings:
        async with operation.database.transaction() as tx:
            await operation.resources.key_rotation.ensure_first_keys(tx, operation.origin)
        return operation.resources.settings

    settings = operate(work)
    for name in unknown_variables():
        print(f"warning: {name} is not a setting of authsvc: misspelt?", file=sys.stderr)
    # The server itself would say so in a log.
    check_address(host, port, advice=_OTHER_PORT)
    # The server takes long to import, and nothing else on the command line needs it.
    from authsvc.app import serve as start  # noqa: PLC0415  # see above

    if as_json:
        print_json({"issuer": settings.issuer, "host": host, "port": port, "workers": workers})
    else:
        where = f"[{host}]" if ":" in host else host
        print_lines(f"Listening on http://{where}:{port} as {settings.issuer}; Ctrl-C ends it.")
    sys.stdout.flush()
    try:
        start(settings, host=host, port=port, workers=workers)
    except SystemExit as error:
        # The server ends the process with codes of its own, after it has logged why.
        raise typer.Exit(1 if error.code else 0) from error
