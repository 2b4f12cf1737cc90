"""What goes on in a process beside its requests, or its jobs, whether it runs these or not."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from authsvc.jobs import scheduler
from authsvc.logs import FailureLog, get_logger
from authsvc.metrics import JOB_LAG, OUTBOX_DEAD, OUTBOX_OLDEST, OUTBOX_WAITING, SAMPLES_FAILED
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.cancellation import check_not_cancelled
from authsvc.storage.job_runs import load_job_runs
from authsvc.storage.outbox import load_backlog

log = get_logger(__name__)

Work = Callable[[], Awaitable[None]]
OBSERVE_SECONDS: Final = 15.0
"""Seconds between two looks at the jobs for the metrics."""


async def keep_going(work: Work) -> None:
    """Do ``work``, which never ends by itself, and begin anew should it fail."""
    while True:
        try:
            return await work()
        except Exception:
            log.exception("background_work_failed")
            check_not_cancelled()
            await asyncio.sleep(1)


async def observe(server: AuthorizationServer) -> None:
    """Keep the metrics of jobs and outbox current until cancelled.

    Every process that is scraped does, serving ones also where a worker runs the jobs: a worker
    that is not there tells nothing.
    """
    since = server.resources.clock.now()
    observing = FailureLog(log, "observation_failed", "observation_works")
    while True:
        try:
            await observe_once(server, since=since)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next look comes
            SAMPLES_FAILED.inc()
            observing.note_failure(error)
        else:
            observing.note_success()
        check_not_cancelled()
        await asyncio.sleep(OBSERVE_SECONDS)


async def observe_once(server: AuthorizationServer, *, since: datetime) -> None:
    """Look at jobs and outbox now. ``since`` is when it began: a job may never have been run."""
    now = server.resources.clock.now()
    async with server.resources.database.reading() as tx:
        runs = await load_job_runs(tx)
        backlog = await load_backlog(tx)
    for scheduled in scheduler.SCHEDULE:
        run = runs.get(scheduled.name)
        never_run = max(now - since - scheduled.interval, timedelta())
        lag = run.lag(now, scheduled.interval) if run else never_run
        JOB_LAG.labels(scheduled.name).set(lag.total_seconds())
    OUTBOX_WAITING.set(backlog.waiting)
    OUTBOX_DEAD.set(backlog.dead)
    oldest_at = backlog.oldest_at
    age = timedelta() if oldest_at is None else max(now - oldest_at, timedelta())
    OUTBOX_OLDEST.set(age.total_seconds())
