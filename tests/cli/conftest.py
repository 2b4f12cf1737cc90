"""What tests of the command line may ask for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authsvc.resources import Resources
from tests.cli.command import Cli, variables_of
from tests.cli.inside import run_inside
from tests.conftest import Backend
from tests.servers import PostgresServer

Inside = Callable[[Callable[[Resources], Any]], Any]


@pytest.fixture
def cli(sqlite_backend: Backend, tmp_path: Path) -> Cli:
    """The command line on a migrated SQLite database."""
    return Cli(tmp_path, variables_of(sqlite_backend))


@pytest.fixture
def inside(sqlite_backend: Backend) -> Inside:
    """Work with the resources behind ``cli``, as the running service would."""
    return lambda work: run_inside(sqlite_backend.settings(), work)


@pytest.fixture
def any_cli(backend: Backend, tmp_path: Path) -> Cli:
    """The command line on each backend in turn."""
    return Cli(tmp_path, variables_of(backend))


@pytest.fixture
def blank_cli(tmp_path: Path) -> Cli:
    """The command line where nothing was migrated yet."""
    url = f"sqlite:///{tmp_path}/blank/authsvc.db"
    return Cli(tmp_path, variables_of(Backend("sqlite", url, None)))


@pytest.fixture
def fresh_cli(tmp_path: Path) -> Cli:
    """The command line in an empty folder, with no variable but cheap hashes."""
    return Cli(
        tmp_path,
        {
            "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
            "AUTHSVC_ARGON2_TIME_COST": "1",
            "AUTHSVC_ARGON2_PARALLELISM": "1",
        },
    )


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of a PostgreSQL database, not migrated."""
    return postgres_server.url
