"""How PostgreSQL carries statements out, read in its log where ``auto_explain`` writes it.

These are the statements as the service sends them, with the plans that they had.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

_SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_format": "json",
}
_BEGIN = re.compile(r"LOG:\s+duration: [0-9.]+ ms\s+plan:$")


@dataclass(frozen=True)
class Plan:
    """One statement, and what it reads: each table with its index, None for the whole table."""

    statement: str
    reads: tuple[tuple[str, str | None], ...]

    @property
    def whole_tables(self) -> frozenset[str]:
        """The tables that are read from end to end."""
        return frozenset(table for table, index in self.reads if index is None)


async def explain_all(database_url: str) -> None:
    """Let PostgreSQL log the plan of each statement of connections from now on."""
    connection = await asyncpg.connect(database_url)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        for setting, value in _SETTINGS.items():
            await connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    finally:
        await connection.close()


def plans_in(log: Path, begin: int) -> list[Plan]:
    """Return the different plans in a log after its first ``begin`` bytes."""
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read().decode(errors="replace")
    found = (_plan_of(document) for document in _documents(text.splitlines()))
    return list(dict.fromkeys(plan for plan in found if plan.reads))


def _documents(lines: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what follows each line that says so: JSON, each line of it after a tab."""
    collected: list[str] | None = None
    for line in (*lines, ""):
        if collected is not None and line.startswith("\t"):
            collected.append(line)
            continue
        if collected:
            yield json.loads("".join(collected))
        collected = [] if _BEGIN.search(line) else None


def _plan_of(document: Mapping[str, Any]) -> Plan:
    statement = " ".join(document["Query Text"].split())
    return Plan(statement, tuple(dict.fromkeys(_reads(document["Plan"]))))


def _reads(node: Mapping[str, Any], table: str | None = None) -> Iterator[tuple[str, str | None]]:
    table = node.get("Relation Name", table)
    kind = node["Node Type"]
    if kind == "Seq Scan":
        yield node["Relation Name"], None
    elif "Index Name" in node and table is not None:
        yield table, node["Index Name"]
    for below in node.get("Plans", ()):
        yield from _reads(below, table)
