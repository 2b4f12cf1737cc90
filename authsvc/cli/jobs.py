"""``authsvc jobs``: the worker, what it does when, and what it could not deliver."""

import socket
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from typing import Annotated, Any

import typer

from authsvc import logs
from authsvc.cli.addresses import listen
from authsvc.cli.operation import Operation, check_schema, operate
from authsvc.cli.operation import run as run_in_loop
from authsvc.cli.output import AsJson, print_json, print_lines, print_table
from authsvc.config import Settings, load_settings, unknown_variables
from authsvc.jobs.retry_dead import retry_dead_entries, retry_dead_entry
from authsvc.jobs.scheduler import SCHEDULE, Scheduled
from authsvc.jobs.worker import work_until_told
from authsvc.oauth.server import AuthorizationServer, open_authorization_server
from authsvc.resources import open_resources
from authsvc.storage.job_runs import JobRun, load_job_runs
from authsvc.storage.outbox import StoredEntry, list_entries

app = typer.Typer(help="Work that no request waits for: the schedule and the outbox.")

_OTHER_PORT = "; take another with --metrics-port PORT"
_JOB = ("name", "due_at", "last_run_at", "last_success_at", "lag_seconds", "last_error")
_ENTRY = ("id", "state", "kind", "receiver", "attempts", "age_seconds", "due_at", "last_error")


@app.command()
def run(
    metrics_host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of the metrics; 127.0.0.1 if not given."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=1, max=65_535, help="Port to show /metrics and /healthz on."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Work off the schedule and the outbox until told to end.

    On SIGTERM it finishes what is under way, and ends. Any number of workers may run on one
    PostgreSQL; set AUTHSVC_JOBS=off for the processes that serve. Without --metrics-port it
    listens nowhere.
    """
    if metrics_host is not None and metrics_port is None:
        raise typer.BadParameter("--metrics-host needs --metrics-port")
    settings = load_settings()
    logs.configure(level=settings.log_level, console=settings.log_format == "console")
    for name in unknown_variables():
        print(f"warning: {name} is not a setting of authsvc: misspelt?", file=sys.stderr)
    listener = None
    if metrics_port is not None:
        listener = listen(metrics_host or "127.0.0.1", metrics_port, advice=_OTHER_PORT)

    def started() -> None:
        names = [scheduled.name for scheduled in SCHEDULE]
        if as_json:
            print_json({"issuer": settings.issuer, "jobs": names})
        else:
            print_lines(f"Working for {settings.issuer}: {', '.join(names)}; Ctrl-C ends it.")
        sys.stdout.flush()

    async def work(settings: Settings) -> None:
        await check_schema(settings)
        async with open_resources(settings) as resources, AsyncExitStack() as stack:
            server = open_authorization_server(resources)
            if listener is not None:
                await stack.enter_async_context(_watched(server, listener))
            await work_until_told(server, started=started)

    run_in_loop(work(settings))


def _watched(
    server: AuthorizationServer, listener: socket.socket
) -> AbstractAsyncContextManager[None]:
    # What answers over HTTP takes long to import, and no other command of these needs it.
    from authsvc.app import watched  # noqa: PLC0415  # see above

    return watched(server, listener)


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="At most so many waiting, so many dead.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """List what is scheduled, what waits in the outbox, and what was given up.

    The lag is how long a job has been due without a run that succeeded.
    """

    async def work(operation: Operation) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        now = operation.resources.clock.now()
        async with operation.database.reading() as tx:
            runs = await load_job_runs(tx)
            entries = await list_entries(tx, dead=True, limit=limit)
            entries += await list_entries(tx, dead=False, limit=limit)
        jobs = [_job(scheduled, runs.get(scheduled.name), now) for scheduled in SCHEDULE]
        return jobs, [_entry(entry, now) for entry in entries]

    jobs, entries = operate(work)
    if as_json:
        print_json([*jobs, *entries])
        return
    print_table(_JOB, [[job[name] for name in _JOB] for job in jobs], empty="")
    print_lines("")
    rows = [[entry[name] for name in _ENTRY] for entry in entries]
    print_table(_ENTRY, rows, empty="Nothing waits in the outbox, and nothing was given up.")


@app.command()
def retry(
    entry_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A dead entry of `jobs list`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead entry.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let what was given up be tried again, with all its attempts. Safe to repeat."""
    if every == (entry_id is not None):
        raise typer.BadParameter("name one entry, or --all")

    async def work(operation: Operation) -> int:
        if entry_id is None:
            return await retry_dead_entries(operation.server, operation.origin)
        return await retry_dead_entry(operation.server, entry_id, operation.origin)

    retried = operate(work)
    if as_json:
        print_json({"retried": retried})
    else:
        print_lines(f"{retried} entries are due again." if retried else "Nothing was dead.")


def _job(scheduled: Scheduled, run: JobRun | None, now: datetime) -> dict[str, Any]:
    held = run.held_until if run else None
    return {
        "type": "job",
        "name": scheduled.name,
        "interval_seconds": scheduled.seconds,
        "state": "running" if held is not None and held > now else "idle",
        "due_at": run.due_at if run else None,
        "last_run_at": run.started_at if run else None,
        "last_success_at": run.succeeded_at if run else None,
        "last_failure_at": run.failed_at if run else None,
        "last_error": run.last_error if run else None,
        "lag_seconds": round(run.lag(now, scheduled.interval).total_seconds()) if run else None,
    }


def _entry(entry: StoredEntry, now: datetime) -> dict[str, Any]:
    return {
        "type": "outbox",
        "id": entry.id,
        "state": "waiting" if entry.failed_at is None else "dead",
        "kind": entry.kind,
        "receiver": entry.receiver,
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "created_at": entry.created_at,
        "due_at": entry.due_at if entry.failed_at is None else None,
        "failed_at": entry.failed_at,
        "age_seconds": round((now - entry.created_at).total_seconds()),
    }
