"""Runs of scheduled jobs: when each is due, who has it, and how it went.

Whoever claims a job has it until its run ends or the lease is over; others let it be. That
saves work and guards nothing: one who stood still may find that another has run the job
meanwhile. So each job must be safe in any number of processes at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update

from authsvc.storage.database import Database, Transaction
from authsvc.storage.schema import job_runs
from authsvc.storage.upsert import insert_into

_MAX_ERROR = 255
_RUN = job_runs.c


@dataclass(frozen=True, slots=True)
class JobRun:
    """What is known of a job; instants are None for what never happened."""

    name: str
    created_at: datetime
    due_at: datetime
    held_until: datetime | None
    started_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    last_error: str | None

    def lag(self, now: datetime, interval: timedelta) -> timedelta:
        """Return for how long the job has been due without a run that succeeded."""
        since = self.succeeded_at or self.created_at
        return max(now - since - interval, timedelta())


async def claim_job(
    database: Database, name: str, *, now: datetime, interval: timedelta, lease: timedelta
) -> int | None:
    """Return the number of this run of the job, or None when it is not due or taken.

    Of any number of processes at once one gets it. Raises TemporarilyUnavailable.
    """
    is_open = _is_open(now, interval, lease)
    # Looking first costs the writers nothing: most of the time there is nothing to claim.
    async with database.reading() as tx:
        row = (await tx.execute(select(_RUN.name, is_open).where(_RUN.name == name))).first()
    if row is not None and not row[1]:
        return None
    async with database.transaction() as tx:
        if row is None:
            statement = (await insert_into(tx, job_runs)).values(
                name=name, run=0, created_at=now, due_at=now
            )
            await tx.execute(statement.on_conflict_do_nothing())
        rows = await tx.execute(
            update(job_runs)
            .where(_RUN.name == name, is_open)
            .values(
                run=_RUN.run + 1,
                started_at=now,
                held_until=now + lease,
                due_at=now + interval,
            )
            .returning(_RUN.run)
        )
        run: int | None = rows.scalar()
        return run


async def note_success(tx: Transaction, name: str, run: int, *, now: datetime) -> None:
    """Note that this run of the job is done, unless another has begun since."""
    await _end(tx, name, run, succeeded_at=now, last_error=None)


async def note_failure(tx: Transaction, name: str, run: int, *, now: datetime, error: str) -> None:
    """Note that this run of the job failed, unless another has begun since."""
    await _end(tx, name, run, failed_at=now, last_error=error[:_MAX_ERROR])


async def release_job(tx: Transaction, name: str, run: int, *, now: datetime) -> None:
    """Let another process run the job at once, whose run was broken off here."""
    await _end(tx, name, run, due_at=now)


async def note_shared_run(
    tx: Transaction, name: str, *, now: datetime, interval: timedelta, error: str | None
) -> None:
    """Note how a run went of a job that every process runs, without a claim."""
    went = {"failed_at": now, "last_error": error} if error else {"succeeded_at": now}
    values = {"started_at": now, "due_at": now + interval, "last_error": None, **went}
    statement = (await insert_into(tx, job_runs)).values(name=name, run=1, created_at=now, **values)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[_RUN.name], set_={**values, "run": _RUN.run + 1}
        )
    )


async def load_job_runs(tx: Transaction) -> dict[str, JobRun]:
    """Return what is known of each job that was ever run, by its name."""
    rows = await tx.execute(
        select(
            _RUN.name,
            _RUN.created_at,
            _RUN.due_at,
            _RUN.held_until,
            _RUN.started_at,
            _RUN.succeeded_at,
            _RUN.failed_at,
            _RUN.last_error,
        )
    )
    return {row.name: JobRun(*row) for row in rows}


def _is_open(now: datetime, interval: timedelta, lease: timedelta) -> ColumnElement[bool]:
    """Return the condition under which the job may be claimed.

    What lies further ahead than anybody sets it, even by a clock that is ahead for a lease, was
    set by one that was wrong, or under another interval: it holds nobody up.
    """
    due = or_(_RUN.due_at <= now, _RUN.due_at > now + interval + lease)
    held_until = _RUN.held_until
    free = or_(held_until.is_(None), held_until <= now, held_until > now + 2 * lease)
    return due & free


async def _end(tx: Transaction, name: str, run: int, **values: object) -> None:
    await tx.execute(
        update(job_runs).where(_RUN.name == name, _RUN.run == run).values(held_until=None, **values)
    )
