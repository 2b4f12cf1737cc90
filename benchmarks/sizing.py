"""The tables of docs/scale.md, out of what was measured and what is assumed.

``python -m benchmarks.sizing`` prints them, ``--write FILE`` and ``--check FILE`` keep them in
a document. With ``--people 3000000`` and such it prints one column for a traffic of yours.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.needs import Measured, Needs, find_needs, read_measured
from benchmarks.traffic import Traffic

_MILLION = 1_000_000
_COLUMNS = {
    "1 million people": Traffic(),
    "1 million, refreshing hourly": replace(
        Traffic(), refresh_interval=3_600, access_token_ttl=3_600
    ),
    "10 million": Traffic(people=10 * _MILLION, clients=10_000),
    "100 million": Traffic(people=100 * _MILLION, clients=100_000),
}


def tables(measured: Measured) -> dict[str, str]:
    """Return each table of the document by its name."""
    needs = {name: find_needs(traffic, measured) for name, traffic in _COLUMNS.items()}
    return {
        "one core": _costs_table(measured),
        "sizing": _needs_table(needs),
        "rows": _rows_table(next(iter(needs.values())), measured),
    }


def _costs_table(measured: Measured) -> str:
    head = ("request", "CPU ms", "a second on a core", "PostgreSQL CPU ms", "writes", "WAL bytes")
    rows = [
        (
            name.replace("_", " "),
            f"{cost['cpu_ms']:.2f}",
            _number(1000 / cost["cpu_ms"]),
            f"{cost['postgres_cpu_ms']:.2f}",
            f"{cost['transactions']:.0f}",
            f"{cost['wal_bytes']:,}",
        )
        for name, cost in measured["requests"].items()
    ]
    return _table(head, rows)


def _needs_table(needs: Mapping[str, Needs]) -> str:
    lines: dict[str, list[str]] = {
        name: [show(need) for need in needs.values()] for name, show in _LINES.items()
    }
    return _table(("at the peak", *needs), [(name, *shown) for name, shown in lines.items()])


_LINES: dict[str, Callable[[Needs], str]] = {
    "sign-ins a second": lambda need: _number(need.requests["sign_in"]),
    "refreshes a second": lambda need: _number(need.requests["refresh"]),
    "all requests a second": lambda need: _number(sum(need.requests.values())),
    "visits at once": lambda need: _number(need.visits),
    "cores busy with requests": lambda need: _number(need.request_cores),
    "of each process's core, learning of revocations": lambda need: _share(need.learning_share),
    "the same, heartbeats of the others": lambda need: (
        _share(need.heartbeat_share) if need.processes else "-"
    ),
    "serving processes": lambda need: _whole(need.processes) if need.processes else "none suffice",
    "cores for password hashes": lambda need: _whole(need.hash_cores),
    "memory of these hashes": lambda need: _bytes(need.hash_bytes),
    "memory of each process": lambda need: _bytes(need.process_bytes),
    "PostgreSQL: cores busy": lambda need: _number(need.postgres_cores),
    "PostgreSQL: writing transactions a second": lambda need: _number(need.transactions),
    "PostgreSQL: WAL a second": lambda need: _bytes(need.wal),
    "the same soon after a checkpoint": lambda need: _bytes(need.wal_after_checkpoint),
    "PostgreSQL: tables, without the audit log": lambda need: _bytes(
        sum(need.table_bytes.values())
    ),
    "audit log, a year": lambda need: _bytes(need.audit_bytes_a_year),
    "what the purge has to do, of what it can": lambda need: _share(need.purge_share),
    "revocations that live": lambda need: _number(need.listed),
    "Redis for these": lambda need: _bytes(need.redis_bytes),
}


def _rows_table(need: Needs, measured: Measured) -> str:
    per_row = measured["bytes_per_row"] | {"revocations": measured["revocation"]["table_bytes"]}
    rows = [
        (name, _number(count), str(per_row[name]), _bytes(need.table_bytes[name]))
        for name, count in need.rows.items()
    ]
    return _table(("table", "rows at most", "bytes a row", "bytes"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(number: float) -> str:
    """Write two digits and no more: the model is no better."""
    if number >= 10:
        return f"{float(f'{number:.1e}'):,.0f}"
    return f"{number:.1f}"


def _whole(number: int) -> str:
    return _number(number) if number >= 10 else str(number)


def _share(share: float) -> str:
    return f"{_number(share * 100)} %"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{_number(number)} {unit}"
        number /= 1000
    return f"{_number(number)} TB"


def insert(document: str, shown: Mapping[str, str]) -> str:
    """Return the document with each table between its marks; raises ValueError without them."""
    for name, table in shown.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        head, begun, rest = document.partition(begin)
        _, ended, tail = rest.partition(end)
        if not begun or not ended:
            raise ValueError(f"the document has no place for the table {name!r}")
        document = f"{head}{begin}{table}{end}{tail}"
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Print, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    for member in fields(Traffic):
        option = f"--{member.name.replace('_', '-')}"
        parser.add_argument(option, type=type(member.default), metavar="N")
    given = vars(parser.parse_args(arguments))
    write, check = given.pop("write"), given.pop("check")
    yours = {name: value for name, value in given.items() if value is not None}
    measured = read_measured()
    if path := write or check:
        document = path.read_text(encoding="utf-8")
        current = insert(document, tables(measured))
        if write:
            write.write_text(current, encoding="utf-8")
        elif document != current:
            print(f"{path}: a table is not current", file=sys.stderr)
            return 1
    elif yours:
        need = find_needs(Traffic(**yours), measured)
        print(_needs_table({"yours": need}), _rows_table(need, measured), sep="\n", end="")
    else:
        print(*tables(measured).values(), sep="\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
