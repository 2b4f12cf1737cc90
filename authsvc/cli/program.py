"""The program: every group, and what becomes of an error."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from authsvc.cli import (
    audit,
    clients,
    db,
    initial_access_tokens,
    jobs,
    keys,
    roles,
    tokens,
    users,
    users_import,
    webhooks,
)
from authsvc.cli.doctor import doctor
from authsvc.cli.init import init
from authsvc.cli.refusal import REFUSALS, explain
from authsvc.cli.serve import serve

NAME = "authsvc"
_IN_PLAIN_WORDS = (
    ("Input should be greater than or equal to", "it must be at least"),
    ("Input should be less than or equal to", "it must be at most"),
    ("Input should be a valid integer, unable to parse string as an integer", "it is no number"),
    ("Input should be", "it must be"),
)
DONE, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name=NAME,
    help="An OAuth 2.0 and OpenID Connect provider: run it, and look after what it keeps.",
    epilog=(
        "Every command takes --json. Exit codes: 0 done, 1 refused, 2 wrong usage. "
        "Settings are environment variables: see the README."
    ),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(init)
app.command()(serve)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(clients.app, name="clients")
app.add_typer(tokens.app, name="tokens")
app.add_typer(audit.app, name="audit")
app.add_typer(jobs.app, name="jobs")
app.add_typer(webhooks.app, name="webhooks")
app.command()(doctor)
users.app.command("import")(users_import.import_users)
clients.app.command("initial-access-token")(initial_access_tokens.initial_access_token)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.")
    ] = False,
) -> None:
    """Print the version, or the help where no command is named."""
    if show_version:
        print(f"{NAME} {version(NAME)}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(USAGE)


def run_program(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=arguments, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _say(_explain_usage(error), error.exit_code)
    except (typer.Abort, EOFError):
        return _say("error: nothing was entered", REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read the output has gone; nothing is left to say, nor to flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except REFUSALS as error:
        return _say(f"error: {explain(error)}", REFUSED)
    except Exception as error:  # noqa: BLE001  # an operator gets one line, never a traceback
        if os.environ.get("AUTHSVC_LOG_LEVEL") == "debug":
            traceback.print_exc()
        return _say(f"error: {explain(error)}", REFUSED)
    return code if code is not None else DONE


def _explain_usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else NAME
    message = " ".join(error.format_message().split()).rstrip(".")
    # Words of pydantic and Typer that tell an operator nothing.
    message = message.replace("Value error, ", "").removeprefix("Invalid value: ")
    for theirs, ours in _IN_PLAIN_WORDS:
        message = message.replace(theirs, ours)
    return f"error: {message[:1].lower()}{message[1:]}; see `{path} --help`"


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code
