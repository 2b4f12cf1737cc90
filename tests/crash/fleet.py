"""Replicas that are killed at any moment and begin again, on one PostgreSQL and one Redis."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess

import httpx

from tests.cli.child import run_in_place
from tests.cli.command import FORKS, Cli
from tests.server_programs import free_port

_PATIENCE = 60.0
_LOOK = 0.02


@dataclass
class Replica:
    """One replica at a port of its own."""

    cli: Cli
    port: int = field(default_factory=free_port)
    kills: int = 0
    _process: ForkServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it does not answer yet."""
        streams = [self.cli.folder / f"{self.port}.{name}" for name in ("in", "out", "log")]
        streams[0].touch()
        command = ("serve", "--port", str(self.port))
        self._process = FORKS.Process(
            target=run_in_place,
            args=(command, self.cli.environment(), self.cli.folder, streams),
        )
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
        log = (self.cli.folder / f"{self.port}.log").read_text()
        raise RuntimeError(f"the replica does not serve: {log[-4_000:]}")

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
def run_fleet(cli: Cli, size: int = 3) -> Iterator[list[Replica]]:
    """Run replicas until the block ends; they may not answer yet."""
    replicas = [Replica(cli) for _ in range(size)]
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
