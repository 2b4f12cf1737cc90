"""The service as a container of it starts: one process, production, everything on."""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from argon2 import PasswordHasher

from authsvc.config import Settings
from benchmarks.compare.processes import running
from benchmarks.compare.target import (
    REDIRECT_URI,
    RESOURCES,
    Known,
    Target,
    await_answer,
    paths_in,
)
from tests.server_programs import free_port
from tests.servers import PostgresServer, RedisServer

NAME: Final = "ours"
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "as in production": {},
    "limits off": {"AUTHSVC_RATE_LIMITS": "off"},
    "RS256": {"AUTHSVC_SIGNING_ALG": "RS256"},
}
"""What is set otherwise, by what it is called."""

_NEVER_REACHED: Final = "100000000/minute"


def limit_variables() -> dict[str, str]:
    """Return each rate limit, counted and never reached: the load comes from one address."""
    names = (name for name in Settings.model_fields if name.startswith("rate_limit_"))
    return {f"AUTHSVC_{name.upper()}": _NEVER_REACHED for name in names}


class Ours:
    """Starts the service, each time on a fresh copy of one prepared database."""

    def __init__(
        self, postgres: PostgresServer, redis: RedisServer, known: Known, folder: Path
    ) -> None:
        """``folder`` is for logs."""
        self._postgres, self._redis, self._known, self._folder = postgres, redis, known, folder
        self._prepared: str | None = None
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.variables = {
            **{name: value for name, value in os.environ.items() if name[:8] != "AUTHSVC_"},
            **limit_variables(),
            "AUTHSVC_ENV": "production",
            "AUTHSVC_ISSUER": "https://login.example",
            "AUTHSVC_MASTER_KEY": key,
            # As for a worker that has one core.
            "AUTHSVC_ARGON2_WORKERS": "1",
        }

    @property
    def prepared(self) -> str:
        """The URL of a migrated database with the clients and people in it."""
        if self._prepared is None:
            self._prepared = self._postgres.create_database()
            self._prepare(self._prepared)
        return self._prepared

    @contextmanager
    def serve(
        self,
        cores: Sequence[int],
        variant: str = "as in production",
        *,
        workers: int = 1,
        database_url: str | None = None,
    ) -> Iterator[Target]:
        """Serve until the block ends; on a copy of the prepared database where none is given."""
        url = database_url or self._postgres.create_database(template=self.prepared)
        variables = {**self._stores(url), **VARIANTS[variant]}
        port = free_port()
        command = [sys.executable, "-m", "authsvc", "serve", "--host", "127.0.0.1"]
        started = time.perf_counter()
        with running(
            [*command, "--port", str(port), "--workers", str(workers)],
            cores,
            {**self.variables, **variables},
            folder=Path.cwd(),
            log=self._folder / f"ours-{port}.log",
        ) as process:
            seconds, metadata = await_answer(port, process, started)
            paths = paths_in(metadata)
            stores = store_processes(self._postgres, self._redis)
            yield Target(NAME, port, paths, process, stores, self._known, seconds)
        if database_url is None:
            self._postgres.drop_database(url)

    def _stores(self, database_url: str) -> dict[str, str]:
        redis_url = self._redis.create_database()
        return {"AUTHSVC_DATABASE_URL": database_url, "AUTHSVC_REDIS_URL": redis_url}

    def _prepare(self, database_url: str) -> None:
        variables = {**self.variables, **self._stores(database_url)}
        self._run(variables, "db", "upgrade")
        # The same hash for all: nobody measures how it is made here.
        password_hash = PasswordHasher(3, 65_536, 4).hash(self._known.password)
        people = [{"username": name, "password_hash": password_hash} for name in self._known.people]
        self._run(variables, "users", "import", "-", stdin=json.dumps(people))
        resources = list(RESOURCES.values())
        service = {
            "grant_types": ["client_credentials"],
            "scope": "api:read",
            "resources": resources,
        }
        web = {
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid offline_access api:read",
            "resources": resources,
            "id_token_signed_response_alg": "ES256",
        }
        for client, metadata in ((self._known.service, service), (self._known.web, web)):
            described = self._folder / f"{client.id}.json"
            described.write_text(json.dumps(metadata), encoding="utf-8")
            options = ("--client-id", client.id, "--client-secret-stdin")
            create = ("clients", "create", *options, "--metadata", str(described))
            self._run(variables, *create, stdin=client.secret)

    @staticmethod
    def _run(variables: Mapping[str, str], *arguments: str, stdin: str = "") -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "authsvc", *arguments],
            input=stdin,
            env=dict(variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{arguments}: {finished.stderr}")


def store_processes(*servers: PostgresServer | RedisServer) -> list[psutil.Process]:
    """Return the process of each server that is ours."""
    started = (server.process._process for server in servers)
    return [psutil.Process(process.pid) for process in started if process is not None]
