"""The servers of one comparison, and the cores that each has."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.compare.ours import Ours
from benchmarks.compare.peer import Peer, install
from benchmarks.compare.processes import on_cores
from benchmarks.compare.target import Known, Target
from tests.servers import PostgresServer, RedisServer, start_postgres, start_redis


@dataclass(frozen=True)
class Cores:
    """Which core serves, which makes the load, and on which PostgreSQL and Redis are."""

    server: int
    load: int
    stores: Sequence[int]

    @classmethod
    def of_this_machine(cls) -> Self:
        """Return the first core for the server, the second for the load, the others for stores.

        Where there are two, the load shares its own with the stores; RuntimeError with one.
        """
        first, *others = sorted(os.sched_getaffinity(0))
        if not others:
            raise RuntimeError("two cores are needed: one serves, one makes the load")
        return cls(first, others[0], others[1:] or others)


@dataclass(frozen=True)
class Stage:
    """What can be started."""

    cores: Cores
    postgres: PostgresServer
    redis: RedisServer
    ours: Ours
    peer: Peer
    folder: Path

    @contextmanager
    def ours_and_peers(self, variant: str) -> Iterator[list[Target]]:
        """Serve ours and the peer, twice, on the same core until the block ends."""
        core = [self.cores.server]
        with ExitStack() as stack:
            yield [
                stack.enter_context(self.ours.serve(core, variant)),
                stack.enter_context(self.peer.serve(core, "memory")),
                stack.enter_context(self.peer.serve(core, "Redis")),
            ]


@contextmanager
def open_stage(cores: Cores, logs: Path | None = None) -> Iterator[Stage]:
    """Start PostgreSQL and Redis; this process makes the load, so it goes to the core for that.

    PostgreSQL has the durability it has by default, and more memory than the tests give it.
    What service and peer write goes to files in ``logs``, where that is given, and stays there.
    """
    install()
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as name, ExitStack() as stack:
        folder, known = logs or Path(name), Known()
        folder.mkdir(parents=True, exist_ok=True)
        with on_cores(cores.stores):
            postgres = stack.enter_context(
                start_postgres(wal_level="replica", full_page_writes="on", shared_buffers="512MB")
            )
            redis = stack.enter_context(start_redis())
        stack.enter_context(on_cores([cores.load]))
        ours = Ours(postgres, redis, known, folder)
        yield Stage(cores, postgres, redis, ours, Peer(redis, known, folder), folder)
