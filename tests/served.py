"""A provider served by the real command line, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.server_programs import free_port

_PATIENCE = 60
"""Seconds in which a provider is up, also on a busy machine."""


@dataclass(frozen=True)
class Served:
    """A provider that answers at ``issuer``; ``log`` is the file of its log lines.

    It listens on ``port`` of the loopback address ``host``, whatever the issuer.
    """

    issuer: str
    host: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    _variables: Mapping[str, str]
    _folder: Path

    def run(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command with ``--json`` beside the server and return its document."""
        finished = subprocess.run(
            [sys.executable, "-m", "authsvc", *arguments, "--json"],
            input=stdin,
            env=dict(self._variables),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{arguments}: {finished.stderr}")
        return json.loads(finished.stdout)


@contextmanager
def serve(
    variables: Mapping[str, str],
    folder: Path,
    *,
    workers: int = 1,
    host: str = "127.0.0.1",
    port: int | None = None,
) -> Iterator[Served]:
    """Serve until the block ends, on a free port by default; ``variables`` are settings."""
    port = port or free_port()
    issuer = variables.get("AUTHSVC_ISSUER", f"http://{host}:{port}")
    known = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    # A busy machine is no fault; tests/faults has what a request may take.
    patient = {"AUTHSVC_DATABASE_REQUEST_TIMEOUT_MS": "5000"}
    environment = {**known, **patient, "AUTHSVC_ISSUER": issuer, **variables}
    log = folder / "served.log"
    command = [sys.executable, "-m", "authsvc", "serve", "--host", host, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(f"http://{host}:{port}/readyz", process, log)
        yield Served(issuer, host, port, log, process, environment, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            if process.poll() is not None:
                break
        time.sleep(0.05)
    raise RuntimeError(f"the provider does not serve: {log.read_text()}")
