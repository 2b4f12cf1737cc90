"""The database: PostgreSQL through asyncpg, SQLite through aiosqlite.

One request is one transaction. A ``Transaction`` opens its connection at the first
statement, so that a request which needs no row costs no round trip. A database that
is away, full or too slow becomes ``TemporarilyUnavailable``, in ``bounded`` time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from sqlalchemy import Executable, UpdateBase, text
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from authsvc.logs import get_logger
from authsvc.protocol.errors import OAuthError, TemporarilyUnavailable
from authsvc.storage.breaker import Breaker
from authsvc.storage.cancellation import check_not_cancelled
from authsvc.storage.database_errors import (
    READ_ONLY,
    RETRY_AFTER,
    away,
    left_alone,
    note,
    refers_to_nothing,
    sqlstate_of,
    unavailable,
)
from authsvc.storage.observation import observed, use_of
from authsvc.storage.time_budget import TimeBudget, Wait
from authsvc.tracing import span

log = get_logger(__name__)

UNANSWERED: Final = "commits are not answered"
_COMMITS_UNDER_WAY: Final = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authsvc' "
    "AND usename = current_user AND datname = current_database() "
    "AND state = 'active' AND query LIKE 'COMMIT%' AND query_start < now() - interval '0.5 s'"
)

AfterCommit = Callable[[], Awaitable[None]]


class Transaction:
    """Statements that commit or roll back together."""

    def __init__(
        self,
        enter: Callable[[], Awaitable[AsyncConnection]],
        breaker: Breaker,
        commit_breaker: Breaker,
    ) -> None:
        self._enter = enter
        self._breaker = breaker
        self._commit_breaker = commit_breaker
        self._has_written = False
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
                result = await connection.execute(statement, parameters)
        except IntegrityError as error:
            if refers_to_nothing(error):
                # It was there when it was looked up: tried again, the look-up tells.
                raise TemporarilyUnavailable(
                    "Something that the request needs was removed just now",
                    detail="foreign key",
                    retry_after=RETRY_AFTER,
                ) from error
            raise
        except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
            check_not_cancelled()
            note(self._breaker, error)
            if sqlstate_of(error) == READ_ONLY:
                # Perhaps this server is a standby now: the next connection may find another.
                await connection.invalidate()
            raise unavailable(error) from error
        self._breaker.note_answer()
        if isinstance(statement, UpdateBase) and result.rowcount:
            self._has_written = True
        return result

    async def connection(self) -> AsyncConnection:
        """Return the connection of this transaction, opened now if it was not.

        Raises TemporarilyUnavailable.
        """
        if self._connection is None:
            try:
                with span("database connect"):
                    self._connection = await self._enter()
            except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
                check_not_cancelled()
                note(self._breaker, error)
                raise away(error) from error
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
            check_not_cancelled()
            # Who waits for a standby or a disk can be asked all the same.
            note(self._commit_breaker, error)
            raise unavailable(error) from error
        if self._has_written:
            self._commit_breaker.note_answer()

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
        self,
        engine: AsyncEngine,
        readers: AsyncEngine | None = None,
        *,
        timeout: float,
        request_timeout: float | None = None,
    ) -> None:
        self.engine = engine
        self.breaker = Breaker("database")
        self.commit_breaker = Breaker("commits")
        self._timeout = timeout
        self._request_timeout = request_timeout
        self._readers = readers or engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer. Ours queue here in order instead of polling its lock.
        self._writer = asyncio.Lock()

    def bounded(self) -> TimeBudget:
        """Return the block of a request, in which all that is asked shares one time budget.

        Whoever asks outside of one (commands, background work) may take longer.
        """
        return TimeBudget(self._request_timeout)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Bound a wait for another task that asks; raises TemporarilyUnavailable."""
        wait = Wait()
        try:
            async with wait.timeout():
                yield
        except TimeoutError as error:
            raise away(error) from error
        finally:
            wait.end()

    @asynccontextmanager
    async def transaction(self, *, commit_oauth_errors: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that writes; it commits at the end, or rolls back on an error.

        With ``commit_oauth_errors`` an OAuth error commits what was written before it was
        raised: there an error is an answer, and what it wrote is the security response.
        """
        async with AsyncExitStack() as stack:

            async def enter() -> AsyncConnection:
                if self.is_sqlite:
                    await self._take_turn(stack)
                return await self._begin(stack)

            transaction = Transaction(enter, self.breaker, self.commit_breaker)
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
    async def reading(self, *, probing: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads; ``probing`` asks even while the breaker is open."""
        async with AsyncExitStack() as stack:

            async def enter() -> AsyncConnection:
                return await self._connect(stack, self._readers, probing=probing)

            yield Transaction(enter, self.breaker, self.commit_breaker)

    async def _take_turn(self, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await stack.enter_async_context(self._writer)
        except TimeoutError as error:
            raise PoolTimeoutError("others write") from error

    async def _begin(self, stack: AsyncExitStack) -> AsyncConnection:
        if self.commit_breaker.is_open and not self.is_sqlite:
            await self._check_commits()
        connection = await self._connect(stack, self.engine)
        if self.is_sqlite:
            connection = await connection.execution_options(sqlite_write=True)
        if not connection.in_transaction():
            _ = await connection.begin()
        return connection

    async def _check_commits(self) -> None:
        """Raise TemporarilyUnavailable while commits get no answer, but for one that finds out.

        A commit that was given up goes on in the server, for as long as it waits for a standby
        or a disk, and holds one of its connections: none is begun while one of those is there.
        """
        if not self.commit_breaker.admits():
            raise left_alone(UNANSWERED)
        async with self.reading() as tx:
            if (await tx.execute(_COMMITS_UNDER_WAY)).scalar_one():
                raise left_alone(UNANSWERED)

    async def _connect(
        self, stack: AsyncExitStack, engine: AsyncEngine, *, probing: bool = False
    ) -> AsyncConnection:
        if not probing and not self.breaker.admits():
            raise left_alone()
        if self.is_sqlite:
            return await stack.enter_async_context(engine.connect())
        wait = Wait()
        stack.callback(wait.end)
        try:
            async with wait.timeout() as timeout:
                connection = await engine.connect()
        except TimeoutError as error:
            if timeout.expired():
                # Nothing is known of the server: others may have used all connections.
                raise PoolTimeoutError("no connection in time") from error
            raise
        stack.push_async_callback(_release, connection)
        if wait.seconds is not None:
            wait.end_at_last(_driver_of(connection))
        elif self._request_timeout is not None:
            patience = int(self._timeout * 1000)
            _ = await connection.exec_driver_sql(f"SET LOCAL statement_timeout = {patience}")
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


async def _release(connection: AsyncConnection) -> None:
    try:
        await asyncio.shield(asyncio.create_task(connection.close()))
    except (DBAPIError, OSError, TimeoutError) as error:
        # What had to be durable has been committed, and what was read has been read.
        log.warning("connection_lost", error=type(error).__name__)


def _driver_of(connection: AsyncConnection) -> Any:
    """Return the driver's own connection, of a connection that was just opened."""
    sync = connection.sync_connection
    assert sync is not None  # noqa: S101  # it is open
    return sync.connection.driver_connection
