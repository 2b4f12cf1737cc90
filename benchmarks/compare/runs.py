"""One load, and what the machine did meanwhile."""

import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import uvloop

from benchmarks.compare.cell import Amount, Cell, Wrong
from benchmarks.compare.connection import ConnectionLost
from benchmarks.compare.drive import Refused
from benchmarks.compare.processes import (
    busy_seconds,
    cpu_seconds,
    own_cpu_seconds,
)
from benchmarks.compare.rated import Rated
from benchmarks.compare.target import Target

NOTHING = Rated(0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Run:
    """What one load of one provider found. CPU is in percent of one core.

    ``foreign_cpu`` is that of processes which have no part in the run. ``wrong`` says why the
    run does not count.
    """

    cell: str
    target: str
    repeat: int
    rated: Rated
    server_cpu: float = 0.0
    stores_cpu: float = 0.0
    load_cpu: float = 0.0
    foreign_cpu: float = 0.0
    wrong: str | None = None

    def as_line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps({**dataclasses.asdict(self), "rate": round(self.rated.rate, 1)})

    def __str__(self) -> str:
        found = self.rated
        return (
            f"{self.cell:38} {self.target:13} {found.rate:9.1f}/s  p50 {found.p50:8.2f} ms"
            f"  p99 {found.p99:8.2f} ms  cpu: server {self.server_cpu:3.0f}, stores"
            f" {self.stores_cpu:3.0f}, load {self.load_cpu:3.0f}, foreign {self.foreign_cpu:3.0f}"
            f"{'  WRONG: ' + self.wrong if self.wrong else ''}"
        )


def run_once(cell: Cell, target: Target, repeat: int, amount: Amount) -> Run:
    """Load one provider once; what goes wrong is in the result."""
    server, stores = [target.process], list(target.stores)

    def used() -> tuple[float, ...]:
        return (
            time.perf_counter(),
            cpu_seconds(server),
            cpu_seconds(stores),
            own_cpu_seconds(),
            busy_seconds(),
        )

    wrong = None
    before = used()
    try:
        found = uvloop.run(cell.load(target, amount))
    except (ConnectionLost, Refused, Wrong) as error:
        found, wrong = NOTHING, f"{type(error).__name__}: {error}"
    after = used()
    wall, *cpu = (end - begin for begin, end in zip(before, after, strict=True))
    in_server, in_stores, in_load, busy = (100 * spent / wall for spent in cpu)
    if wrong is None and not found.clean:
        failure = found.notes.get("failure", "")
        wrong = f"{found.refused} refused, {found.lost} lost {failure}".rstrip()
    return Run(
        cell.name,
        target.name,
        repeat,
        found,
        round(in_server, 1),
        round(in_stores, 1),
        round(in_load, 1),
        round(max(0.0, busy - in_server - in_stores - in_load), 1),
        wrong,
    )


def of(runs: Sequence[Run], target: str) -> list[Rated]:
    """Return what the runs of one target found."""
    return [run.rated for run in runs if run.target == target]


def what_went_wrong(runs: Iterable[Run]) -> str | None:
    """Return why the first run that does not count does not, or None where all do."""
    return next((run.wrong for run in runs if run.wrong), None)
