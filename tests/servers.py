"""A real PostgreSQL and a real Redis for the tests, named by the environment or our own.

``AUTHSVC_TEST_DATABASE_URL`` and ``AUTHSVC_TEST_REDIS_URL`` name servers that run
already. Without them each test process starts its own, on a free port of the
loopback interface and in a folder of its own, from the programs that the wheels of
the development lock carry. They end with the process that started them, however
that ends. A server that does not start is an error, never a skipped test.
"""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Self, TypeVar
from urllib.parse import urlsplit

import asyncpg
import redis

from tests.server_process import PATIENCE, Account, ServerError, ServerProcess, make_folder
from tests.server_programs import free_port, initialise_postgres, postgres_programs, redis_program

S = TypeVar("S", bound="Server")


class Server:
    """What both servers can do. ``url`` is the database to begin with."""

    def __init__(self, url: str, process: ServerProcess | None) -> None:
        """``process`` is None for a server that somebody else runs."""
        self.url = url
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process(self) -> ServerProcess:
        """The process of a server of our own; for another a ServerError."""
        if self._process is None:
            raise ServerError("the server is not ours: unset the variable that names it")
        return self._process

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on where it was frozen."""
        self.process.resume()

    def stop(self) -> None:
        """Stop it in good order; ``start`` brings it back at the same address."""
        self.process.stop()

    def start(self) -> None:
        """Start it and return when it answers; raises ServerError with the log's tail."""
        self.process.start()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ping()
            except (OSError, asyncpg.PostgresError, redis.RedisError) as error:
                if not self.process.is_running() or time.monotonic() > deadline:
                    raise ServerError(self.process.log_tail()) from error
            time.sleep(0.02)

    def close(self) -> None:
        """End it for good and remove what it holds; one that is not ours runs on."""
        if self._process is not None:
            self._process.close()

    def ping(self) -> None:
        """Return when it answers, else raise its client's error."""
        raise NotImplementedError


class PostgresServer(Server):
    """A PostgreSQL server with as many databases as are asked for."""

    def create_database(self, template: str | None = None) -> str:
        """Create a database and return its URL.

        ``template`` is the URL of a database to copy, to which nobody may be connected.
        """
        name = f"authsvc_test_{secrets.token_hex(8)}"
        source = _database_of(template) if template else "template1"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop a database of ``create_database``, with every connection to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{_database_of(url)}" WITH (FORCE)')

    def ping(self) -> None:
        """Return when it answers, else raise asyncpg's error."""
        self._execute("SELECT 1")

    def _execute(self, statement: str) -> None:
        async def connect_and_execute() -> None:
            connection = await asyncpg.connect(self.url, timeout=5)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        _complete(connect_and_execute())


class RedisServer(Server):
    """A Redis server that keeps nothing over a stop."""

    def __init__(self, url: str, process: ServerProcess | None, databases: range) -> None:
        """``databases`` are the numbers that are ours to use and to empty."""
        super().__init__(urlsplit(url)._replace(path=f"/{databases[0]}").geturl(), process)
        self._numbers = cycle(databases)
        self._is_whole = process is not None

    def create_database(self) -> str:
        """Return the URL of the next database number, emptied; after the last comes the first."""
        url = urlsplit(self.url)._replace(path=f"/{next(self._numbers)}").geturl()
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url

    def flush(self) -> None:
        """Remove everything that is ours: of a server that is not, only our database."""
        with redis.Redis.from_url(self.url) as client:
            if self._is_whole:
                client.flushall()
            else:
                client.flushdb()

    def ping(self) -> None:
        """Return when it answers, else raise redis' error."""
        with redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()


def start_postgres(**changed: str | int) -> PostgresServer:
    """Return the server that ``AUTHSVC_TEST_DATABASE_URL`` names, or start one.

    ``changed`` are settings of a server of our own.
    """
    if url := os.environ.get("AUTHSVC_TEST_DATABASE_URL"):
        return _find(PostgresServer(url, None), "AUTHSVC_TEST_DATABASE_URL")
    account = Account.unprivileged()
    folder, password, port = make_folder(account), secrets.token_hex(16), free_port()
    programs = postgres_programs(folder, account)
    data = initialise_postgres(programs, folder, password, account)
    settings: dict[str, str | int] = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "64MB",
        "dynamic_shared_memory_type": "mmap",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "off",
        "timezone": "UTC",
        **changed,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    process = ServerProcess(
        folder,
        [str(programs / "postgres"), "-D", str(data), *options],
        stop_signal=signal.SIGINT,
        end_signal=signal.SIGQUIT,
        account=account,
    )
    return _started(
        PostgresServer(f"postgresql://authsvc:{password}@127.0.0.1:{port}/postgres", process)
    )


def start_redis() -> RedisServer:
    """Return the server that ``AUTHSVC_TEST_REDIS_URL`` names, or start one.

    Of a server that is named, the database number in the URL is ours, and with more
    than one test process the numbers after it.
    """
    if url := os.environ.get("AUTHSVC_TEST_REDIS_URL"):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        number = int(_database_of(url) or 0) + int(worker)
        named = RedisServer(url, None, range(number, number + 1))
        return _find(named, "AUTHSVC_TEST_REDIS_URL")
    folder, password, port = make_folder(None), secrets.token_hex(16), free_port()
    configuration = [
        f"port {port}",
        "bind 127.0.0.1",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "databases 256",
        f"dir {folder}",
    ]
    process = ServerProcess(
        folder,
        [str(redis_program()), "-"],
        stop_signal=signal.SIGTERM,
        end_signal=signal.SIGTERM,
        configuration="\n".join(configuration) + "\n",
    )
    url = f"redis://:{password}@127.0.0.1:{port}"
    return _started(RedisServer(url, process, range(256)))


def _find(server: S, variable: str) -> S:
    try:
        server.ping()
    except (OSError, ValueError, asyncpg.PostgresError, redis.RedisError) as error:
        raise ServerError(f"the server that {variable} names does not answer") from error
    return server


def _started(server: S) -> S:
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def _database_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _complete(work: Coroutine[None, None, None]) -> None:
    """Run ``work`` in a thread with a loop of its own: the caller may be inside a running one."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work).result()
