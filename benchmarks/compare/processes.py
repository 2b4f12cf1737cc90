"""Processes on cores of their own, and what they use of processor and memory."""

import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_PATIENCE = 40
"""Seconds a process may take to end: longer than the service gives requests under way."""

SETTLED = 3
"""Seconds after a start in which the memory that only a start needs is given back."""


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Let processes that start inside the block run on ``cores`` alone."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


@contextmanager
def running(
    command: Sequence[str],
    cores: Sequence[int],
    variables: Mapping[str, str],
    *,
    folder: Path,
    log: Path,
) -> Iterator[psutil.Process]:
    """Run a program on ``cores`` until the block ends; its output goes to ``log``."""
    with log.open("ab") as output, on_cores(cores):
        process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Memory:
    """What a process and its children have in memory, in bytes.

    ``resident`` counts a page once for each process that has it, ``proportional`` shares it out.
    """

    resident: int
    proportional: int


def memory_of(process: psutil.Process) -> Memory:
    """Return the memory of a process and all below it."""
    resident = proportional = 0
    for member in (process, *process.children(recursive=True)):
        text = Path(f"/proc/{member.pid}/smaps_rollup").read_text(encoding="ascii")
        found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", text, re.MULTILINE))
        resident += int(found["Rss"]) * 1024
        proportional += int(found["Pss"]) * 1024
    return Memory(resident, proportional)


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Return the CPU time of processes and of all below them, those that ended included."""
    total = 0.0
    for process in processes:
        for member in (process, *process.children(recursive=True)):
            try:
                total += sum(member.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
    return total


def own_cpu_seconds() -> float:
    """Return the CPU time of this process and of the load generators that it ran."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def busy_seconds() -> float:
    """Return the CPU time that the whole machine spent at work."""
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system + spent.irq + spent.softirq)


def wait_until_idle(limit: float, *, below: float = 0.1) -> None:
    """Return when less than ``below`` of one core is used, or after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(0.5)
        if (busy_seconds() - before) / 0.5 < below:
            return
