"""The code of the version before this one, out of the repository's history.

It is what the schema of this version must still carry, and moves on with a release.
"""

import io
import subprocess
import tarfile
from pathlib import Path

REVISION = "0003"
"""The newest revision that it knows."""
NEXT = "migrations/versions/0004_jobs.py"
"""The file of the revision after that: the version before its commit is meant."""

_ROOT = Path(__file__).resolve().parents[2]


def find_commit() -> str | None:
    """Return its commit; None in a shallow clone, and in a copy without history."""
    added = _git("log", "--diff-filter=A", "--format=%H", "-n", "1", "--", NEXT)
    return _git("rev-parse", "--verify", "--quiet", f"{added}^1") if added else None


def unpack(folder: Path) -> Path:
    """Write its packages into the folder, which goes to the front of ``PYTHONPATH``."""
    commit = find_commit()
    assert commit is not None
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "authsvc", "migrations"],
        cwd=_ROOT,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, check=False, text=True
        )
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None
