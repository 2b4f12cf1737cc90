"""How often each load is made, how long it lasts, and who hears of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any

from benchmarks.compare.cell import Amount, Cell
from benchmarks.compare.processes import wait_until_idle
from benchmarks.compare.runs import Run, run_once
from benchmarks.compare.target import Target

_ATTEMPTS = 3
_MOST_FOREIGN = 15.0
"""Percent of a core that processes without a part in a run may use."""


@dataclass(frozen=True)
class Course:
    """``repeats`` loads of ``amount``, each when the machine is idle.

    That is waited for, ``patience`` seconds at most. ``fresh`` are the seconds of load that a new
    process gets before any that counts. ``raw`` takes lines of JSON, ``progress``
    lines for a person.
    """

    amount: Amount
    repeats: int
    patience: float
    fresh: float
    raw: IO[str]
    progress: Callable[[str], None]

    def break_in(self, cell: Cell, target: Target) -> None:
        """Load a provider that has just started until it is as fast as it will be.

        Node.js compiles what is called often: its first seconds are half as fast.
        """
        if self.fresh:
            run_once(cell, target, -1, replace(self.amount, warm=0, seconds=self.fresh))

    def run(self, cell: Cell, target: Target, repeat: int, *, name: str | None = None) -> Run:
        """Load one provider and note it, as of the cell or by another ``name``.

        Where others used the machine meanwhile it is done again, and the last one counts.
        """
        for _ in range(_ATTEMPTS):
            wait_until_idle(self.patience)
            run = run_once(cell, target, repeat, self.amount)
            run = replace(run, cell=name or cell.name)
            print(run.as_line(), file=self.raw, flush=True)
            self.progress(str(run))
            if run.foreign_cpu <= _MOST_FOREIGN:
                break
        return run

    def note(self, **found: Any) -> None:
        """Note what is no load."""
        print(json.dumps(found), file=self.raw, flush=True)
        self.progress("  ".join(f"{name} {value}" for name, value in found.items()))

    def with_amount(self, amount: Amount) -> "Course":
        """Return the same with another amount of load."""
        return replace(self, amount=amount)
