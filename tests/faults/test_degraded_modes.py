"""Each dependency comes to harm, under three replicas: what is promised then, and measured."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from authsvc.storage.changes import LEARNT
from tests.conftest import Backend, OpenProvider
from tests.deploy.exposure import EVERY_PATH
from tests.faults.calls import CALLS, ROUTES, gather_latencies, introspect, timed
from tests.faults.harm import ALL, HARMS, Harm
from tests.faults.kit import Kit, make_kit
from tests.faults.modes import (
    DEGRADED,
    EXPECTED,
    IN_TIME,
    MODES,
    REFUSED,
    SLOWER,
    TOLD,
    WORKS,
    expected,
)
from tests.faults.replica import Replica
from tests.faults.single_use import SingleUse
from tests.faults.world import World
from tests.figures import Show

SECOND = 1.0
_MOST_LINES = 8
"""How often something may be said in the log while one fault lasts."""
_PAUSES = 3
"""How often a process may distrust its memory since one of them stood still for a moment."""
_KNOCKS = 4
"""Requests at once to each replica that find out what is wrong: more than open a breaker."""
_DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_table_in_the_documentation_is_the_one_that_is_tested() -> None:
    rows = _tables()[0]
    assert tuple(rows[0][1:]) == MODES
    assert {row[0]: tuple(row[1:]) for row in rows[2:]} == EXPECTED
    assert EXPECTED.keys() == CALLS.keys()


def test_what_the_documentation_says_of_servers_of_others_is_tried_by_tests_that_are_there() -> (
    None
):
    rows = _tables()[1][2:]
    assert len(rows) > 10
    for *_, test in rows:
        path, _, name = test.partition("::")
        assert f"async def {name}(" in (_DOCS.parents[1] / path).read_text()


def _tables() -> list[list[list[str]]]:
    """Return the tables of the section, each as rows of cells."""
    section = _DOCS.read_text().partition("## Degraded modes")[2].partition("\n### ")[0]
    paragraphs = [text for text in section.split("\n\n") if text.startswith("|")]
    return [
        [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
        for lines in map(str.splitlines, paragraphs)
    ]


async def test_every_route_is_in_the_table(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, **EVERY_PATH)
    routes = set(_routes(provider.app.routes))
    assert routes == ROUTES.keys()
    assert set().union(*ROUTES.values()) == CALLS.keys()


def _routes(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield route.path
        else:
            assert isinstance(route, Route)
            yield from (
                f"{method} {route.path}" for method in (route.methods or ()) if method != "HEAD"
            )


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.name)
async def test_while_a_dependency_is_harmed_what_is_promised_holds(
    world: World, harm: Harm, show_figure: Show
) -> None:
    kits = [await make_kit(world, replica) for replica in world.replicas]
    single_use = await SingleUse.prepare(world)
    before, _ = await gather_latencies(world, kits)
    logged = [replica.log_size() for replica in world.replicas]

    async with harm.do(world):
        await _until_noticed(world, harm)
        async with _knocking(world) as knocks:
            during, statuses = await gather_latencies(world, kits)
        answers = await _ask_everything(world, harm, kits, knocks)
        await _check_revoked(world, kits, answers, served=False)
        await _check_metrics(world, harm)
        await single_use.try_everywhere(world)
    begun = time.monotonic()
    await _until_served(world)
    recovery = time.monotonic() - begun
    after, _ = await gather_latencies(world, kits)
    await world.until_well()

    _check_answers(harm, answers)
    for replica, begin in zip(world.replicas, logged, strict=True):
        _check_log(replica.log_from(begin))
    await single_use.check(world)
    await _check_nothing_is_lost(world, answers)
    await _check_revoked(world, kits, answers, served=True)
    if harm.mode != "both away":
        assert statuses.total() - statuses[200] <= (_PAUSES if _may_pause(harm) else 0)
        # Generous: the machine has others to serve. A wait for a database is far above it.
        assert statistics.median(during) < 3 * statistics.median(before) + 0.05
    show_figure(_figures(harm, answers, (before, during, after), recovery))


@dataclass
class Answers:
    """What was answered while harm was done, by endpoint and replica."""

    knocks: list[float]
    """How long each 503 took when nobody had learnt yet that there is none to ask (seconds)."""
    by_call: dict[tuple[str, int], tuple[httpx.Response, float]] = field(default_factory=dict)
    noise: float = 0.0
    """The longest that a replica took meanwhile to say that it lives (seconds)."""
    pauses: int = 0
    """How often one was asked again, since it had not trusted its memory for a moment."""

    def of(self, endpoint: str) -> list[httpx.Response]:
        """Return the answers of an endpoint."""
        return [answer for (name, _), (answer, _) in self.by_call.items() if name == endpoint]

    def refusals(self) -> list[float]:
        """Return how long each 503 took."""
        answered = [took for answer, took in self.by_call.values() if answer.status_code == 503]
        return self.knocks + answered


async def _until_noticed(world: World, harm: Harm) -> None:
    """Return when memory is trusted no more, where Redis is away: until then all is served."""
    if harm.mode in ("Redis away", "both away"):
        for replica in world.replicas:
            await replica.until_current(False)


@asynccontextmanager
async def _knocking(world: World) -> AsyncIterator[list[float]]:
    """Ask each replica for what needs the database, again and again; note how long a 503 takes."""
    refusals: list[float] = []

    async def knock(replica: Replica) -> None:
        answer, took = await timed(replica.refresh(world.client, "unknown"))
        if answer.status_code == 503:
            refusals.append(took)

    tasks = [
        asyncio.create_task(knock(replica)) for replica in world.replicas for _ in range(_KNOCKS)
    ]
    yield refusals
    await asyncio.gather(*tasks)


async def _ask_everything(
    world: World, harm: Harm, kits: list[Kit], knocks: list[float]
) -> Answers:
    """Call each endpoint at each replica, the replicas at once.

    Who should serve from memory, and refuses since a process was not heard for a moment (the
    machine has others to run), is asked again once that is over.
    """
    answers = Answers(knocks)

    async def ask(number: int) -> None:
        replica = world.replicas[number]
        for name, call in CALLS.items():
            answer, took = await timed(call(world, replica, kits[number]))
            may_pause = _may_pause(harm) and number in harm.meets
            is_served = expected(name, harm.mode) in (WORKS, TOLD)
            if may_pause and is_served and answer.status_code == 503:
                answers.pauses += 1
                await replica.until_current()
                answer, took = await timed(call(world, replica, kits[number]))
            answers.by_call[name, number] = answer, took

    async with _noise(world, answers):
        # Those that are met come first: what another one changes they would have to read.
        await asyncio.gather(*map(ask, harm.meets))
        await asyncio.gather(*map(ask, set(ALL) - set(harm.meets)))
    return answers


def _may_pause(harm: Harm) -> bool:
    return harm.mode.startswith("PostgreSQL")


@asynccontextmanager
async def _noise(world: World, answers: Answers) -> AsyncIterator[None]:
    """Note how long the machine itself lets everybody wait."""

    async def ping(replica: Replica) -> None:
        while True:
            _, took = await timed(replica.http.get("/healthz"))
            answers.noise = max(answers.noise, took)
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(ping(replica)) for replica in world.replicas]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check_answers(harm: Harm, answers: Answers) -> None:
    wrong = {}
    for (name, number), (answer, took) in answers.by_call.items():
        wanted = expected(name, harm.mode) if number in harm.meets else WORKS
        if not _is_as_expected(name, wanted, answer, took, answers.noise):
            wrong[name, number] = (
                wanted,
                answer.status_code,
                round(took, 2),
                answer.headers.get("location", answer.text)[:300],
            )
    assert not wrong, f"{wrong}\nnoise {answers.noise:.2f} s"
    assert answers.pauses <= _PAUSES
    refusals = answers.refusals()
    assert not refusals or statistics.median(refusals) < SECOND
    assert not answers.knocks or statistics.median(answers.knocks) < SECOND


def _is_as_expected(
    name: str, wanted: str, answer: httpx.Response, took: float, noise: float
) -> bool:
    is_refused = answer.status_code == 503
    if is_refused:
        tells = name == "/readyz" or int(answer.headers["retry-after"]) >= 1
        return wanted in (REFUSED, IN_TIME) and tells and took < SECOND + noise
    is_told = "error=temporarily_unavailable" in answer.headers.get("location", "")
    if is_told:
        return wanted in (TOLD, IN_TIME) and took < SECOND + noise
    if name == "/readyz" and wanted != IN_TIME:
        statuses = {check["status"] for check in answer.json()["checks"].values()}
        return (DEGRADED in statuses) is (wanted == DEGRADED)
    if wanted == SLOWER:
        return answer.is_success and took >= LEARNT
    served = (404,) if name == "client's logo" else (200, 201, 204, 303)
    return wanted in (WORKS, IN_TIME) and answer.status_code in served


def _check_log(lines: list[dict[str, Any]]) -> None:
    """Check that what fails again and again is not said each time; a request may say it each."""
    said = Counter(
        (line["event"], line.get("job"), line.get("dependency"))
        for line in lines
        if "request_id" not in line
    )
    repeated = {event: times for event, times in said.items() if times > _MOST_LINES}
    assert not repeated


async def _check_metrics(world: World, harm: Harm) -> None:
    """Check that the breakers of what does not answer open, and of nothing else."""
    away = {
        "database": harm.mode in ("PostgreSQL away", "both away")
        and harm.name != "PostgreSQL out of connections",
        "redis": harm.mode in ("Redis away", "both away"),
    }
    for dependency, is_away in away.items():
        if harm.mode in ("PostgreSQL slow", "Redis emptied or replaced"):
            continue
        sample = f'authsvc_breaker_open{{dependency="{dependency}"}}'
        for number, replica in enumerate(world.replicas):
            is_met = is_away and number in harm.meets
            async with asyncio.timeout(10):
                while await replica.gauge(sample) != is_met:
                    if is_met and dependency == "database":
                        await replica.userinfo("a.b.c")
                        await replica.refresh(world.client, "a-token")
                    await asyncio.sleep(0.02)


async def _until_served(world: World) -> None:
    """Return when each replica answers a request that reads and writes."""
    async with asyncio.timeout(30):
        for replica in world.replicas:
            while (await replica.refresh(world.client, "unknown")).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def _check_nothing_is_lost(world: World, answers: Answers) -> None:
    """Check at another replica that what was answered with success has happened."""
    for response in (*answers.of("token: refresh"), *answers.of("token: code")):
        if response.status_code == 200:
            token = response.json()["refresh_token"]
            assert (await world.replicas[1].introspect(world.client, token))["active"]
    for response in answers.of("admin API: changing"):
        if response.status_code == 201:
            token = await world.new_client_token(world.admin)
            name = response.json()["name"]
            shown = await world.administer(world.replicas[2], token, "GET", f"/roles/{name}")
            assert shown.status_code == 200


async def _check_revoked(world: World, kits: list[Kit], answers: Answers, *, served: bool) -> None:
    """Check everywhere that what was revoked with success is good for nothing.

    Unless all is ``served`` a replica may as well say that it can not tell.
    """
    for (name, number), (answer, _) in answers.by_call.items():
        kit = kits[number]
        revoked = {
            "revocation: an access token": kit.revocable,
            "revocation: a refresh token": kit.revocable_refresh_token,
        }.get(name)
        if revoked is None or answer.status_code != 200:
            continue
        for replica in world.replicas:
            response = await introspect(replica, world.client, revoked)
            if served or response.status_code != 503:
                assert response.status_code == 200
                assert not response.json()["active"]


def _figures(
    harm: Harm, answers: Answers, latencies: tuple[list[float], ...], recovery: float
) -> str:
    spans = ", ".join(
        f"{when} {_ms(statistics.median(seconds))}/{_ms(_p99(seconds))}"
        for when, seconds in zip(("before", "during", "after"), latencies, strict=True)
    )
    refusals = answers.refusals()
    refused = (
        f"{len(refusals)} x 503 in {_ms(statistics.median(refusals))}, at most {_ms(max(refusals))}"
        if refusals
        else "no 503"
    )
    if answers.knocks:
        refused += f" (the first {_ms(answers.knocks[0])})"
    return (
        f"{harm.name}: {refused}; unrelated endpoints p50/p99 {spans}; "
        f"served again after {_ms(recovery)}"
    )


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[-1]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
