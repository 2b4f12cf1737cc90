"""Many connections that are kept and ask nothing, while others are answered."""

import asyncio
import resource
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.compare.cell import Amount, Cell, Wrong
from benchmarks.compare.connection import Connection
from benchmarks.compare.course import Course
from benchmarks.compare.processes import SETTLED, memory_of
from benchmarks.compare.rated import Rated
from benchmarks.compare.rows import Row, at_least, failed
from benchmarks.compare.single import same_request
from benchmarks.compare.stage import Stage
from benchmarks.compare.target import DISCOVERY, Target, client_credentials

HELD = 10_000
_SPARE_FILES = 500
_AT_ONCE = 100


def idle_row(stage: Stage, course: Course) -> Row:
    """Hold the connections, get tokens over others, and then use each of the held again."""
    name = f"{HELD:,} idle keep-alive connections"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < HELD + _SPARE_FILES:
        return failed(name, f"no more than {hard} files may be open here: ulimit -n")
    soft = HELD + _SPARE_FILES
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, before[0]), hard))
    try:
        # It inherits the limit.
        with stage.ours.serve([stage.cores.server]) as target:
            time.sleep(SETTLED)
            empty = memory_of(target.process).proportional
            run = course.run(Cell(name, partial(_hold, empty=empty), 1.0), target, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    if run.wrong:
        return failed(name, run.wrong)
    notes = run.rated.notes
    ours = (
        f"{notes['held']:,.0f} held, {notes['bytes each']:,.0f} bytes each;"
        f" tokens beside them {run.rated.rate:,.0f}/s, p99 {run.rated.p99:.1f} ms"
    )
    return at_least(name, ours, float(notes["held"]) / HELD, 1.0, "of them answer again")


async def _hold(target: Target, amount: Amount, *, empty: int) -> Rated:
    message = f"GET {DISCOVERY} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode()
    connections = [Connection(target.port) for _ in range(HELD)]
    try:
        await _ask_over(connections, message)
        grown = memory_of(target.process).proportional - empty
        form = client_credentials("ES256")
        found = await asyncio.to_thread(same_request, target, amount, "token", form)
        await _ask_over(connections, message)
        held = sum(connection.connects == 1 for connection in connections)
        found.notes.update({"held": held, "bytes each": grown / HELD})
        return found
    finally:
        for connection in connections:
            connection.close()


async def _ask_over(connections: Sequence[Connection], message: bytes) -> None:
    for first in range(0, len(connections), _AT_ONCE):
        asked = (each.request(message) for each in connections[first : first + _AT_ONCE])
        answers = await asyncio.gather(*asked)
        if any(answer.status != 200 for answer in answers):
            raise Wrong("a connection that was idle was refused")
