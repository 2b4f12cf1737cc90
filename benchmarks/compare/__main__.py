"""``python -m benchmarks.compare``: the service and a peer under the same load, in turn.

Starts everything itself, prints what each load found and at last the table.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.compare.cell import Amount
from benchmarks.compare.cells import CELLS
from benchmarks.compare.passwords import FLOODED, LOGIN, flood_row, login_row
from benchmarks.compare.rows import row_of, table
from benchmarks.compare.runs import Recorder, run_cell
from benchmarks.compare.stage import Cores, open_stage
from benchmarks.compare.starting import start_rows


def main() -> None:
    """Measure, print, and end with 1 where a load went wrong."""
    given = _parser().parse_args()
    amount = Amount(given.connections, given.warm, given.seconds)
    how = (amount, given.repeats)
    rows = []
    given.raw.parent.mkdir(parents=True, exist_ok=True)
    with given.raw.open("w", encoding="utf-8") as raw, open_stage(_cores(given)) as stage:
        recorder = Recorder(raw, lambda line: print(line, file=sys.stderr, flush=True))
        for cell in CELLS:
            if given.only in cell.name:
                runs = run_cell(stage, cell, *how, recorder, given.patience)
                rows.append(row_of(cell, runs))
        for name, row in ((LOGIN.name, login_row), (FLOODED.name, flood_row)):
            if given.only in name:
                rows.append(row(stage, *how, recorder, given.patience))
        if given.only in "idle memory, start to first answer":
            rows += start_rows(stage, max(3, given.repeats), recorder, given.patience)
    print(table(rows))
    sys.exit(any(row.met is None for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--warm", type=float, default=1, help="seconds of load before each")
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds to wait for an idle machine"
    )
    parser.add_argument("--server-core", type=int)
    parser.add_argument("--load-core", type=int)
    parser.add_argument("--store-cores", type=int, nargs="+")
    parser.add_argument(
        "--raw", type=Path, default=Path("build/compare.jsonl"), help="where each run is noted"
    )
    return parser


def _cores(given: argparse.Namespace) -> Cores:
    usual = Cores.of_this_machine()
    server = usual.server if given.server_core is None else given.server_core
    load = usual.load if given.load_core is None else given.load_core
    return Cores(server, load, given.store_cores or usual.stores)


if __name__ == "__main__":
    main()
