"""The database: PostgreSQL through asyncpg, SQLite through aiosqlite.

One request is one transaction. A ``Transaction`` opens its connection at the first
statement, so that a request which needs no row costs no round trip. A database that
is away, full or too slow becomes ``TemporarilyUnavailable``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, event
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from authsvc.protocol.errors import OAuthError, TemporarilyUnavailable

AfterCommit = Callable[[], Awaitable[None]]

_RETRY_AFTER = 1


class Transaction:
    """Statements that commit or roll back together."""

    def __init__(self, enter: Callable[[], Awaitable[AsyncConnection]]) -> None:
        self._enter = enter
        self._connection: AsyncConnection | None = None
        self._after_commit: list[AfterCommit] = []

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run ``statement``; raises IntegrityError, or TemporarilyUnavailable."""
        try:
            return await (await self.connection()).execute(statement, parameters)
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def connection(self) -> AsyncConnection:
        """Return the connection of this transaction, opened now if it was not."""
        if self._connection is None:
            self._connection = await self._enter()
        return self._connection

    def after_commit(self, callback: AfterCommit) -> None:
        """Have ``callback`` awaited once the transaction is durable; not at all otherwise."""
        self._after_commit.append(callback)

    async def run_after_commit(self) -> None:
        """Await the callbacks in the order in which they were given."""
        for callback in self._after_commit:
            await callback()


class Database:
    """A pool of connections, and the two ways to use one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer. Ours queue here in order instead of polling its lock.
        self._writer = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self, *, commit_oauth_errors: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that writes; it commits at the end, or rolls back on an error.

        With ``commit_oauth_errors`` an OAuth error commits what was written before it was
        raised: there an error is an answer, and what it wrote is the security response.
        """
        async with AsyncExitStack() as stack:

            async def enter() -> AsyncConnection:
                if self.is_sqlite:
                    await stack.enter_async_context(self._writer)
                return await self._begin(stack)

            transaction = Transaction(enter)
            answer: OAuthError | None = None
            try:
                yield transaction
            except OAuthError as error:
                if not commit_oauth_errors or error.status_code >= 500:
                    raise
                answer = error
            if transaction._connection is not None:
                await self._commit(transaction._connection)
        await transaction.run_after_commit()
        if answer is not None:
            raise answer

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads."""
        async with AsyncExitStack() as stack:

            async def enter() -> AsyncConnection:
                return await stack.enter_async_context(self.engine.connect())

            yield Transaction(enter)

    async def _begin(self, stack: AsyncExitStack) -> AsyncConnection:
        connection = await stack.enter_async_context(self.engine.connect())
        if self.is_sqlite:
            connection = await connection.execution_options(sqlite_write=True)
        _ = await connection.begin()
        return connection

    async def _commit(self, connection: AsyncConnection) -> None:
        try:
            await connection.commit()
        except IntegrityError:
            raise
        except (DBAPIError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def unavailable(error: BaseException) -> OAuthError:
    """Return the answer for a database that can not serve; the log gets the kind of failure."""
    if isinstance(error, DBAPIError) and not _is_away(error):
        raise error
    origin = error.orig if isinstance(error, DBAPIError) else error
    return TemporarilyUnavailable(
        "The service can not reach its database",
        detail=f"{type(origin).__name__}",
        retry_after=_RETRY_AFTER,
    )


def _is_away(error: DBAPIError) -> bool:
    """Tell a database that is away from a statement that is wrong."""
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return (
        isinstance(error, OperationalError | InterfaceError)
        or error.connection_invalidated
        # Connection lost, out of resources, cancelled by a timeout or a restart, read-only.
        or sqlstate.startswith(("08", "53", "57", "25006", "40"))
    )


def open_database(url: str, *, pool_size: int, timeout: float) -> Database:
    """Return the database at ``url``; nothing is connected yet.

    ``timeout`` (seconds) bounds each statement and the wait for a connection.
    """
    if url.startswith("sqlite:///"):
        return Database(_open_sqlite(url, timeout))
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        # The text of an error goes to the log, what was bound to it does not.
        hide_parameters=True,
        connect_args={
            "timeout": timeout,
            "command_timeout": timeout,
            "server_settings": {
                "statement_timeout": str(int(timeout * 1000)),
                "idle_in_transaction_session_timeout": str(int(timeout * 4000)),
                "application_name": "authsvc",
            },
        },
    )
    return Database(engine)


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
