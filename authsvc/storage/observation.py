"""What a statement and a pool show of themselves to metrics and traces: never a value."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Executable, Select, TableClause
from sqlalchemy.pool import Pool, QueuePool
from sqlalchemy.sql.dml import UpdateBase

from authsvc.metrics import DATABASE_SECONDS
from authsvc.tracing import is_traced, span

_OPERATIONS: Final = frozenset({"select", "insert", "update", "delete"})


@contextmanager
def observed(statement: Executable) -> Iterator[None]:
    """Time ``statement`` by its operation, and give it a span that names its table besides."""
    kind = str(getattr(statement, "__visit_name__", ""))
    operation = kind.upper() if kind in _OPERATIONS else "OTHER"
    named = _find_table(statement) if is_traced() else None
    attributes = {"db.collection.name": named} if named else None
    started = time.perf_counter()
    try:
        with span(f"database {operation}", attributes):
            yield
    finally:
        DATABASE_SECONDS.labels(operation).observe(time.perf_counter() - started)


def use_of(pool: Pool) -> tuple[int, int]:
    """Return how many connections of ``pool`` are in use, and how many there may be."""
    return (pool.checkedout(), pool.size()) if isinstance(pool, QueuePool) else (0, 0)


def _find_table(statement: Executable) -> str | None:
    if isinstance(statement, UpdateBase):
        table = statement.table
        return table.name if isinstance(table, TableClause) else None
    if isinstance(statement, Select):
        tables = (each for each in statement.get_final_froms() if isinstance(each, TableClause))
        return next((table.name for table in tables), None)
    return None
