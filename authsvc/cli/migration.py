"""Moving the schema, and what belongs to it: the first keys, and a word in the audit log."""

from dataclasses import dataclass

from authsvc.cli.operation import find_revision, operator, reach
from authsvc.cli.refusal import Refused
from authsvc.config import Settings
from authsvc.resources import open_resources, open_storage
from authsvc.storage import migrations, revisions

HEAD, BASE = "head", "base"
_TIMEOUT = 3_600.0
"""Seconds a migration may take."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done: from where to where, None before the first revision, and keys made."""

    before: str | None
    after: str | None
    signing_keys: list[str]

    def __str__(self) -> str:
        """Say it in words."""
        if self.before == self.after:
            return f"The database is at {self.after or BASE} already."
        return f"The database is at {self.after or BASE} now, it was at {self.before or BASE}."


async def migrate_up(settings: Settings, revision: str = HEAD) -> Migration:
    """Migrate up to ``revision``; at the newest one, make the first signing keys.

    Raises Refused for a revision that is unknown or below.
    """
    target = parse_revision(revision)
    before = await find_revision(settings)
    if _height(target) < _height(before):
        raise Refused(f"the database is at {before}, which is above {revision}")
    if target is not None and target != before:
        async with open_storage(settings, database_timeout=_TIMEOUT) as (database, _):
            await reach(migrations.upgrade(database, target))
    if target != revisions.newest_revision():
        return Migration(before, target, [])
    async with open_resources(settings) as resources, resources.database.transaction() as tx:
        if before != target:
            await resources.audit.record(
                tx,
                "schema.upgraded",
                operator(),
                now=resources.clock.now(),
                before=before or BASE,
                after=target,
            )
        made = await resources.key_rotation.ensure_first_keys(tx, operator())
    return Migration(before, target, made)


async def migrate_down(settings: Settings, revision: str) -> Migration:
    """Migrate down to ``revision``; raises Refused for one that is unknown or above."""
    target = parse_revision(revision)
    before = await find_revision(settings)
    if _height(target) > _height(before):
        raise Refused(f"the database is at {before or BASE}, which is below {revision}")
    if target != before:
        await _record_downgrade(settings, before, target)
        async with open_storage(settings, database_timeout=_TIMEOUT) as (database, _):
            await reach(migrations.downgrade(database, target or BASE))
    return Migration(before, target, [])


def parse_revision(revision: str) -> str | None:
    """Return the full name of a revision, None for ``base``; raises Refused."""
    if revision == BASE:
        return None
    if revision == HEAD:
        return revisions.newest_revision()
    known = revisions.known_revisions()
    if revision not in known:
        names = ", ".join([BASE, *reversed(known)])
        raise Refused(f"there is no revision {revision!r}; there are {names}")
    return revision


async def _record_downgrade(settings: Settings, before: str | None, target: str | None) -> None:
    # Recorded before it is done: afterwards there may be no table to write to.
    if before != revisions.newest_revision():
        return
    async with open_resources(settings) as resources, resources.database.transaction() as tx:
        await resources.audit.record(
            tx,
            "schema.downgrading",
            operator(),
            now=resources.clock.now(),
            before=before,
            after=target or BASE,
        )


def _height(revision: str | None) -> int:
    """Return how many revisions lead to this one; raises Refused for one of a newer version."""
    if revision is None:
        return 0
    known = revisions.known_revisions()
    if revision not in known:
        raise Refused(
            f"the database is at revision {revision}, which a newer version of authsvc has made"
        )
    return len(known) - known.index(revision)
