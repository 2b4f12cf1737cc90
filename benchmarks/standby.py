"""A hot standby of a PostgreSQL of ours, which follows it asynchronously."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from tests.server_process import Account, ServerProcess, make_folder, popen_options
from tests.server_programs import free_port, postgres_programs
from tests.servers import PostgresServer

_PATIENCE = 60


@contextmanager
def start_standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Copy a server into a standby that answers what is read; yield it."""
    account, url = Account.unprivileged(), urlsplit(primary.url)
    folder, port = make_folder(account), free_port()
    programs, data = postgres_programs(folder, account), folder / "data"
    options = popen_options(account)
    options["env"] = {**options["env"], "PGPASSWORD": url.password or ""}
    copy = [str(programs / "pg_basebackup"), "--pgdata", str(data), "--write-recovery-conf"]
    server = ["--host", url.hostname or "", "--port", str(url.port), "--username", "authsvc"]
    subprocess.run(
        [*copy, *server, "--checkpoint=fast"], cwd=folder, check=True, timeout=_PATIENCE, **options
    )
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,
        "dynamic_shared_memory_type": "mmap",
    }
    command = [str(programs / "postgres"), "-D", str(data)]
    process = ServerProcess(
        folder,
        [*command, *(f"--{name}={value}" for name, value in settings.items())],
        stop_signal=signal.SIGINT,
        end_signal=signal.SIGQUIT,
        account=account,
    )
    address = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{port}"))
    with PostgresServer(address.geturl(), process) as standby:
        standby.start()
        yield standby


async def follow(primary: str, standby: str) -> None:
    """Return when the database ``standby`` has all that ``primary`` has written."""
    written = await _fetch(primary, "SELECT pg_current_wal_insert_lsn()::text")
    await _until(standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'")


async def cut_off(standby: str) -> None:
    """Let it follow no longer; what the primary writes from now on does not arrive."""
    await _fetch(standby, "ALTER SYSTEM SET primary_conninfo = ''")
    await _fetch(standby, "SELECT pg_reload_conf()")
    await _until(standby, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")


async def promote(standby: str) -> None:
    """Make a primary of it."""
    await _fetch(standby, "SELECT pg_promote()")


async def _until(url: str, question: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not await _fetch(url, question):  # noqa: ASYNC110  # PostgreSQL tells nobody
            await asyncio.sleep(0.05)


async def _fetch(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        found: object = await connection.fetchval(statement)
        return found
    finally:
        await connection.close()
