"""Refuses a migration that locks out the service or the version before it.

``make migrations-check`` runs it: each revision in turn, on a real PostgreSQL with rows in
every table.
"""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial

from authsvc.storage.database import Database
from authsvc.storage.engines import open_database
from authsvc.storage.migrations import upgrade
from authsvc.storage.revisions import known_revisions
from tests.migrations.rows import fill
from tests.migrations.watch import watch
from tests.servers import start_postgres

ACCEPTED: Mapping[str, Mapping[str, str]] = {
    "0002": {
        "require-concurrent-index-creation": "clients are thousands, not millions of rows: "
        "built in milliseconds",
        "reads all of clients while nobody can write to": "same",
    },
}
"""What a revision may do after all, by the beginning of the problem, and why."""

_ROWS = range(1, 4)
_TIMEOUT = 60.0


async def find_problems(database_url: str) -> dict[str, list[str]]:
    """Migrate an empty PostgreSQL database to the newest revision; return what is refused.

    The first revision finds no tables and has nobody to lock out.
    """
    database = open_database(database_url, pool_size=2, timeout=_TIMEOUT)
    try:
        return {
            revision: await _check_step(database, revision) for revision in known_revisions()[::-1]
        }
    finally:
        await database.close()


async def _check_step(database: Database, revision: str) -> list[str]:
    accepted = tuple(ACCEPTED.get(revision, {}))
    problems = await watch(database, partial(upgrade, database, revision))
    async with database.engine.begin() as connection:
        await connection.run_sync(fill, numbers=_new_numbers(revision))
    return [problem for problem in problems if not problem.startswith(accepted)]


def _new_numbers(revision: str) -> range:
    first = 1 + len(_ROWS) * known_revisions()[::-1].index(revision)
    return range(first, first + len(_ROWS))


def main() -> int:
    """Say what each revision does wrong; return 1 when one does."""
    with start_postgres() as server:
        found = asyncio.run(find_problems(server.create_database()))
    for revision, problems in found.items():
        for problem in problems:
            sys.stderr.write(f"{revision}: {problem}\n")
    if not any(found.values()):
        sys.stdout.write(f"No revision of {', '.join(found)} locks out who serves.\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
