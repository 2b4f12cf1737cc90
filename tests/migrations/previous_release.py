"""The code of the version before this one, out of the repository's history.

``COMMIT`` is what the schema of this version must still carry. It moves on with a release.
"""

import io
import subprocess
import tarfile
from pathlib import Path

COMMIT = "bf008e6713ea1438d9a4b0972cca8dfb099475f7"
REVISION = "0003"
"""The newest revision that it knows."""

_ROOT = Path(__file__).resolve().parents[2]


def has_history() -> bool:
    """Tell whether the commit is here: not in a shallow clone, nor in a copy without history."""
    found = subprocess.run(
        ["git", "cat-file", "-e", f"{COMMIT}^{{commit}}"],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    return found.returncode == 0


def unpack(folder: Path) -> Path:
    """Write its packages into the folder, which goes to the front of ``PYTHONPATH``."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", COMMIT, "authsvc", "migrations"],
        cwd=_ROOT,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder
