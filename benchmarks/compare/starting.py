"""How fast each provider starts, and what it takes of memory before anybody asks it."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from benchmarks.compare.course import Course
from benchmarks.compare.processes import SETTLED, Memory, memory_of, wait_until_idle
from benchmarks.compare.rows import Row, at_most
from benchmarks.compare.stage import Stage
from benchmarks.compare.target import Target

_MEGABYTE = 1_000_000
_MOST_MEMORY = 100
_MOST_SECONDS = 1.0


@dataclass(frozen=True)
class Started:
    """Medians over several starts: seconds to the first answer, and bytes when idle."""

    seconds: float
    memory: Memory


def start_rows(stage: Stage, course: Course, times: int) -> list[Row]:
    """Start each provider several times; return the rows for memory and time."""
    core = [stage.cores.server]
    starts: dict[str, Callable[[], AbstractContextManager[Target]]] = {
        "ours": partial(stage.ours.serve, core),
        "memory": partial(stage.peer.serve, core, "memory"),
        "Redis": partial(stage.peer.serve, core, "Redis"),
    }
    # The first one compiles what is imported; in an image that is done when it is built.
    with stage.ours.serve(core):
        pass
    found = {name: _start(name, start, course, times) for name, start in starts.items()}
    ours, peers = found["ours"], (found["memory"], found["Redis"])
    proportional = ours.memory.proportional / _MEGABYTE
    return [
        at_most(
            "idle memory of a worker (PSS)",
            f"{_megabytes(ours.memory.proportional)}, RSS {_megabytes(ours.memory.resident)}",
            proportional,
            _MOST_MEMORY,
            "MB",
            peers=(
                _megabytes(peers[0].memory.proportional),
                _megabytes(peers[1].memory.proportional),
            ),
        ),
        at_most(
            "start to first answer",
            f"{ours.seconds:.2f} s",
            ours.seconds,
            _MOST_SECONDS,
            "s",
            peers=(f"{peers[0].seconds:.2f} s", f"{peers[1].seconds:.2f} s"),
        ),
    ]


def _start(
    name: str,
    start: Callable[[], AbstractContextManager[Target]],
    course: Course,
    times: int,
) -> Started:
    seconds, memories = [], []
    for _ in range(times):
        wait_until_idle(course.patience)
        with start() as target:
            time.sleep(SETTLED)
            memory = memory_of(target.process)
        course.note(
            start=name,
            seconds=round(target.seconds_to_answer, 3),
            pss_bytes=memory.proportional,
            rss_bytes=memory.resident,
        )
        seconds.append(target.seconds_to_answer)
        memories.append(memory)
    resident, proportional = (
        int(statistics.median(getattr(memory, kind) for memory in memories))
        for kind in ("resident", "proportional")
    )
    return Started(statistics.median(seconds), Memory(resident, proportional))


def _megabytes(size: float) -> str:
    return f"{size / _MEGABYTE:.0f} MB"
