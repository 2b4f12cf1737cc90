"""Runs the scheduled work of a serving process until it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from authsvc.jobs.chain_audit import chain_audit
from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.jobs.purge_unused_clients import purge_unused_clients
from authsvc.jobs.rotate_keys import rotate_keys
from authsvc.logs import get_logger
from authsvc.oauth.server import AuthorizationServer

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Work, and the seconds between two runs of it."""

    name: str
    work: Callable[[AuthorizationServer], Awaitable[None]]
    seconds: float


SCHEDULE = (
    Scheduled("rotate_keys", rotate_keys, 300),
    Scheduled("chain_audit", chain_audit, 30),
    Scheduled("purge_unused_clients", purge_unused_clients, 600),
    Scheduled("end_expired_sessions", end_expired_sessions, 60),
    Scheduled("deliver_outbox", deliver_outbox, 1),
)


async def run_schedule(server: AuthorizationServer) -> None:
    """Run all of the schedule; work that fails is logged and tried again at its next time."""
    async with asyncio.TaskGroup() as tasks:
        for scheduled in SCHEDULE:
            tasks.create_task(_run(scheduled, server))


async def _run(scheduled: Scheduled, server: AuthorizationServer) -> None:
    while True:
        await asyncio.sleep(scheduled.seconds)
        try:
            await scheduled.work(server)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next run comes
            log.warning("job_failed", job=scheduled.name, error=type(error).__name__)
