"""One load after the other, and what the machine did meanwhile."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import uvloop

from benchmarks.compare.cell import Amount, Cell, Wrong
from benchmarks.compare.connection import ConnectionLost
from benchmarks.compare.drive import Refused
from benchmarks.compare.processes import (
    busy_seconds,
    cpu_seconds,
    own_cpu_seconds,
    wait_until_idle,
)
from benchmarks.compare.rated import Rated
from benchmarks.compare.stage import Stage
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


class Recorder:
    """Keeps each run, and writes it down at once."""

    def __init__(self, raw: IO[str], progress: Callable[[str], None]) -> None:
        """``raw`` takes lines of JSON, ``progress`` lines for a person."""
        self._raw, self._progress = raw, progress

    def keep(self, run: Run) -> None:
        """Note a run."""
        print(run.as_line(), file=self._raw, flush=True)
        found = run.rated
        self._progress(
            f"{run.cell:38} {run.target:13} {found.rate:9.1f}/s  p50 {found.p50:8.2f} ms"
            f"  p99 {found.p99:8.2f} ms  cpu: server {run.server_cpu:3.0f}, stores"
            f" {run.stores_cpu:3.0f}, load {run.load_cpu:3.0f}, foreign {run.foreign_cpu:3.0f}"
            f"{'  WRONG: ' + run.wrong if run.wrong else ''}"
        )

    def keep_other(self, **found: Any) -> None:
        """Note what is no load."""
        print(json.dumps(found), file=self._raw, flush=True)
        self._progress("  ".join(f"{name} {value}" for name, value in found.items()))


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


def run_cell(
    stage: Stage,
    cell: Cell,
    amount: Amount,
    repeats: int,
    recorder: Recorder,
    patience: float,
) -> list[Run]:
    """Load ours and the peers in turn, ``repeats`` times.

    Before each load an idle machine is waited for, ``patience`` seconds at most.
    """
    runs = []
    with stage.ours_and_peers(cell.variant) as targets:
        for repeat in range(repeats):
            for target in targets:
                wait_until_idle(patience)
                run = run_once(cell, target, repeat, amount)
                recorder.keep(run)
                runs.append(run)
    return runs


def of(runs: Sequence[Run], target: str) -> list[Rated]:
    """Return what the runs of one target found."""
    return [run.rated for run in runs if run.target == target]
