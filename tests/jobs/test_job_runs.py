"""Each job runs once an interval in the whole installation, and everybody can see how it went."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from authsvc.jobs import scheduler
from authsvc.jobs.background import observe_once
from authsvc.jobs.scheduler import LEASE, Scheduled, _ClaimedRuns, _SharedRuns
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage import outbox
from authsvc.storage.job_runs import JobRun, load_job_runs
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider


class Work:
    """A job that counts its runs, and does what a test wants."""

    def __init__(self, seconds: float = 600) -> None:
        self.runs: Counter[int] = Counter()
        self.error: Exception | None = None
        self.going = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.scheduled = Scheduled("work", self.do, seconds)

    async def do(self, server: AuthorizationServer) -> None:
        """Run."""
        self.runs[id(server)] += 1
        self.going.set()
        await self.may_end.wait()
        if self.error is not None:
            raise self.error

    async def run(self, provider: Provider) -> None:
        """Run as the schedule of the provider would."""
        await _ClaimedRuns(self.scheduled, provider.server).run()


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


async def find_run(provider: Provider) -> JobRun:
    async with provider.resources.database.reading() as tx:
        return (await load_job_runs(tx))["work"]


async def test_of_replicas_at_once_one_runs_the_job_once_an_interval(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(3)]
    work = Work()

    for expected in (1, 2):
        for _ in range(3):
            await asyncio.gather(*(work.run(replica) for replica in replicas))
        assert work.runs.total() == expected
        for replica in replicas:
            replica.clock.move(seconds=600)


async def test_a_job_under_way_is_left_alone_until_its_lease_is_over(
    backend: Backend, open_providers: OpenProvider
) -> None:
    first, second = [await open_providers(backend) for _ in range(2)]
    work = Work(seconds=30)
    work.may_end.clear()
    running = asyncio.create_task(work.run(first))
    await work.going.wait()
    second.clock.move(seconds=LEASE.total_seconds() - 30)
    await work.run(second)
    assert work.runs.total() == 1
    held = (await find_run(second)).held_until

    # It died, or stands still: another takes over, and its own end changes nothing then.
    second.clock.move(seconds=60)
    taking_over = asyncio.create_task(work.run(second))
    async with asyncio.timeout(20):
        while work.runs.total() < 2:  # noqa: ASYNC110  # the claim sets no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    now_held = (await find_run(second)).held_until
    assert held is not None
    assert now_held is not None
    assert now_held > held
    work.may_end.set()
    await taking_over
    assert (await find_run(second)).held_until is None


async def test_a_process_that_ends_leaves_its_job_to_the_next_at_once(
    backend: Backend, open_providers: OpenProvider
) -> None:
    first, second = [await open_providers(backend) for _ in range(2)]
    work = Work()
    work.may_end.clear()
    running = asyncio.create_task(work.run(first))
    await work.going.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    work.may_end.set()

    await work.run(second)

    assert work.runs.total() == 2


async def test_what_a_clock_that_was_far_ahead_has_left_holds_nobody_up(
    backend: Backend, open_providers: OpenProvider
) -> None:
    wrong, right = [await open_providers(backend) for _ in range(2)]
    wrong.clock.move(days=1_000)
    work = Work()
    await work.run(wrong)

    await work.run(right)

    assert work.runs.total() == 2


async def test_how_a_job_went_is_kept_and_its_lag_is_told_until_it_succeeds(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    monkeypatch.setattr(scheduler, "SCHEDULE", (work.scheduled,))
    since = provider.clock.now()

    async def lag() -> float:
        await observe_once(provider.server, since=since)
        return REGISTRY.get_sample_value("authsvc_job_lag_seconds", {"name": "work"}) or 0

    provider.clock.move(seconds=500)
    assert await lag() == 0
    provider.clock.move(seconds=200)
    assert 100 <= await lag() < 150
    work.error = RuntimeError("a text that may hold anything")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await work.run(provider)
        provider.clock.move(seconds=1_000)
    failed = await find_run(provider)
    assert (failed.last_error, failed.succeeded_at) == ("RuntimeError", None)
    assert failed.failed_at is not None
    assert 1_400 <= await lag() < 1_450

    work.error = None
    await work.run(provider)

    done = await find_run(provider)
    assert done.last_error is None
    assert isinstance(done.succeeded_at, datetime)
    assert done.due_at - done.succeeded_at > timedelta(seconds=550)
    assert await lag() == 0


async def test_what_every_process_does_is_noted_now_and_then(provider: Provider) -> None:
    work = Work(seconds=1)
    shared = _SharedRuns(Scheduled("work", work.do, 1, shared=True), provider.server)
    await shared.run()
    first = await find_run(provider)
    provider.clock.move(seconds=10)
    await shared.run()
    assert await find_run(provider) == first
    work.error = RuntimeError()
    with pytest.raises(RuntimeError):
        await shared.run()
    assert (await find_run(provider)).last_error == "RuntimeError"
    work.error = None
    await shared.run()

    noted = await find_run(provider)

    assert noted.last_error is None
    assert noted.succeeded_at is not None
    assert first.succeeded_at is not None
    assert noted.succeeded_at > first.succeeded_at
    assert work.runs.total() == 4


async def test_the_metrics_tell_what_is_in_the_outbox(provider: Provider) -> None:
    now = provider.clock.now()
    database = provider.resources.database
    async with database.transaction() as tx:
        await outbox.add(tx, "test", [{"n": n} for n in range(3)], now=now)
        lease = timedelta(hours=1)
        (claimed,) = await outbox.claim(tx, ["test"], now=now, lease=lease, limit=1)
        await outbox.give_up(tx, claimed, now=now, error="gone")
    provider.clock.move(seconds=90)

    await observe_once(provider.server, since=now)

    told = {
        name: REGISTRY.get_sample_value(f"authsvc_outbox_{name}") or 0
        for name in ("waiting", "dead", "oldest_seconds")
    }
    assert (told["waiting"], told["dead"]) == (2, 1)
    assert 90 <= told["oldest_seconds"] < 120


async def test_where_a_worker_runs_the_jobs_a_serving_process_does_not(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_server: Counter[bool] = Counter()
    done = asyncio.Event()
    without_jobs: set[int] = set()

    async def work(server: AuthorizationServer) -> None:
        by_server[id(server) in without_jobs] += 1
        done.set()

    monkeypatch.setattr(scheduler, "SCHEDULE", (Scheduled("work", work, 0.01, shared=True),))
    serving: Provider = await open_providers(sqlite_backend, jobs=False)
    without_jobs.add(id(serving.server))
    await open_providers(sqlite_backend)

    async with asyncio.timeout(20):
        await done.wait()
    assert by_server[True] == 0
