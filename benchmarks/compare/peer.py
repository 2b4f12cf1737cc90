"""The peer, npm ``oidc-provider``, from the lock in ``benchmarks/peer``."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from joserfc.jwk import ECKey, RSAKey

from benchmarks.compare.ours import store_processes
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
from tests.servers import RedisServer

FOLDER: Final = Path(__file__).parents[1] / "peer"
Keeps = Literal["memory", "Redis"]

_LIVES: Final = {
    "AccessToken": 300,
    "ClientCredentials": 300,
    "AuthorizationCode": 60,
    "IdToken": 300,
    "RefreshToken": 1_209_600,
    "Grant": 1_209_600,
    "Session": 86_400,
    "Interaction": 3_600,
}
"""Seconds, as of the service by default."""


def install() -> None:
    """Install what the lock names, where it changed; RuntimeError where npm does not do it."""
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed-lock"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is missing: benchmarks/install installs it")
    finished = subprocess.run(
        [npm, "ci", "--loglevel=error"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        raise RuntimeError(f"npm ci: {finished.stderr}")
    shutil.copyfile(lock, installed)


class Peer:
    """Starts the peer; whatever it kept is gone with it."""

    def __init__(self, redis: RedisServer, known: Known, folder: Path) -> None:
        """``folder`` is for logs."""
        self._redis, self._known, self._folder = redis, known, folder
        # Made here, so that the time it takes to start has none of it.
        self._keys = [_signing_key("ES256"), _signing_key("RS256")]

    @contextmanager
    def serve(self, cores: Sequence[int], keeps: Keeps) -> Iterator[Target]:
        """Serve until the block ends."""
        port = free_port()
        variables = {
            "PATH": os.environ["PATH"],
            "NODE_ENV": "production",
            "PEER_SETTINGS": json.dumps(self._settings(port)),
        }
        if keeps == "Redis":
            variables["PEER_REDIS_URL"] = self._redis.create_database()
        started = time.perf_counter()
        log = self._folder / f"peer-{port}.log"
        command = [shutil.which("node") or "node", "server.mjs"]
        with running(command, cores, variables, folder=FOLDER, log=log) as process:
            seconds, metadata = await_answer(port, process, started)
            paths = paths_in(metadata)
            stores = store_processes(self._redis) if keeps == "Redis" else []
            yield Target(f"peer, {keeps}", port, paths, process, stores, self._known, seconds)

    def _settings(self, port: int) -> dict[str, Any]:
        known = self._known
        return {
            "port": port,
            "jwks": {"keys": self._keys},
            "service": [known.service.id, known.service.secret],
            "web": [known.web.id, known.web.secret, REDIRECT_URI],
            "resources": {uri: algorithm for algorithm, uri in RESOURCES.items()},
            "seconds": _LIVES,
        }


def _signing_key(algorithm: Literal["ES256", "RS256"]) -> dict[str, Any]:
    key = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
    return {**key.as_dict(private=True), "alg": algorithm, "use": "sig", "kid": algorithm}
