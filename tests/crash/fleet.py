"""Replicas that are killed at any moment and begin again, on one PostgreSQL and one Redis."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from authsvc.app import serve
from authsvc.config import load_settings
from tests.server_programs import free_port

_PATIENCE = 60.0
_LOOK = 0.02
# Forked from a process that has imported everything: a start costs a tenth of the time.
_FORKS = multiprocessing.get_context("forkserver")


def _serve(variables: Mapping[str, str], port: int, log: Path) -> None:
    """Be a replica: what the command ``serve`` does, once it has read its arguments."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(variables)
    serve(load_settings(), host="127.0.0.1", port=port, workers=1)


@dataclass
class Replica:
    """One replica at a port of its own."""

    variables: Mapping[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    kills: int = 0
    _process: ForkServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it does not answer yet."""
        self._process = _FORKS.Process(target=_serve, args=(self.variables, self.port, self.log))
        self._process.start()

    async def until_ready(self) -> None:
        """Return when it answers; raises RuntimeError with its log when it does not come."""
        deadline = time.monotonic() + _PATIENCE
        async with httpx.AsyncClient() as http:
            while time.monotonic() < deadline and self.is_running():
                try:
                    if (await http.get(f"{self.url}/readyz", timeout=2)).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(_LOOK)
        raise RuntimeError(f"the replica does not serve: {self.log.read_text()[-4_000:]}")

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.is_alive()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(signal.SIGKILL)
        self.kills += 1
        self.wait()

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self._signal(signal.SIGTERM)

    def wait(self) -> int | None:
        """Return its exit code once it has ended: None when it does not end."""
        if self._process is None:
            return None
        self._process.join(_PATIENCE)
        return self._process.exitcode

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.pid is not None:
            os.kill(self._process.pid, number)


@contextmanager
def run_fleet(
    variables: Mapping[str, str], folder: Path, size: int = 3
) -> Iterator[list[Replica]]:
    """Run replicas until the block ends; they may not answer yet."""
    _FORKS.set_forkserver_preload(["authsvc.app"])
    replicas = [Replica(variables, folder / f"replica-{number}.log") for number in range(size)]
    try:
        for replica in replicas:
            replica.start()
        yield replicas
    finally:
        for replica in replicas:
            if replica.is_running():
                replica.terminate()
        for replica in replicas:
            replica.wait()
