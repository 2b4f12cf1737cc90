"""Replicas are killed at random moments under load, and nothing that was answered is lost.

What clients saw is recorded and then proved to be what one provider that never fails could
have answered: see ``tests.crash.linearizability``.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Cli, variables_of
from tests.conftest import Backend, BackendName
from tests.crash.fleet import Replica, run_fleet
from tests.crash.linearizability import check_apart, check_family
from tests.crash.load import App, Person
from tests.figures import Show
from tests.provider import SECRET, open_provider

ROUNDS = 4
KILLS = 50
"""In each round, so two hundred in all."""
PEOPLE = 6
_PATIENCE = 60
"""Seconds in which people ask something, however slow the machine is."""
_LONGEST_WAIT = 0.4
"""Seconds from a replica's first answer to its end at most, while there is load."""
_LOAD = 3
"""Requests between two kills of a replica at least: a kill that meets nobody proves nothing."""

VARIABLES = {
    "AUTHSVC_RATE_LIMITS": "off",
    # A wide window: whether a repetition falls into it then never hangs on the clock.
    "AUTHSVC_REFRESH_WINDOW": "3600",
    "AUTHSVC_AUTHORIZATION_CODE_TTL": "600",
}


@pytest.fixture
def shared_backend(make_backend: Callable[[BackendName], Backend]) -> Backend:
    """One PostgreSQL and one Redis."""
    return make_backend("postgres+redis")


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_kills_lose_nothing_and_honour_nothing_twice(
    number: int,
    shared_backend: Backend,
    tmp_path: Path,
    show_figure: Show,
) -> None:
    seed = secrets.randbits(32)
    cli = Cli(tmp_path, variables_of(shared_backend))
    people = await _prepare(shared_backend, seed)
    with run_fleet(cli.with_variables(**VARIABLES)) as replicas:
        for person in people:
            person.replicas = replicas
        begun = time.monotonic()
        await _kill_under_load(replicas, people, _chance(seed))
        seconds = time.monotonic() - begun
    families = [family for person in people for family in person.families]

    for family in families:
        check_family(family)
    check_apart(families)
    # Whoever chained events and was killed at it left no gap.
    assert cli.json("audit", "verify")["ok"]

    asked = _count_asked(people)
    show_figure(
        f"kill -9, round {number}: {KILLS} kills of 3 replicas in {seconds:.0f} s under load; "
        f"{asked} requests about {len(families)} families, of them "
        f"{sum(person.unanswered for person in people)} without an answer; "
        f"every history is linearizable (seed {seed})"
    )
    assert sum(replica.kills for replica in replicas) == KILLS
    assert asked > KILLS
    # Something was served in all the kinds that histories are about, or they prove nothing.
    outcomes = Counter((o.kind, o.outcome) for family in families for o in family.operations)
    assert outcomes["redeem", "yes"] >= PEOPLE
    assert outcomes["refresh", "yes"] >= PEOPLE
    assert outcomes["revoke", "yes"] > 0
    assert outcomes["check", "no"] > 0


def _count_asked(people: list[Person]) -> int:
    return sum(len(family.operations) for person in people for family in person.families)


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # what happens when, and no secret


async def _prepare(backend: Backend, seed: int) -> list[Person]:
    """Register an app, and people who know it."""
    people = []
    async with open_provider(backend.settings()) as provider:
        client = await provider.create_client()
        for number in range(PEOPLE):
            account = await provider.create_user()
            chance = _chance(seed + number)
            people.append(Person(account.username, App(client.client_id, SECRET), [], chance))
    return people


async def _kill_under_load(
    replicas: list[Replica], people: list[Person], chance: random.Random
) -> None:
    for replica in replicas:
        await replica.until_ready()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for person in people:
            tasks.create_task(person.run(stop))
        async with asyncio.TaskGroup() as killers:
            for number, replica in enumerate(replicas):
                kills = len(range(number, KILLS, len(replicas)))
                killers.create_task(_kill_again_and_again(replica, kills, people, chance))
        # All of them serve again: now everybody asks to the end what became of theirs.
        stop.set()


async def _kill_again_and_again(
    replica: Replica, kills: int, people: list[Person], chance: random.Random
) -> None:
    for _ in range(kills):
        enough = _count_asked(people) + _LOAD
        await asyncio.sleep(chance.uniform(0, _LONGEST_WAIT))
        async with asyncio.timeout(_PATIENCE):
            while _count_asked(people) < enough:  # noqa: ASYNC110  # people set no event
                await asyncio.sleep(0.005)
        await asyncio.to_thread(replica.kill)
        replica.start()
        await replica.until_ready()
