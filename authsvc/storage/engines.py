"""Engines: the drivers, their pools, and what every connection is told when it opens."""

from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from authsvc.storage.database import Database

_ANSWER_SHARE = 0.75
"""The share of a request's time after which PostgreSQL itself gives a statement up.

Below 1, so that the usual end of a slow statement is an answer, which costs no connection.
"""
_GOODBYE = 0.5
"""Seconds to wait for a server's good-bye when the process ends."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg publishes no types
    """A connection that is ended at once where SQLAlchemy gives it up, and gives a timeout.

    It would wait two seconds for the good-bye of a server that may be hanging.
    """

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's
        if timeout is None:
            await super().close(timeout=_GOODBYE)
        else:
            self.terminate()


def open_database(
    url: str, *, pool_size: int, timeout: float, request_timeout: float | None = None
) -> Database:
    """Return the database at ``url``; nothing is connected yet.

    ``pool_size``, at least 2, is divided between writing and reading. ``timeout`` (seconds)
    bounds each statement and the wait for a connection; ``request_timeout`` (seconds) what
    is asked in ``Database.bounded``, all in all.
    """
    if url.startswith("sqlite:///"):
        # One writer at a time, so that there is always a connection left to read.
        return Database(_open_sqlite(url, timeout), timeout=timeout)
    to_read = pool_size // 2
    return Database(
        _open_postgres(url, pool_size - to_read, timeout, request_timeout),
        _open_postgres(url, to_read, timeout, request_timeout),
        timeout=timeout,
        request_timeout=request_timeout,
    )


def _open_postgres(
    url: str, pool_size: int, timeout: float, request_timeout: float | None
) -> AsyncEngine:
    statement_timeout = request_timeout * _ANSWER_SHARE if request_timeout else timeout
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        # The text of an error goes to the log, what was bound to it does not.
        hide_parameters=True,
        connect_args={
            "connection_class": _Connection,
            "timeout": request_timeout or timeout,
            "command_timeout": timeout,
            "server_settings": {
                "statement_timeout": str(int(statement_timeout * 1000)),
                "idle_in_transaction_session_timeout": str(int(timeout * 4000)),
                "application_name": "authsvc",
            },
        },
    )


def _open_sqlite(url: str, timeout: float) -> AsyncEngine:
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    # For its owner alone from the start: SQLite gives its other files the same mode.
    path.touch(mode=0o600)
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        pool_size=5,
        max_overflow=0,
        pool_timeout=timeout,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions of its own: ours begin below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL: what was answered survives a power cut, a revocation above all.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes the write lock at once: upgrading a read lock later can deadlock.
        writes = connection.get_execution_options().get("sqlite_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
