"""Delivering the outbox: at least once, later and later, and at last no more."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from authsvc.jobs import deliver_outbox as job
from authsvc.jobs import scheduler
from authsvc.jobs.deliver_outbox import LONGEST_WAIT, MAX_ATTEMPTS, deliver_outbox, find_delay
from authsvc.jobs.retry_dead import retry_dead_entries
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.outbound.errors import BreakerOpen, Busy
from authsvc.storage import outbox
from authsvc.storage.schema import outbox as table
from tests.conftest import Backend, OpenProvider
from tests.outbound.open_client import ProgrammedResolver, RecordingDialer, open_outbound
from tests.provider import ORIGIN, Provider

KIND = "test"


class Deliveries:
    """A handler that does to each payload what a test has said."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.error: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.slow: frozenset[int] = frozenset()
        self.under_way = 0
        self.most_under_way = 0

    async def handle(self, _server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
        self.attempts.append(payload["n"])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            if payload["n"] in self.slow:
                await self.held.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.under_way -= 1


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    """The handler of the kind ``test``, while nothing else runs by itself."""
    made = Deliveries()
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    monkeypatch.setattr(job, "HANDLERS", {KIND: made.handle})
    return made


@pytest.fixture
async def quiet(
    deliveries: Deliveries, sqlite_backend: Backend, open_providers: OpenProvider
) -> Provider:
    """A provider whose outbox goes to ``deliveries`` alone."""
    running: Provider = await open_providers(sqlite_backend)
    return running


async def add(provider: Provider, *numbers: int, client_id: str | None = None) -> None:
    """Write entries, each for a client of its own or all for one."""
    async with provider.resources.database.transaction() as tx:
        payloads = [{"n": n, "client_id": client_id or f"client {n}"} for n in numbers]
        await outbox.add(tx, KIND, payloads, now=provider.clock.now())


async def stored(provider: Provider) -> list[Any]:
    async with provider.resources.database.reading() as tx:
        return list(await tx.execute(select(table)))


def counted(outcome: str) -> float:
    labels = {"kind": KIND, "outcome": outcome}
    return REGISTRY.get_sample_value("authsvc_outbox_entries_total", labels) or 0


async def test_everything_is_delivered_some_at_once_and_a_slow_one_holds_up_no_other(
    quiet: Provider, deliveries: Deliveries
) -> None:
    before = counted("delivered")
    await add(quiet, *range(100))
    deliveries.slow, deliveries.held = frozenset({0, 1, 2}), asyncio.Event()

    delivering = asyncio.create_task(deliver_outbox(quiet.server))
    async with asyncio.timeout(20):
        while len(await stored(quiet)) > len(deliveries.slow):  # noqa: ASYNC110  # sets no event
            await asyncio.sleep(0.01)
    assert deliveries.under_way == 3
    # What comes meanwhile does not wait for the slow ones, either.
    await add(quiet, 100)
    async with asyncio.timeout(20):
        while len(deliveries.attempts) < 101:  # noqa: ASYNC110  # sets no event
            await asyncio.sleep(0.01)
    deliveries.held.set()
    await delivering

    assert sorted(deliveries.attempts) == [*range(101)]
    assert 3 < deliveries.most_under_way <= 40
    assert await stored(quiet) == []
    assert counted("delivered") == before + 101


async def test_what_fails_is_tried_later_and_later_and_then_kept_as_dead(
    quiet: Provider, deliveries: Deliveries
) -> None:
    failed, dead = counted("failed"), counted("dead")
    deliveries.error = OutboundError("the client answered 500", temporary=True)
    await add(quiet, 1)
    waited = []
    for attempt in range(1, MAX_ATTEMPTS):
        await deliver_outbox(quiet.server)
        await deliver_outbox(quiet.server)
        assert len(deliveries.attempts) == attempt
        (row,) = await stored(quiet)
        assert (row.attempts, row.failed_at, row.last_error) == (
            attempt,
            None,
            "the client answered 500",
        )
        waited.append((row.due_at - quiet.clock.now()).total_seconds())
        quiet.clock.move(seconds=waited[-1] + 1)

    await deliver_outbox(quiet.server)
    quiet.clock.move(days=30)
    await deliver_outbox(quiet.server)

    assert waited[:5] == sorted(waited[:5])
    assert all(1_799 < seconds <= 3_600 for seconds in waited[5:])
    # A receiver that was away for half a day is told all the same, whatever chance says.
    assert sum(waited) > 12 * 3_600
    assert deliveries.attempts == [1] * MAX_ATTEMPTS
    (row,) = await stored(quiet)
    assert row.failed_at is not None
    assert counted("failed") == failed + MAX_ATTEMPTS - 1
    assert counted("dead") == dead + 1


async def test_a_client_that_hangs_has_four_under_way_and_holds_up_no_other(
    quiet: Provider, deliveries: Deliveries
) -> None:
    put_back = counted("put_back")
    deliveries.slow, deliveries.held = frozenset(range(60)), asyncio.Event()
    await add(quiet, *range(60), client_id="the slow one")
    await add(quiet, 100, client_id="another")

    delivering = asyncio.create_task(deliver_outbox(quiet.server))
    async with asyncio.timeout(20):
        while 100 not in deliveries.attempts:  # noqa: ASYNC110  # sets no event of its own
            await asyncio.sleep(0.01)
    assert deliveries.under_way == 4
    # The others wait where they are, and are not put back to be looked at in vain.
    assert len(await _not_under_way(quiet)) == 20
    deliveries.held.set()
    await delivering

    assert sorted(deliveries.attempts) == [*range(60), 100]
    assert counted("put_back") == put_back
    assert deliveries.most_under_way == 5


async def test_a_client_that_is_quick_gets_all_that_waits_for_it_at_once(
    quiet: Provider, deliveries: Deliveries
) -> None:
    put_back = counted("put_back")
    await add(quiet, *range(100), client_id="the quick one")

    await deliver_outbox(quiet.server)

    assert sorted(deliveries.attempts) == [*range(100)]
    assert deliveries.most_under_way == 4
    assert counted("put_back") == put_back


async def test_what_waits_for_a_slow_one_goes_back_at_the_end_of_the_run(
    quiet: Provider, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "RUN_SECONDS", 0.2)
    deliveries.slow, deliveries.held = frozenset(range(30)), asyncio.Event()
    await add(quiet, *range(30), client_id="the slow one")
    delivering = asyncio.create_task(deliver_outbox(quiet.server))
    async with asyncio.timeout(20):
        while deliveries.under_way < 4:  # noqa: ASYNC110  # sets no event
            await asyncio.sleep(0.01)
        while len(back := await _not_under_way(quiet)) < 26:  # noqa: ASYNC110  # sets no event
            await asyncio.sleep(0.01)
    assert all(entry.due_at <= quiet.clock.now() for entry in back)
    deliveries.held.set()
    await delivering
    assert len(deliveries.attempts) == 4


async def test_the_database_is_asked_once_a_second_while_all_that_is_under_way_hangs(
    quiet: Provider, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, real = 0, outbox.claim

    async def claim(*arguments: Any, **named: Any) -> Any:
        nonlocal looks
        looks += 1
        return await real(*arguments, **named)

    monkeypatch.setattr(outbox, "claim", claim)
    monkeypatch.setattr(job, "RUN_SECONDS", 2.5)
    deliveries.slow, deliveries.held = frozenset(range(9)), asyncio.Event()
    await add(quiet, *range(9), client_id="the slow one")
    delivering = asyncio.create_task(deliver_outbox(quiet.server))
    async with asyncio.timeout(20):
        while len(await _not_under_way(quiet)) < 5 or not looks:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)
    deliveries.held.set()
    await delivering
    assert looks <= 4


async def test_receivers_that_hang_leave_places_for_one_that_does_not(
    quiet: Provider, deliveries: Deliveries
) -> None:
    deliveries.slow, deliveries.held = frozenset(range(490)), asyncio.Event()
    for client in range(49):
        numbers = range(10 * client, 10 * client + 10)
        await add(quiet, *numbers, client_id=f"slow {client}")
    await add(quiet, *range(500, 520), client_id="the quick one")

    delivering = asyncio.create_task(
        job.deliver(quiet.server, {KIND: deliveries.handle}, at_once=100)
    )
    async with asyncio.timeout(10):
        while not {*range(500, 520)} <= {*deliveries.attempts}:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    assert deliveries.under_way < 100
    deliveries.held.set()
    await delivering
    assert sorted(deliveries.attempts) == [*range(490), *range(500, 520)]


async def test_what_failed_before_holds_up_nothing_new_of_the_same_receiver(
    quiet: Provider, deliveries: Deliveries
) -> None:
    deliveries.error = OutboundError("the receiver answered 500", temporary=True)
    await add(quiet, *range(20), client_id="one")
    await deliver_outbox(quiet.server)
    assert len(deliveries.attempts) == 20
    quiet.clock.move(seconds=5)
    deliveries.error, deliveries.attempts = None, []
    deliveries.slow, deliveries.held = frozenset(range(20)), asyncio.Event()
    await add(quiet, *range(20, 40), client_id="one")

    delivering = asyncio.create_task(deliver_outbox(quiet.server))
    async with asyncio.timeout(10):
        while not {*range(20, 40)} <= {*deliveries.attempts}:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    assert deliveries.under_way == 2
    deliveries.held.set()
    await delivering
    assert sorted(deliveries.attempts) == [*range(40)]


async def test_who_is_left_alone_costs_no_attempt_and_is_given_up_after_a_day(
    quiet: Provider, deliveries: Deliveries
) -> None:
    put_back = counted("put_back")
    deliveries.error = BreakerOpen()
    await add(quiet, *range(10), client_id="one")
    waited = 0.0
    while waited < LONGEST_WAIT.total_seconds():
        await deliver_outbox(quiet.server)
        rows = await stored(quiet)
        assert {(row.attempts, row.failed_at) for row in rows} == {(0, None)}
        waits = [(row.due_at - quiet.clock.now()).total_seconds() for row in rows]
        # One was enough to know: the others were given back, and are first the next time.
        assert sorted(wait > 0 for wait in waits) == [False] * 6 + [True] * 4
        assert max(waits) <= 60
        quiet.clock.move(hours=3)
        waited += 3 * 3_600
    assert counted("put_back") == put_back + 4 * 8

    await deliver_outbox(quiet.server)
    dead = [row for row in await stored(quiet) if row.failed_at]
    assert len(dead) == 4
    # Who says that it is to be tried again gives it another day.
    assert await retry_dead_entries(quiet.server, ORIGIN) == 4
    for _ in range(3):
        await deliver_outbox(quiet.server)
    assert {row.id for row in await stored(quiet) if not row.failed_at} >= {row.id for row in dead}


async def _not_under_way(provider: Provider) -> list[Any]:
    return [entry for entry in await stored(provider) if not entry.attempts]


async def test_it_returns_after_a_while_although_there_is_always_more(
    quiet: Provider, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one_more(server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
        await deliveries.handle(server, payload)
        await add(quiet, payload["n"] + 1)

    monkeypatch.setattr(job, "HANDLERS", {KIND: one_more})
    monkeypatch.setattr(job, "RUN_SECONDS", 0.2)
    await add(quiet, 0)

    async with asyncio.timeout(20):
        await deliver_outbox(quiet.server)

    assert deliveries.attempts
    assert len(await stored(quiet)) == 1


async def test_what_was_not_sent_since_we_were_busy_does_not_count(
    quiet: Provider, deliveries: Deliveries
) -> None:
    put_back, failed = counted("put_back"), counted("failed")
    deliveries.error = Busy("too many requests at once")
    await add(quiet, 1)
    for _ in range(MAX_ATTEMPTS + 1):
        await deliver_outbox(quiet.server)
        (row,) = await stored(quiet)
        assert (row.attempts, row.failed_at, row.last_error) == (0, None, None)
        assert (row.due_at - quiet.clock.now()).total_seconds() <= 2
        quiet.clock.move(seconds=2)
    assert counted("put_back") == put_back + MAX_ATTEMPTS + 1
    assert counted("failed") == failed

    deliveries.error = None
    await deliver_outbox(quiet.server)

    assert await stored(quiet) == []


async def test_what_can_never_succeed_is_not_tried_again(
    quiet: Provider, deliveries: Deliveries
) -> None:
    deliveries.error = OutboundError("the address is private", temporary=False)
    await add(quiet, 1)

    await deliver_outbox(quiet.server)
    quiet.clock.move(days=1)
    await deliver_outbox(quiet.server)

    assert len(deliveries.attempts) == 1
    (row,) = await stored(quiet)
    assert row.last_error == "the address is private"
    assert row.failed_at is not None


async def test_a_name_that_leads_inside_for_a_moment_is_tried_again(
    quiet: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = ProgrammedResolver({"rp.example": [["10.0.0.1"], ["1.1.1.1"]]})
    dialer = RecordingDialer()
    async with open_outbound(loopback=False, resolver=resolver, dialer=dialer) as outbound:

        async def post(_server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
            await outbound.post_form(str(payload["client_id"]), {"logout_token": "x"})

        monkeypatch.setattr(job, "HANDLERS", {KIND: post})
        await add(quiet, 1, client_id="https://rp.example/logout")
        await add(quiet, 2, client_id="https://10.0.0.1/logout")
        await add(quiet, 3, client_id="https://a@rp.example/logout")
        await deliver_outbox(quiet.server)
        rows = {row.payload["n"]: row for row in await stored(quiet)}
        assert [rows[n].failed_at is None for n in (1, 2, 3)] == [True, False, False]
        assert dialer.dialed == []

        quiet.clock.move(hours=1)
        await deliver_outbox(quiet.server)
        assert dialer.dialed == [("1.1.1.1", 443)]


async def test_a_handler_that_breaks_counts_as_failed_and_its_words_are_kept_nowhere(
    quiet: Provider, deliveries: Deliveries
) -> None:
    deliveries.error = RuntimeError("a text that may hold anything")
    await add(quiet, 1)

    await deliver_outbox(quiet.server)

    (row,) = await stored(quiet)
    assert (row.last_error, row.failed_at) == ("RuntimeError", None)


async def test_an_entry_under_way_when_the_process_stops_is_delivered_again(
    deliveries: Deliveries, backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend)
    await add(provider, 1)
    deliveries.slow, deliveries.held = frozenset({1}), asyncio.Event()
    delivering = asyncio.create_task(deliver_outbox(provider.server))
    async with asyncio.timeout(10):
        while not deliveries.under_way:  # noqa: ASYNC110  # the handler sets no event
            await asyncio.sleep(0.01)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert deliveries.under_way == 0
    deliveries.held.set()

    await deliver_outbox(provider.server)
    assert len(deliveries.attempts) == 1
    provider.clock.move(minutes=2)
    await deliver_outbox(provider.server)

    assert deliveries.attempts == [1, 1]
    assert await stored(provider) == []


async def test_an_entry_that_kills_its_worker_each_time_is_dead_at_last(
    quiet: Provider, deliveries: Deliveries
) -> None:
    await add(quiet, 1)
    for _ in range(MAX_ATTEMPTS):
        async with quiet.resources.database.transaction() as tx:
            lease = timedelta(seconds=1)
            await outbox.claim(tx, [KIND], now=quiet.clock.now(), lease=lease, limit=1)
        quiet.clock.move(seconds=2)

    await deliver_outbox(quiet.server)

    assert deliveries.attempts == []
    (row,) = await stored(quiet)
    assert row.failed_at is not None


async def test_kinds_that_this_version_does_not_know_are_left_alone(
    quiet: Provider, deliveries: Deliveries
) -> None:
    async with quiet.resources.database.transaction() as tx:
        await outbox.add(tx, "of a later version", [{}], now=quiet.clock.now())

    await deliver_outbox(quiet.server)

    (row,) = await stored(quiet)
    assert row.attempts == 0


def test_delays_grow_to_an_hour_and_are_never_the_same() -> None:
    for attempts in range(1, MAX_ATTEMPTS + 1):
        delays = {find_delay(attempts).total_seconds() for _ in range(50)}
        longest = min(5 * 4 ** (attempts - 1), 3_600)
        assert longest / 2 <= min(delays)
        assert max(delays) <= longest
        assert len(delays) > 10
