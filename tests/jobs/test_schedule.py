"""The scheduled work: what it does, and that it goes on whatever happens."""

import asyncio
from collections import Counter

import pytest
import structlog
from sqlalchemy import func, select

from authsvc.jobs import scheduler
from authsvc.jobs.chain_audit import chain_audit
from authsvc.jobs.rotate_keys import rotate_keys
from authsvc.jobs.scheduler import SCHEDULE, Scheduled, run_schedule
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.schema import audit_events
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

_QUARTER = 90 * 86_400


async def _kids(provider: Provider) -> set[str]:
    return {jwk["kid"] for jwk in (await provider.http.get("/jwks")).json()["keys"]}


async def test_an_old_key_is_replaced_and_at_last_removed_and_both_are_in_the_audit_log(
    provider: Provider,
) -> None:
    first = await _kids(provider)

    provider.clock.move(seconds=_QUARTER)
    await rotate_keys(provider.server)
    assert first < await _kids(provider)
    provider.clock.move(seconds=86_400)
    await rotate_keys(provider.server)

    left = await _kids(provider)
    assert len(first & left) == 4
    assert len(left) == 8
    events = [event for event in await provider.audit_events() if event.actor == "schedule"]
    assert [event.event for event in reversed(events)] == ["keys.rotated", "keys.removed"]


async def test_the_schedules_of_two_replicas_at_once_do_the_work_once(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    for replica in replicas:
        replica.clock.move(seconds=_QUARTER)

    await asyncio.gather(*(rotate_keys(replica.server) for replica in replicas))

    assert len(await replicas[0].audit_events("keys.rotated")) == 1


async def test_events_are_chained(provider: Provider) -> None:
    await provider.create_user()

    await chain_audit(provider.server)

    async with provider.resources.database.reading() as tx:
        unchained = await tx.execute(select(func.count()).where(audit_events.c.position.is_(None)))
        assert unchained.scalar() == 0
    found = await provider.resources.audit_verifier.verify()
    assert (found.problem, found.checkpoints) == (None, 1)
    assert found.checked >= 2


def test_everything_is_on_the_schedule() -> None:
    works = {scheduled.work: scheduled.seconds for scheduled in SCHEDULE}

    assert works[rotate_keys] <= 300
    assert works[chain_audit] <= 60


async def test_work_that_fails_is_logged_and_tried_again_and_stops_no_other(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: Counter[str] = Counter()
    log = structlog.testing.CapturingLogger()

    async def fail(_server: AuthorizationServer) -> None:
        runs["fail"] += 1
        raise RuntimeError("a text that may hold anything")

    async def work(_server: AuthorizationServer) -> None:
        runs["work"] += 1

    schedule = (Scheduled("fail", fail, 0), Scheduled("work", work, 0))
    monkeypatch.setattr(scheduler, "SCHEDULE", schedule)
    monkeypatch.setattr(scheduler, "log", log)
    task = asyncio.create_task(run_schedule(sqlite_provider.server))
    async with asyncio.timeout(30):
        while min(runs["fail"], runs["work"]) < 10:  # noqa: ASYNC110  # work sets no event
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    # The first time; that it still fails is said a minute later.
    assert [(call.method_name, str(call.kwargs)) for call in log.calls] == [
        ("warning", "{'job': 'fail', 'error': 'RuntimeError', 'times': 1}")
    ]


async def test_a_serving_process_runs_the_schedule(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()

    async def work(_server: AuthorizationServer) -> None:
        done.set()

    monkeypatch.setattr(scheduler, "SCHEDULE", (Scheduled("work", work, 0.01),))
    await open_providers(sqlite_backend)

    async with asyncio.timeout(10):
        await done.wait()
