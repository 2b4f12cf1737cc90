"""What a serving process loads, and what it does without: memory, and time to the first answer."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("package", ["alembic", "httpx"])
def test_a_process_that_serves_does_without(package: str) -> None:
    program = f"import sys, authsvc.app, authsvc.cli.program; print({package!r} in sys.modules)"
    found = subprocess.run(  # this Python, and a program of ours
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=_ROOT
    )
    assert found.stdout == "False\n"
