"""``python -m benchmarks.compare``: the service and a peer under the same load, in turn.

Starts everything itself, prints each load as it ends and at last the table. ``--growth``
measures the service alone, on databases of different sizes, with two workers and with many
idle connections.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.compare import growth, report
from benchmarks.compare.cell import Amount
from benchmarks.compare.cells import CELLS
from benchmarks.compare.course import Course
from benchmarks.compare.idle import HELD, idle_row
from benchmarks.compare.passwords import FLOODED, LOGIN, flood_row, login_row
from benchmarks.compare.rows import Row, row_of, table
from benchmarks.compare.stage import Cores, Stage, open_stage
from benchmarks.compare.starting import start_rows
from benchmarks.compare.versions import versions
from benchmarks.compare.workers import TWO, workers_row


def main() -> None:
    """Measure, print and write; end with 1 where a load went wrong."""
    given = _parser().parse_args()
    amount, cores = Amount(given.connections, given.warm, given.seconds), _cores(given)
    raw_file = given.raw or _beside(given.write, growth=given.growth)
    raw_file.parent.mkdir(parents=True, exist_ok=True)
    with raw_file.open("w", encoding="utf-8") as raw, open_stage(cores, given.logs) as stage:
        course = Course(amount, given.repeats, given.patience, given.fresh, raw, _say)
        used = versions(stage)
        how = report.settings(course, cores)
        course.note(versions=used, settings=how)
        part, measure = ("growth", _grow) if given.growth else ("comparison", _compare)
        rows, tables = measure(stage, course, given)
    tables = {part: table(rows), **tables, f"{part} with": report.pairs_table({**used, **how})}
    print(*tables.values(), sep="\n\n")
    if given.write:
        report.write(given.write, tables)
    sys.exit(any(row.met is None for row in rows))


def _compare(
    stage: Stage, course: Course, given: argparse.Namespace
) -> tuple[list[Row], dict[str, str]]:
    rows = []
    for cell in CELLS:
        if given.only in cell.name:
            with stage.ours_and_peers(cell.variant) as targets:
                for target in targets:
                    course.break_in(cell, target)
                turns = [(repeat, each) for repeat in range(course.repeats) for each in targets]
                runs = [course.run(cell, target, repeat) for repeat, target in turns]
            rows.append(row_of(cell, runs))
    if given.only in LOGIN.name:
        rows.append(login_row(stage, course))
    if given.only in FLOODED.name:
        rows.append(flood_row(stage, course))
    if given.only in "idle memory of a worker, start to first answer":
        rows += start_rows(stage, course, times=max(3, course.repeats))
    return rows, {}


def _grow(
    stage: Stage, course: Course, given: argparse.Namespace
) -> tuple[list[Row], dict[str, str]]:
    rows, tables = [], {}
    if given.only in "sizes":
        databases = growth.prepare(stage, course, given.sizes)
        found = growth.measure(stage, course, databases)
        tables["sizes"] = growth.growth_table(found, given.sizes)
        plans = growth.explain(stage, databases[max(databases)])
        tables["plans"] = growth.plans_table(plans)
        rows += [growth.worst_row(found), growth.plans_row(plans)]
    if given.only in TWO.name:
        rows.append(workers_row(stage, course))
    if given.only in f"{HELD} idle keep-alive connections":
        rows.append(idle_row(stage, course))
    return rows, tables


def _say(line: Any) -> None:
    print(line, file=sys.stderr, flush=True)


def _beside(document: Path | None, *, growth: bool) -> Path:
    name = "growth.jsonl" if growth else "comparison.jsonl"
    return document.with_name("results") / name if document else Path("build") / name


def _cores(given: argparse.Namespace) -> Cores:
    usual = Cores.of_this_machine()
    server = usual.server if given.server_core is None else given.server_core
    load = usual.load if given.load_core is None else given.load_core
    return Cores(server, load, given.store_cores or usual.stores)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--only", default="", metavar="TEXT", help="cells whose name contains this")
    option("--connections", type=int, default=16, metavar="N")
    option("--repeats", type=int, default=3, metavar="N")
    option("--seconds", type=float, default=5, metavar="N", help="of each load")
    option("--warm", type=float, default=1, metavar="N", help="seconds of load before each")
    option("--fresh", type=float, default=8, metavar="N", help="seconds of load after a start")
    option("--patience", type=float, default=20, metavar="N", help="longest wait for idleness, s")
    option("--server-core", type=int, metavar="CORE")
    option("--load-core", type=int, metavar="CORE")
    option("--store-cores", type=int, nargs="+", metavar="CORE")
    option("--growth", action="store_true", help="the service alone, and how it grows")
    option("--sizes", type=int, nargs="+", default=[10, 10_000, 1_000_000], metavar="N")
    option("--raw", type=Path, metavar="FILE", help="where each run is noted, as a line of JSON")
    option("--logs", type=Path, metavar="FOLDER", help="keep what service and peer write there")
    option("--write", type=Path, metavar="FILE", help="a document with marks for the tables")
    return parser


if __name__ == "__main__":
    main()
