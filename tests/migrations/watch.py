"""Watches a migration on a real PostgreSQL: what it says, what it locks, what it reads.

Two looks at each step. What the server does: a table that is rewritten, or read from end to
end while a lock keeps writers out, makes the service wait as long as the table is long,
whatever statement did it. What squawk (a linter for migrations) says about the statements:
it knows what a lock does to an old version that still serves, and what only happens outside
of a transaction, where locks can not be seen afterwards.
"""

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, event, text

from authsvc.storage.database import Database

_SQUAWK = Path(sys.executable).with_name("squawk")
_RULES_OF_TASTE = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "prefer-robust-stmts",
    # migrations/env.py sets both time-outs, for the session.
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
)
_KEEPS_WRITERS_OUT = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
_NOT_OF_THE_MIGRATION = re.compile(
    r"\s*(SELECT|SET|RESET|SHOW|BEGIN|COMMIT|ROLLBACK|(INSERT INTO|UPDATE|DELETE FROM) "
    r"alembic_version|CREATE TABLE alembic_version)\b",
    re.IGNORECASE,
)
_UNBOUNDED_CHANGE = re.compile(
    r"\s*(?:UPDATE|DELETE FROM)\s+(?:ONLY\s+)?\"?(\w+)(?!.*\bLIMIT\b)", re.IGNORECASE | re.DOTALL
)
_TABLES = (
    "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
)
_LOCKS = (
    "SELECT relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
    " WHERE pid = pg_backend_pid() AND granted AND relkind = 'r'"
)
_READS = "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"


@dataclass
class _Watch:
    """What is noted of one step while it runs."""

    existing: dict[str, int]
    statements: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _reads: dict[str, int] = field(default_factory=dict)
    _looking: bool = False

    def before(self, connection: Connection, _cursor: Any, statement: str, *_: object) -> None:
        """Note how often each table was read so far; the server counts on over statements."""
        if not self._looking and not _NOT_OF_THE_MIGRATION.match(statement):
            self._reads = dict(self._look(connection, _READS))

    def after(self, connection: Connection, _cursor: Any, statement: str, *_: object) -> None:
        """Look at what the statement has left, while its transaction is open."""
        if self._looking or _NOT_OF_THE_MIGRATION.match(statement):
            return
        self.statements.append(statement.strip())
        changed = _UNBOUNDED_CHANGE.match(statement)
        if changed and changed[1] in self.existing:
            self._object(statement, f"changes all rows of {changed[1]} at once")
        locked = sorted(
            {
                name
                for name, mode in self._look(connection, _LOCKS)
                if name in self.existing and mode in _KEEPS_WRITERS_OUT
            }
        )
        for name, scans in self._look(connection, _READS):
            if locked and name in self.existing and scans > self._reads.get(name, 0):
                kept_from = ", ".join(locked)
                self._object(
                    statement, f"reads all of {name} while nobody can write to {kept_from}"
                )

    def _look(self, connection: Connection, query: str) -> list[tuple[Any, Any]]:
        self._looking = True
        try:
            return [(first, second) for first, second in connection.exec_driver_sql(query)]
        finally:
            self._looking = False

    def _object(self, statement: str, problem: str) -> None:
        self.problems.append(f"{problem}: {' '.join(statement.split())[:120]}")


async def watch(database: Database, action: Callable[[], Awaitable[None]]) -> list[str]:
    """Run ``action``, which migrates the database; return what must not happen under load."""
    before = await _tables(database)
    watching = _Watch(before)
    engine = database.engine.sync_engine
    hooks = {"before_cursor_execute": watching.before, "after_cursor_execute": watching.after}
    for name, hook in hooks.items():
        event.listen(engine, name, hook)
    try:
        await action()
    finally:
        for name, hook in hooks.items():
            event.remove(engine, name, hook)
    after = await _tables(database)
    return [
        *watching.problems,
        *(f"takes {name} away" for name in before if name not in after),
        *(f"rewrites {name}" for name in before if after.get(name, before[name]) != before[name]),
        *ask_squawk(watching.statements),
    ]


def ask_squawk(statements: list[str]) -> list[str]:
    """Return what squawk has to say against the statements of one migration."""
    # What is built concurrently has left the transaction of its revision.
    together = [s for s in statements if "CONCURRENTLY" not in s.upper()]
    apart = [[s] for s in statements if "CONCURRENTLY" in s.upper()]
    problems = _lint(together, "--assume-in-transaction")
    for statement in apart:
        problems += _lint(statement)
    return problems


def _lint(statements: list[str], *options: str) -> list[str]:
    if not statements:
        return []
    finished = subprocess.run(
        [
            _SQUAWK, "--reporter", "json", "--pg-version", "14", "--stdin-filepath", "revision.sql",
            "--exclude", ",".join(_RULES_OF_TASTE), *options,
        ],
        input=";\n".join(statements) + ";\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    if finished.returncode not in (0, 1):
        raise RuntimeError(f"squawk does not work: {finished.stderr}")
    return [f"{found['rule_name']}: {found['message']}" for found in orjson.loads(finished.stdout)]


async def _tables(database: Database) -> dict[str, int]:
    async with database.engine.connect() as connection:
        rows = await connection.execute(text(_TABLES))
        return {row[0]: row[1] for row in rows}
