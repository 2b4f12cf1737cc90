"""The doctor's check of the jobs: whether they run, and whether the outbox is delivered."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from authsvc.cli.checks import Finding
from authsvc.clock import Clock
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.storage.database import Database
from authsvc.storage.job_runs import JobRun, load_job_runs
from authsvc.storage.outbox import load_backlog

_NOTABLE = timedelta(minutes=10)
"""Lag that is worth a word: longer than a job waits for a process that died with it."""


async def check_jobs(database: Database) -> list[Finding]:
    """Return whether jobs lag behind, and whether something was given up."""
    async with database.reading() as tx:
        runs, backlog = await load_job_runs(tx), await load_backlog(tx)
    findings = find_lag(runs, Clock().now())
    if backlog.dead:
        findings.append(
            Finding(
                "jobs",
                "warning",
                f"{backlog.dead} outbox entries were given up",
                "`authsvc jobs list` says why; then `authsvc jobs retry ID`, or --all",
            )
        )
    return findings or [Finding("jobs", "ok", f"in time, {backlog.waiting} outbox entries wait")]


def find_lag(runs: Mapping[str, JobRun], now: datetime) -> list[Finding]:
    """Return a warning for each job that is overdue for long. ``runs`` are those ever begun."""
    findings = []
    for scheduled in SCHEDULE:
        run = runs.get(scheduled.name)
        lag = run.lag(now, scheduled.interval) if run else timedelta()
        if lag > _NOTABLE:
            minutes = round(lag / timedelta(minutes=1))
            why = run.last_error if run and run.last_error else "no process has run it"
            findings.append(
                Finding(
                    "jobs",
                    "warning",
                    f"{scheduled.name} is overdue for {minutes} minutes: {why}",
                    "See that `authsvc serve`, or where AUTHSVC_JOBS is off a worker "
                    "(`authsvc jobs run`), is running, and what its log says.",
                )
            )
    return findings
