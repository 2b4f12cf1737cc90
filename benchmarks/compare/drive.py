"""Load that is a chain: what a request sends depends on what the one before was answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.compare.connection import ConnectionLost
from benchmarks.compare.rated import Rated, rated

Step = Callable[[], Awaitable[float]]
"""Does one thing and returns the seconds that count of it; raises Refused."""


class Refused(Exception):
    """An answer that was not the wanted one."""


async def drive(steps: Sequence[Step], *, warm: float, seconds: float) -> Rated:
    """Repeat each step, all of them at once, and rate what ended after the first ``warm`` seconds.

    A chain ends at its first failure: what comes after one says nothing.
    """
    latencies: list[float] = []
    failures: list[Exception] = []
    end = time.perf_counter() + warm + seconds
    begin = end - seconds

    async def repeat(step: Step) -> None:
        while time.perf_counter() < end:
            try:
                took = await step()
            except (ConnectionLost, Refused) as error:
                failures.append(error)
                return
            if begin <= time.perf_counter() < end:
                latencies.append(took)

    await asyncio.gather(*map(repeat, steps))
    return _counted(latencies, seconds, failures)


async def drive_in_turns(
    prepare: Sequence[Step], steps: Sequence[Step], *, warm: float, seconds: float, each: int
) -> Rated:
    """Prepare ``each`` times and then do as many steps, in turn; only the steps are timed.

    The steps of ``warm`` timed seconds are left out.
    """
    latencies: list[float] = []
    failures: list[Exception] = []
    timed = 0.0

    async def repeat(step: Step, into: list[float]) -> None:
        try:
            into.extend([await step() for _ in range(each)])
        except (ConnectionLost, Refused) as error:
            failures.append(error)

    counted = 0.0
    while counted < seconds and not failures:
        await asyncio.gather(*(repeat(step, []) for step in prepare))
        started, found = time.perf_counter(), list[float]()
        await asyncio.gather(*(repeat(step, found) for step in steps))
        took = time.perf_counter() - started
        if timed >= warm:
            latencies += found
            counted += took
        timed += took
    return _counted(latencies, counted or timed, failures)


def _counted(latencies: list[float], seconds: float, failures: list[Exception]) -> Rated:
    lost = sum(isinstance(failure, ConnectionLost) for failure in failures)
    found = rated(latencies, seconds, refused=len(failures) - lost, lost=lost)
    if failures:
        found.notes["failure"] = str(failures[0])
    return found
