"""What a command works with, opened once and closed in good order."""

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from authsvc import logs
from authsvc.cli.refusal import Refused
from authsvc.config import Settings, load_settings
from authsvc.oauth.server import AuthorizationServer, open_authorization_server
from authsvc.protocol.errors import OAuthError
from authsvc.resources import Resources, open_resources, open_storage
from authsvc.storage.audit import Origin
from authsvc.storage.database import Database
from authsvc.storage.database_errors import unavailable
from authsvc.storage.revisions import current_revision, known_revisions, newest_revision

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """One command at work: on what, and in whose name."""

    server: AuthorizationServer
    origin: Origin

    @property
    def resources(self) -> Resources:
        """Everything that is open."""
        return self.server.resources

    @property
    def database(self) -> Database:
        """The database."""
        return self.server.resources.database


def prepare() -> Settings:
    """Return the settings, with logs held to what an operator has to see; raises ConfigError."""
    settings = load_settings()
    console = settings.log_format == "console" or sys.stderr.isatty()
    level = "error" if settings.log_level == "error" else "warning"
    logs.configure(level=level, console=console)
    return settings


def operate(work: Callable[[Operation], Awaitable[T]]) -> T:
    """Run ``work`` on a database that is migrated; raises Refused, ConfigError, OAuthError."""
    settings = prepare()

    async def opened() -> T:
        await check_schema(settings)
        async with open_resources(settings) as resources:
            return await work(Operation(open_authorization_server(resources), operator()))

    return run(opened())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in an event loop of its own."""
    return asyncio.run(work)


def operator() -> Origin:
    """Return who runs the command: the account of the process, not what a variable claims."""
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return Origin(f"cli:{name}")


async def check_schema(settings: Settings) -> None:
    """Raise Refused unless the schema is one that this version can work with.

    A newer schema is one: migrations run while the version before them still serves.
    """
    revision = await find_revision(settings)
    if revision is None:
        raise Refused("the database has no tables yet: run `authsvc db upgrade`")
    if revision != newest_revision() and revision in known_revisions():
        raise Refused(
            f"the database is at revision {revision} and this version needs "
            f"{newest_revision()}: run `authsvc db upgrade`"
        )


async def find_revision(settings: Settings) -> str | None:
    """Return the revision of the schema, None before the first migration.

    Looking does not make a SQLite file. Raises TemporarilyUnavailable or Refused.
    """
    if _is_missing(settings.database_url):
        return None
    async with open_storage(settings) as (database, _):
        return await reach(current_revision(database))


def _is_missing(database_url: str) -> bool:
    path = database_url.removeprefix("sqlite:///")
    return path != database_url and not Path(path).exists()


async def reach(question: Awaitable[T]) -> T:
    """Return the answer of a database.

    Raises TemporarilyUnavailable when it is away, Refused when it does not let us in.
    """
    try:
        return await question
    except Exception as error:
        # Only the storage may name its drivers' errors, and tells which mean that it is away.
        room = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError) and room not in ("sqlalchemy", "asyncpg"):
            raise
        try:
            raise unavailable(error) from error
        except OAuthError:
            raise
        except Exception:  # noqa: BLE001  # a driver's error, which the storage hands back
            raise Refused(f"the database refuses to serve ({_kind(error)})") from error


def _kind(error: BaseException) -> str:
    """Return the kind of failure as the driver itself names it, not the layers around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
