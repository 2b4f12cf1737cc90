"""A provider in processes of its own, and whoever operates it from a shell."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from authsvc.guard import RemoteVerifier
from authsvc.protocol.errors import InvalidToken
from tests.conftest import ISSUER, MASTER_KEY, Backend
from tests.faults.replica import Replica, client_at
from tests.provider import SECRET, Provider, open_provider
from tests.runbooks.runbook import Steps, follow
from tests.served import serve
from tests.server_programs import free_port, postgres_programs, redis_program

ROOT = Path(__file__).parents[2]
SOCKET = "commands"
SHIM = Path(__file__).with_name("shim.py")
SETTINGS = {
    "AUTHSVC_ISSUER": ISSUER,
    "AUTHSVC_RATE_LIMITS": "off",
    "AUTHSVC_ARGON2_TIME_COST": "1",
    "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
    "AUTHSVC_ARGON2_PARALLELISM": "1",
    "AUTHSVC_DATABASE_POOL_SIZE": "4",
    # What knows the old keys is to forget them within the test.
    "AUTHSVC_JWKS_MAX_AGE": "1",
}


def make_programs(folder: Path) -> Path:
    """Fill a folder with the programs that a runbook names, for the front of ``PATH``."""
    folder.mkdir()
    for program in ("createdb", "dropdb", "pg_dump", "pg_restore", "psql"):
        (folder / program).symlink_to(postgres_programs(folder, None) / program)
    (folder / "redis-cli").symlink_to(redis_program().with_name("redis-cli"))
    (folder / "python3").symlink_to(sys.executable)
    authsvc = folder / "authsvc"
    # Sources of another release need a Python of their own.
    authsvc.write_text(
        f"""#!/bin/sh
if [ "$PYTHONPATH" = {ROOT} ]; then exec {sys.executable} -IS {SHIM} "$@"; fi
exec {sys.executable} -m authsvc "$@"
"""
    )
    authsvc.chmod(0o755)
    return folder


@dataclass
class Installation:
    """Replicas on one database, each at a port that it keeps over a restart."""

    backend: Backend
    folder: Path
    programs: Path
    variables: dict[str, str] = field(default_factory=dict)
    _running: dict[int, tuple[Replica, ExitStack]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name what runbooks use, and the settings that the processes have."""
        # A copy of the sources that is not installed is found, too.
        self.variables |= {"PYTHONPATH": str(ROOT), **SETTINGS}
        self.variables["AUTHSVC_DATABASE_URL"] = self.backend.database_url
        self.variables.setdefault("AUTHSVC_MASTER_KEY", MASTER_KEY)
        if self.backend.redis_url is not None:
            self.variables["AUTHSVC_REDIS_URL"] = self.backend.redis_url

    @property
    def backup(self) -> Path:
        """The folder of the one backup that a test makes."""
        return self.folder / "backup"

    def shell(self) -> dict[str, str]:
        """Return the variables of the operator's shell."""
        database = urlsplit(self.backend.database_url)
        variables = {
            "PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin",
            "BACKUP": str(self.backup),
            "RUNBOOK_COMMANDS": str(self.programs / SOCKET),
            **self.variables,
        }
        if database.hostname is not None:
            variables |= {
                "PGHOST": database.hostname,
                "PGPORT": str(database.port),
                "PGUSER": str(database.username),
                "PGPASSWORD": unquote(str(database.password)),
                "PGDATABASE": database.path.removeprefix("/"),
            }
        if self.backend.redis_url is not None:
            variables |= redis_variables(self.backend.redis_url)
        return variables

    def follow(self, heading: str) -> AbstractContextManager[Steps]:
        """Follow a runbook, which is to be run as a whole."""
        return follow(heading, self.shell(), self.folder)

    async def start(self, port: int | None = None, /, **variables: str) -> Replica:
        """Start a replica, and return when it is ready."""
        port = port or free_port()
        folder = self.folder / f"replica-{port}"
        folder.mkdir(exist_ok=True)
        stack = ExitStack()
        served = await asyncio.to_thread(
            stack.enter_context, serve({**self.variables, **variables}, folder, port=port)
        )
        replica = Replica.of(served, self.backend.settings())
        self._running[port] = (replica, stack)
        return replica

    async def start_two(self) -> list[Replica]:
        """Start two replicas at once, and return when all is well with them."""
        replicas = list(await asyncio.gather(self.start(), self.start()))
        for replica in replicas:
            await until_well(replica)
        return replicas

    async def stop(self, replica: Replica) -> None:
        """End a replica in good order."""
        assert replica.served is not None
        _, stack = self._running.pop(replica.served.port)
        await replica.close()
        await asyncio.to_thread(stack.close)

    async def restart(self, replica: Replica, **variables: str) -> Replica:
        """Stop a replica and start it at the same port."""
        assert replica.served is not None
        await self.stop(replica)
        return await self.start(replica.served.port, **variables)

    async def start_again(self, replica: Replica) -> Replica:
        """Start a replica that was stopped, at its port, and return when all is well with it."""
        assert replica.served is not None
        started = await self.start(replica.served.port)
        await until_well(started)
        return started

    async def stop_all(self) -> None:
        """End every replica."""
        for replica, _ in list(self._running.values()):
            await self.stop(replica)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Provider]:
        """Open what makes people and clients, in this process."""
        async with open_provider(self.backend.settings()) as provider:
            yield provider


async def until_well(replica: Replica, **expected: str) -> None:
    """Return when each check of ``/readyz`` says ok, or what is expected of it."""

    async def is_well() -> bool:
        _, checks = await replica.readiness()
        return all(status == expected.get(name, "ok") for name, status in checks.items())

    await until(is_well)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds in another process; TimeoutError when it does not come to."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110  # another process sets no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def guarding(replica: Replica, redis_url: str | None = None) -> AsyncIterator[RemoteVerifier]:
    """Verify as a service elsewhere does: by introspection, or by the shared list.

    It goes on running while the replica is stopped and comes back at its port.
    """
    assert replica.served is not None
    async with (
        client_at(replica.settings, replica.served.port) as http,
        RemoteVerifier(
            replica.settings.issuer,
            client_id="orders",
            client_secret=SECRET,
            revocation="introspection" if redis_url is None else "redis",
            redis_url=redis_url,
            http=http,
        ) as verifier,
    ):
        yield verifier


async def is_let_in(guard: RemoteVerifier, token: str) -> bool:
    """Tell whether the service elsewhere accepts the token."""
    try:
        await guard.verify(token)
    except InvalidToken:
        return False
    return True


def redis_variables(redis_url: str, prefix: str = "") -> dict[str, str]:
    """Return how the document names the parts of a URL of Redis."""
    url = urlsplit(redis_url)
    return {
        f"{prefix}REDIS_HOST": str(url.hostname),
        f"{prefix}REDIS_PORT": str(url.port),
        "REDIS_DATABASE": url.path.removeprefix("/"),
        "REDISCLI_AUTH": str(url.password),
    }


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def with_account(url: str, name: str, password: str) -> str:
    """Return the URL for another account."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()
