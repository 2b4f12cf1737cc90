"""Runs the scheduled work of a process until it is told to stop, or cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from authsvc.jobs.bound_webhooks import bound_webhooks
from authsvc.jobs.chain_audit import chain_audit
from authsvc.jobs.deliver_mail import deliver_mail
from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.jobs.purge_expired import purge_expired
from authsvc.jobs.purge_unused_clients import purge_unused_clients
from authsvc.jobs.rotate_keys import rotate_keys
from authsvc.jobs.stopping import is_stopping, pause
from authsvc.logs import FailureLog, get_logger
from authsvc.metrics import JOB_RUNS
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.cancellation import check_not_cancelled
from authsvc.storage.job_runs import (
    claim_job,
    note_failure,
    note_shared_run,
    note_success,
    release_job,
)

log = get_logger(__name__)

LEASE: Final = timedelta(minutes=5)
"""How long a job is left to a process that has begun it and does not come back."""
LOOK_SECONDS: Final = 60.0
"""Longest time between two looks whether a job is due."""
NOTE_EVERY: Final = timedelta(seconds=30)
"""How often a process notes that it does the work that all of them share."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Work, and the seconds between two runs of it in the whole installation.

    ``shared`` is work that every process does, since it shares it out by itself.
    """

    name: str
    work: Callable[[AuthorizationServer], Awaitable[None]]
    seconds: float
    shared: bool = False

    @property
    def interval(self) -> timedelta:
        """The time between two runs that are noted."""
        interval = timedelta(seconds=self.seconds)
        return max(interval, 2 * NOTE_EVERY) if self.shared else interval


SCHEDULE = (
    Scheduled("rotate_keys", rotate_keys, 300),
    Scheduled("chain_audit", chain_audit, 30),
    Scheduled("purge_unused_clients", purge_unused_clients, 600),
    Scheduled("purge_expired", purge_expired, 300),
    Scheduled("end_expired_sessions", end_expired_sessions, 60),
    Scheduled("deliver_outbox", deliver_outbox, 1, shared=True),
    Scheduled("deliver_webhooks", deliver_webhooks, 1, shared=True),
    Scheduled("bound_webhooks", bound_webhooks, 60),
    Scheduled("deliver_mail", deliver_mail, 1, shared=True),
)


async def run_schedule(server: AuthorizationServer) -> None:
    """Run all of the schedule; work that fails is logged and tried again at its next time."""
    async with asyncio.TaskGroup() as tasks:
        for scheduled in SCHEDULE:
            run = _SharedRuns if scheduled.shared else _ClaimedRuns
            tasks.create_task(_repeat(scheduled, run(scheduled, server).run))


async def _repeat(scheduled: Scheduled, run: Callable[[], Awaitable[bool]]) -> None:
    """Call ``run`` again and again, which tells whether there was work that it did."""
    running = FailureLog(log, "job_failed", "job_works", job=scheduled.name)
    while not is_stopping():
        await pause(min(scheduled.seconds, LOOK_SECONDS))
        if is_stopping():
            return
        try:
            is_done = await run()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next run comes
            JOB_RUNS.labels(scheduled.name, "failed").inc()
            running.note_failure(error)
        else:
            if is_done:
                running.note_success()
        check_not_cancelled()


class _ClaimedRuns:
    """Work that is done once an interval, by whichever process comes first."""

    def __init__(self, scheduled: Scheduled, server: AuthorizationServer) -> None:
        self._scheduled = scheduled
        self._server = server
        self._database = server.resources.database
        self._clock = server.resources.clock

    async def run(self) -> bool:
        """Do the work if it is due and no other process has it, and note how that went.

        Return whether it did.
        """
        scheduled = self._scheduled
        claimed = await claim_job(
            self._database,
            scheduled.name,
            now=self._clock.now(),
            interval=scheduled.interval,
            lease=LEASE,
        )
        if claimed is None:
            return False
        try:
            await scheduled.work(self._server)
        except asyncio.CancelledError:
            # This process ends, and the next one need not wait for the lease.
            await self._end(release_job, claimed)
            raise
        except Exception as error:
            await self._end(note_failure, claimed, error=type(error).__name__)
            raise
        await self._end(note_success, claimed)
        JOB_RUNS.labels(scheduled.name, "done").inc()
        return True

    async def _end(self, note: Callable[..., Awaitable[None]], claimed: int, **went: str) -> None:
        async with self._database.transaction() as tx:
            await note(tx, self._scheduled.name, claimed, now=self._clock.now(), **went)


class _SharedRuns:
    """Work that every process does all the time. How it goes is noted now and then."""

    def __init__(self, scheduled: Scheduled, server: AuthorizationServer) -> None:
        self._scheduled = scheduled
        self._server = server
        self._noted: tuple[datetime, str | None] | None = None

    async def run(self) -> bool:
        """Do the work; note it when it is a while since, or when it goes otherwise now.

        Return True: there always is work.
        """
        error: str | None = None
        try:
            await self._scheduled.work(self._server)
            JOB_RUNS.labels(self._scheduled.name, "done").inc()
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            await self._note(error)
        return True

    async def _note(self, error: str | None) -> None:
        resources, scheduled = self._server.resources, self._scheduled
        now = resources.clock.now()
        if self._noted and self._noted[1] == error and now < self._noted[0] + NOTE_EVERY:
            return
        async with resources.database.transaction() as tx:
            await note_shared_run(
                tx, scheduled.name, now=now, interval=scheduled.interval, error=error
            )
        self._noted = (now, error)
