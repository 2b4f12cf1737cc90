"""The same load on databases of different sizes, and how their statements find their rows."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare.cell import Amount, Cell
from benchmarks.compare.cells import CELLS
from benchmarks.compare.course import Course
from benchmarks.compare.crowd import FILLED, fill
from benchmarks.compare.plans import Plan, explain_all, plans_in
from benchmarks.compare.processes import SETTLED, memory_of
from benchmarks.compare.rated import Rated, median_of
from benchmarks.compare.rows import Row, at_most, failed
from benchmarks.compare.runs import Run, run_once, what_went_wrong
from benchmarks.compare.stage import Stage

_LONGEST_STATEMENT = 240

MOST_CHANGE = 1.2
"""What the slowest size's median may be of the fastest one's."""

GROWING = [
    cell
    for cell in CELLS
    if cell.variant == "as in production" and cell.name not in ("discovery", "JWKS")
]
"""The cells whose requests read or write what grows."""


@dataclass(frozen=True)
class Grown:
    """What a cell found by size of the database; None where a run went wrong."""

    cell: str
    by_size: Mapping[int, Rated] | None

    @property
    def change(self) -> float | None:
        """The slowest median as a multiple of the fastest."""
        if self.by_size is None:
            return None
        medians = [found.p50 for found in self.by_size.values()]
        return max(medians) / min(medians)


def prepare(stage: Stage, course: Course, sizes: Sequence[int]) -> dict[int, str]:
    """Return the URL of a database of each size, filled."""
    databases = {}
    for size in sizes:
        databases[size] = stage.postgres.create_database(template=stage.ours.prepared)
        asyncio.run(fill(databases[size], size))
        course.note(filled=size)
    return databases


def measure(stage: Stage, course: Course, databases: Mapping[int, str]) -> list[Grown]:
    """Load a worker on each database in turn, cell by cell."""
    with ExitStack() as stack:
        targets = {}
        for size, url in databases.items():
            serving = stage.ours.serve([stage.cores.server], database_url=url)
            target = targets[size] = stack.enter_context(serving)
            time.sleep(SETTLED)
            course.note(
                size=size,
                seconds_to_answer=round(target.seconds_to_answer, 3),
                pss_bytes=memory_of(target.process).proportional,
            )
        found = []
        for cell in GROWING:
            runs: dict[int, list[Run]] = {size: [] for size in targets}
            for repeat in range(course.repeats):
                for size, target in targets.items():
                    name = f"{cell.name}, {size:,}"
                    runs[size].append(course.run(cell, target, repeat, name=name))
            found.append(_grown(cell, runs))
        return found


def _grown(cell: Cell, runs: Mapping[int, Sequence[Run]]) -> Grown:
    if what_went_wrong(run for of in runs.values() for run in of):
        return Grown(cell.name, None)
    return Grown(
        cell.name, {size: median_of([run.rated for run in of]) for size, of in runs.items()}
    )


def worst_row(found: Sequence[Grown]) -> Row:
    """Return the row of the cell that changes most."""
    name = "slowest size, of all cells"
    changes = {grown.cell: grown.change for grown in found}
    if any(change is None for change in changes.values()):
        return failed(name, "a load went wrong")
    cell, change = max(((c, of or 0.0) for c, of in changes.items()), key=lambda pair: pair[1])
    return at_most(name, f"{cell}: {change:.2f}", change, MOST_CHANGE, "times the fastest size")


def plans_row(plans: Mapping[str, Sequence[Plan]]) -> Row:
    """Return the row that counts statements which read a table that grows from end to end."""
    whole = {plan.statement for of in plans.values() for plan in of if FILLED & plan.whole_tables}
    text = f"{len(whole)} of {len({plan for of in plans.values() for plan in of})}"
    return at_most("statements that read a filled table whole", text, len(whole), 0, "of them")


def explain(stage: Stage, database_url: str) -> dict[str, list[Plan]]:
    """Return the plans of the statements that each cell sends to the database."""
    asyncio.run(explain_all(database_url))
    log: Path = stage.postgres.process.log
    once = Amount(connections=1, warm=0, seconds=1)
    plans = {}
    with stage.ours.serve([stage.cores.server], database_url=database_url) as target:
        for cell in GROWING:
            begin = log.stat().st_size
            run_once(cell, target, 0, once)
            plans[cell.name] = plans_in(log, begin)
    return plans


def growth_table(found: Sequence[Grown], sizes: Sequence[int]) -> str:
    """Return a table in Markdown: median and p99 by size."""
    head = ["p50, p99", *(f"{size:,}" for size in sizes), "slowest / fastest median", ""]
    lines = [head, ["---"] * len(head)]
    for grown in found:
        if grown.by_size is None or grown.change is None:
            lines.append([grown.cell, *["-"] * len(sizes), "-", "**failed**"])
            continue
        cells = [f"{of.p50:.1f}, {of.p99:.1f} ms" for of in grown.by_size.values()]
        verdict = "met" if grown.change <= MOST_CHANGE else "**not met**"
        lines.append([grown.cell, *cells, f"{grown.change:.2f}", verdict])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plans_table(plans: Mapping[str, Sequence[Plan]]) -> str:
    """Return a table in Markdown: each statement once, with the indexes that it uses."""
    lines = ["| statement | reads by |", "| --- | --- |"]
    different = dict.fromkeys(plan for of in plans.values() for plan in of)
    for plan in different:
        # What is selected says nothing of how it is found.
        statement = re.sub(r"\bSELECT .*? FROM ", "SELECT … FROM ", plan.statement)
        short = statement.replace("|", "\\|")[:_LONGEST_STATEMENT]
        reads = ", ".join(f"{table}: {_how(table, index)}" for table, index in plan.reads)
        lines.append(f"| `{short}` | {reads} |")
    return "\n".join(lines)


def _how(table: str, index: str | None) -> str:
    if index:
        return f"`{index}`"
    # The planner reads what has few rows as it is, index or not.
    return "**the whole table**" if table in FILLED else "as a whole, few rows"
