"""The worker: a process that runs the schedule and nothing else."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from authsvc.jobs.background import keep_going
from authsvc.jobs.scheduler import run_schedule
from authsvc.jobs.stopping import stopped_by
from authsvc.logs import get_logger
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.cancellation import end_all

log = get_logger(__name__)


async def work_until_told(server: AuthorizationServer, *, started: Callable[[], None]) -> None:
    """Run the schedule until SIGTERM or SIGINT; then finish what is under way, and return.

    ``started`` is called once it can be told so.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    changes = server.resources.changes
    hearing = [asyncio.create_task(keep_going(work)) for work in (changes.hear, changes.poll)]
    log.info("worker_started")
    started()
    try:
        with stopped_by(stop):
            await keep_going(partial(run_schedule, server))
    finally:
        await end_all(hearing)
        await changes.leave()
    log.info("worker_ended")
