"""Metrics of several processes that serve as one: files that each writes and any can read.

prometheus_client keeps the values of each process in files of a folder that a variable
names when it is imported. So whoever starts the processes opens the folder first. Files
of a process that has ended are folded into one, or a process that fails and is started
again and again would fill the folder.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "authsvc-metrics-"
_LOCK: Final = "lock"
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of our own is made there
_ENDED: Final = "ended"
"""Takes the place of the process in the name of the file that the others are folded into."""
_KEPT: Final = ("counter", "histogram")
"""Kinds whose values outlive their process; what a gauge of it showed is over."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder for the processes that are started meanwhile; remove it afterwards.

    In memory where there is a place for that: a disk that is slow would hold up requests.
    Folders whose owner was killed go as well. Raises OSError when there is no place.
    """
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    _remove_abandoned(place)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    try:
        # Held for as long as this process lives, however it ends; and held before others see it.
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            (folder / "new").rename(folder / _LOCK)
            os.environ[VARIABLE] = str(folder)
            yield folder
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)


def is_shared() -> bool:
    """Tell whether this process is one of several that serve as one."""
    return VARIABLE in os.environ


def export_all() -> bytes:
    """Return the metrics of all processes, in Prometheus' text format; see ``is_shared``.

    Reads files, so not on an event loop.
    """
    folder = Path(os.environ[VARIABLE])
    registry = CollectorRegistry()
    registry.register(_Files(folder))
    with _alone(folder):
        _fold_ended(folder)
        return generate_latest(registry)


class _Files(Collector):
    """What is in the files of all processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def describe(self) -> Iterable[Metric]:
        """Name nothing: what there is shows when it is read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read the files. One that is being made has no length yet, which its reader takes ill."""
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time read and fold."""
    with (folder / "reading").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fold_ended(folder: Path) -> None:
    for path in folder.glob("*.db"):
        kind, _, process = path.stem.rpartition("_")
        if process == _ENDED or _is_alive(int(process)):
            continue
        if kind in _KEPT and path.stat().st_size:
            ended = MmapedDict(str(folder / f"{kind}_{_ENDED}.db"))  # type: ignore[no-untyped-call]
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                known, _ = ended.read_value(key)  # type: ignore[no-untyped-call]
                ended.write_value(key, known + value, 0.0)  # type: ignore[no-untyped-call]
            ended.close()  # type: ignore[no-untyped-call]
        path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        # Another's process has its number now.
        return False
    return True


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        if folder.lstat().st_uid != os.geteuid():
            continue
        # A folder without its lock is being made by another, this very moment.
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
