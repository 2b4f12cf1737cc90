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

from authsvc.logs import get_logger
from authsvc.metrics import DATABASE_UNAVAILABLE
from authsvc.protocol.errors import OAuthError, TemporarilyUnavailable
from authsvc.storage.observation import observed, use_of
from authsvc.tracing import span

log = get_logger(__name__)

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
        connection = await self.connection()
        try:
            with observed(statement):
                return await connection.execute(statement, parameters)
        except IntegrityError as error:
            if _refers_to_nothing(error):
                # It was there when it was looked up: tried again, the look-up tells.
                raise TemporarilyUnavailable(
                    "Something that the request needs was removed just now",
                    detail="foreign key",
                    retry_after=_RETRY_AFTER,
                ) from error
            raise
        except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def connection(self) -> AsyncConnection:
        """Return the connection of this transaction, opened now if it was not.

        Raises TemporarilyUnavailable.
        """
        if self._connection is None:
            try:
                with span("database connect"):
                    self._connection = await self._enter()
            except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
                raise _away(error) from error
        return self._connection

    def after_commit(self, callback: AfterCommit) -> None:
        """Have ``callback`` awaited once the transaction is durable; not at all otherwise."""
        self._after_commit.append(callback)

    async def commit(self) -> None:
        """Make what was written durable; raises IntegrityError, or TemporarilyUnavailable."""
        if self._connection is None:
            return
        try:
            with span("database COMMIT"):
                await self._connection.commit()
        except IntegrityError:
            raise
        except (DBAPIError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def run_after_commit(self) -> None:
        """Await the callbacks, all at once: none waits for what another waits for.

        All of them, even when the caller is cancelled meanwhile, and whatever one of them
        raises: the change is durable, so it is neither undone nor reported as failed.
        """
        if self._after_commit:
            await asyncio.shield(asyncio.gather(*map(_run_callback, self._after_commit)))


async def _run_callback(callback: AfterCommit) -> None:
    try:
        await callback()
    except Exception:
        log.exception("after_commit_failed")


class Database:
    """Connections, and the two ways to use one.

    Who writes may have to read aside, in a connection of its own: a registry that has
    changed, the revocation list. From one pool, as many writers as it has connections
    would then all wait for each other. So reading has its own, and never waits for writing.
    """

    def __init__(
        self, engine: AsyncEngine, readers: AsyncEngine | None = None, *, timeout: float
    ) -> None:
        self.engine = engine
        self._timeout = timeout
        self._readers = readers or engine
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
                    async with asyncio.timeout(self._timeout):
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
            await transaction.commit()
        await transaction.run_after_commit()
        if answer is not None:
            raise answer

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads."""
        async with AsyncExitStack() as stack:

            async def enter() -> AsyncConnection:
                return await stack.enter_async_context(self._readers.connect())

            yield Transaction(enter)

    async def _begin(self, stack: AsyncExitStack) -> AsyncConnection:
        connection = await stack.enter_async_context(self.engine.connect())
        if self.is_sqlite:
            connection = await connection.execution_options(sqlite_write=True)
        _ = await connection.begin()
        return connection

    def pool_use(self) -> dict[str, tuple[int, int]]:
        """Return how many connections are in use and how many there may be, by pool."""
        engines = {"write": self.engine, "read": self._readers}
        if self._readers is self.engine:
            engines = {"shared": self.engine}
        return {name: use_of(engine.pool) for name, engine in engines.items()}

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        await self._readers.dispose()


def unavailable(error: BaseException) -> OAuthError:
    """Return the answer for a database that can not serve; the log gets the kind of failure."""
    if isinstance(error, DBAPIError) and not _is_away(error):
        raise error
    return _away(error)


def _away(error: BaseException) -> OAuthError:
    reason = "pool_exhausted" if isinstance(error, PoolTimeoutError) else "away"
    DATABASE_UNAVAILABLE.labels(reason).inc()
    origin = error.orig if isinstance(error, DBAPIError) else error
    return TemporarilyUnavailable(
        "The service can not reach its database",
        detail=f"{type(origin).__name__}",
        retry_after=_RETRY_AFTER,
    )


def _refers_to_nothing(error: IntegrityError) -> bool:
    """Tell a reference to a row that is gone from a value that is taken."""
    if getattr(error.orig, "sqlstate", None) == "23503":
        return True
    return "FOREIGN KEY" in str(error.orig)


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

    ``pool_size``, at least 2, is divided between writing and reading. ``timeout`` (seconds)
    bounds each statement and the wait for a connection.
    """
    if url.startswith("sqlite:///"):
        # One writer at a time, so that there is always a connection left to read.
        return Database(_open_sqlite(url, timeout), timeout=timeout)
    to_read = pool_size // 2
    return Database(
        _open_postgres(url, pool_size - to_read, timeout),
        _open_postgres(url, to_read, timeout),
        timeout=timeout,
    )


def _open_postgres(url: str, pool_size: int, timeout: float) -> AsyncEngine:
    return create_async_engine(
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
