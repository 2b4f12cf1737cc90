"""The command line as a test runs it: a process of its own for each command.

``run`` forks the process from one that has imported the program already, which saves
a second each time. ``start`` runs the console script itself.
"""

import base64
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.child import run_in_place
from tests.conftest import MASTER_KEY, Backend

SCRIPT = Path(sys.executable).with_name("authsvc")
PATIENCE = 60
OTHER_MASTER_KEY = base64.urlsafe_b64encode(bytes(range(32, 64))).decode().rstrip("=")

FORKS = multiprocessing.get_context("forkserver")
"""Makes processes that have imported all of the program already."""
FORKS.set_forkserver_preload(["authsvc.app", "authsvc.cli.program", "tests.cli.child"])


@dataclass(frozen=True)
class Result:
    """What a command has done."""

    code: int
    output: str
    errors: str

    def json(self) -> Any:
        """Return the one JSON document that was printed, and nothing but it."""
        assert self.code == 0, self.errors
        assert self.errors == ""
        return json.loads(self.output)

    def refusal(self, code: int = 1) -> str:
        """Return the one line that says why the command was refused."""
        assert self.code == code, self.output + self.errors
        assert self.output == ""
        line = self.errors.removesuffix("\n")
        assert line.startswith("error: ")
        assert "\n" not in line
        return line.removeprefix("error: ")


@dataclass(frozen=True)
class Cli:
    """Runs commands in one folder with one set of variables."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def with_variables(self, **variables: str) -> "Cli":
        """Return the same with more variables."""
        return Cli(self.folder, {**self.variables, **variables})

    def run(self, *arguments: str, stdin: bytes | str = b"") -> Result:
        """Run a command to its end."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with tempfile.TemporaryDirectory() as name:
            streams = [Path(name, stream) for stream in ("stdin", "stdout", "stderr")]
            streams[0].write_bytes(data)
            process = FORKS.Process(
                target=run_in_place, args=(arguments, self.environment(), self.folder, streams)
            )
            process.start()
            process.join(PATIENCE)
            assert process.exitcode is not None, "the command does not end"
            code = process.exitcode
            process.close()
            return Result(code, streams[1].read_text(), streams[2].read_text())

    def json(self, *arguments: str, stdin: bytes | str = b"") -> Any:
        """Run a command with ``--json`` and return the document."""
        return self.run(*arguments, "--json", stdin=stdin).json()

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start the console script; the caller waits for it, or ends it."""
        return subprocess.Popen(
            [SCRIPT, *arguments],
            cwd=self.folder,
            env=self.environment(),
            **{
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **options,
            },
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of the process, none of ours but those that were given."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("AUTHSVC_")}
        return {**inherited, **self.variables}


def variables_of(backend: Backend) -> dict[str, str]:
    """Return the variables that name the backend."""
    variables = {
        "AUTHSVC_DATABASE_URL": backend.database_url,
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
        "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
        "AUTHSVC_ARGON2_TIME_COST": "1",
        "AUTHSVC_ARGON2_PARALLELISM": "1",
    }
    if backend.redis_url is not None:
        variables["AUTHSVC_REDIS_URL"] = backend.redis_url
    return variables
