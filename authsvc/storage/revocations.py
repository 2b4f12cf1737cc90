"""The revocation list: the database is the truth, Redis shares it, each process keeps it.

An entry names a token, a family, a session, a user or a client, and makes every access
token of it that was issued at or before ``issued_before`` invalid. Entries outlive the
last token they concern and then go.

While announcements arrive, a check costs a look into memory. Otherwise it asks the
database, never Redis: a Redis that was flushed has forgotten, the database has not.
Redis holds the list, with each entry's remaining life as its TTL, for the services
that share it (``authsvc.guard``).
"""

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import String, and_, bindparam, case, or_, select, text

from authsvc.clock import Clock
from authsvc.logs import get_logger
from authsvc.storage.changes import Changes, Writes
from authsvc.storage.database import Database, Transaction
from authsvc.storage.redis import REDIS_ERRORS, Pipeline, RedisClient, why_it_may_evict
from authsvc.storage.schema import revocations
from authsvc.storage.upsert import insert_into
from authsvc.tracing import span

log = get_logger(__name__)

Kind = Literal["token", "family", "session", "user", "client"]
KEY_PREFIX = "authsvc:revoked:"
COMPLETE = "authsvc:revoked"
"""The key that says that Redis holds the whole list; gone when Redis was flushed."""
_RECENT = timedelta(minutes=2)
"""How far back a poll looks: longer than a transaction takes and clocks differ.

So much is written to Redis again after a new subscription, in case a fail-over lost it.
"""
_CLOCK_SET_BACK = timedelta(seconds=10)
"""How far the clock goes back before what memory forgot may count again."""
_BATCH = 500
_COMPLETE_TTL = timedelta(seconds=10)
_SWEEP_AT = 10_000
"""Entries in memory from which on those that expired are looked for."""
_FIRST_UNFINISHED = text("SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)")
_WRITTEN_SINCE = text("age(revocations.xmin) <= age(CAST(CAST(:since AS text) AS xid))").bindparams(
    bindparam("since", type_=String)
)


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of the list."""

    kind: Kind
    value: str
    issued_before: datetime
    expires_at: datetime


class RevocationList:
    """Adds entries, shares them, and answers whether a token is on the list."""

    def __init__(
        self, database: Database, redis: RedisClient | None, changes: Changes, clock: Clock
    ) -> None:
        self._database = database
        self._redis = redis
        self._changes = changes
        self._clock = clock
        self._entries: dict[tuple[Kind, str], tuple[datetime, datetime]] = {}
        self._unshared: dict[tuple[Kind, str], Revocation] = {}
        self._sweep_at = _SWEEP_AT
        self._reloaded_at = datetime.fromtimestamp(0, UTC)
        self._first_unfinished: int | None = None
        self.why_not_whole: str | None = None
        """Why the shared list can not be called whole, as far as that is Redis' doing."""
        changes.listen("revoked", self._hear, self._reload)

    @property
    def listed(self) -> int:
        """How many entries are in memory."""
        return len(self._entries)

    @property
    def unshared(self) -> int:
        """How many entries Redis has not taken yet."""
        return len(self._unshared)

    async def add(self, tx: Transaction, entries: Sequence[Revocation]) -> None:
        """Write ``entries`` in ``tx``; once durable they count in every process."""
        now = self._clock.now()
        # In one order, whoever writes: two that take the same rows in two would deadlock.
        ordered = sorted(entries, key=lambda entry: (entry.kind, entry.value))
        for batch in _batches(ordered):
            statement = (await insert_into(tx, revocations)).values(
                [
                    {
                        "kind": entry.kind,
                        "value": entry.value,
                        "issued_before": entry.issued_before,
                        "created_at": now,
                        "expires_at": entry.expires_at,
                    }
                    for entry in batch
                ]
            )
            await tx.execute(
                statement.on_conflict_do_update(
                    index_elements=[revocations.c.kind, revocations.c.value],
                    set_={
                        # Never less than before: another replica's clock, or its setting of
                        # the token's life, may differ from ours.
                        "issued_before": _later_of(statement, "issued_before"),
                        "created_at": statement.excluded.created_at,
                        "expires_at": _later_of(statement, "expires_at"),
                    },
                )
            )
        tx.after_commit(lambda: self._share(entries))

    async def is_revoked(self, identities: Iterable[tuple[Kind, str]], issued_at: datetime) -> bool:
        """Tell whether one of ``identities`` is listed for what was issued at ``issued_at``.

        Raises TemporarilyUnavailable rather than guess.
        """
        if self._changes.live and not self._was_set_back(self._clock.now()):
            for identity in identities:
                entry = self._entries.get(identity)
                if entry is not None and issued_at <= entry[0]:
                    return True
            return False
        return await self._ask_database(identities, issued_at)

    def _was_set_back(self, now: datetime) -> bool:
        """Tell whether the clock was put back: what seemed over was forgotten, and is not."""
        return now < self._reloaded_at - _CLOCK_SET_BACK

    async def _ask_database(
        self, identities: Iterable[tuple[Kind, str]], issued_at: datetime
    ) -> bool:
        listed = or_(
            *(
                and_(revocations.c.kind == kind, revocations.c.value == value)
                for kind, value in identities
            )
        )
        async with self._database.reading() as tx:
            rows = await tx.execute(
                select(revocations.c.kind)
                .where(listed, revocations.c.issued_before >= issued_at)
                .limit(1)
            )
            return rows.first() is not None

    async def _share(self, entries: Sequence[Revocation]) -> None:
        if self._redis is None:
            return
        for entry in entries:
            self._keep(entry)
        if len(self._entries) > self._sweep_at:
            # Polls forget what expired; while Redis is away there are none.
            self._forget_expired(self._clock.now())
            self._sweep_at = max(_SWEEP_AT, 2 * len(self._entries))
        await asyncio.gather(*(self._tell(batch) for batch in _batches(entries)))

    async def _tell(self, entries: Sequence[Revocation]) -> None:
        """Write to the shared list and announce, both or neither; a poll makes up for it."""
        self._note_unshared(entries)
        message = {"revoked": [_pack(entry) for entry in entries]}
        if await self._changes.announce(message, along=self._writes(entries)):
            self._note_shared(entries)

    def _note_unshared(self, entries: Iterable[Revocation]) -> None:
        self._unshared.update({(entry.kind, entry.value): entry for entry in entries})

    def _note_shared(self, entries: Iterable[Revocation]) -> None:
        for entry in entries:
            self._unshared.pop((entry.kind, entry.value), None)

    def _writes(self, entries: Iterable[Revocation]) -> Writes:
        now = self._clock.now()

        def write(pipeline: Pipeline) -> None:
            for entry in entries:
                life = max(entry.expires_at - now, timedelta(seconds=1))
                before = math.ceil(entry.issued_before.timestamp() * 1000)
                _ = pipeline.set(f"{KEY_PREFIX}{entry.kind}:{entry.value}", before, px=life)

        return write

    async def _write_redis(self, redis: RedisClient, entries: Sequence[Revocation]) -> bool:
        """Write to the shared list; what Redis did not take is written at the next poll."""
        self._note_unshared(entries)
        for batch in _batches(entries):
            try:
                pipeline = redis.pipeline(transaction=False)
                self._writes(batch)(pipeline)
                with span("redis SET"):
                    await pipeline.execute()
            except REDIS_ERRORS as error:
                self._changes.redis_breaker.note_failure()
                log.warning("revocation_not_shared", error=type(error).__name__)
                return False
            self._note_shared(batch)
        return True

    async def _reload(self, everything: bool) -> None:
        """Read what memory may lack; then write to Redis what that may lack.

        Memory comes first, whatever Redis does: an answer elsewhere waits for this poll.
        Redis may lack everything (it was flushed), or the last moments: a process died
        between the database and Redis, or a fail-over lost them.
        """
        now = self._clock.now()
        missing = await self._learn(now, everything=everything or self._was_set_back(now))
        self._reloaded_at = now
        try:
            complete = self._redis is None or bool(await self._redis.exists(COMPLETE))
            if not complete:
                await self._learn(now, everything=True)
                missing = [Revocation(*key, *times) for key, times in self._entries.items()]
            if self._redis is not None:
                await self._note_eviction(self._redis)
                unshared = [*missing, *self._unshared.values()]
                if await self._write_redis(self._redis, unshared):
                    await self._mark_complete(self._redis, anew=not complete)
        except REDIS_ERRORS as error:
            log.warning("revocation_list_not_kept", error=type(error).__name__)
        self._forget_expired(now)

    async def _note_eviction(self, redis: RedisClient) -> None:
        """Find out whether Redis keeps what it is given; it may be set otherwise at any time."""
        reason = await why_it_may_evict(redis)
        if reason is not None and self.why_not_whole is None:
            log.error("redis_may_evict_revocations", reason=reason)
        elif reason is None and self.why_not_whole is not None:
            log.info("redis_keeps_revocations")
        self.why_not_whole = reason

    async def _learn(self, now: datetime, *, everything: bool) -> list[Revocation]:
        """Read into memory what may not be there; return what Redis may lack.

        That is what was not heard of. With ``everything`` that is also what is so new that a
        fail-over of Redis may have lost it.
        """
        recent = min(now, self._reloaded_at) - _RECENT
        statement = select(
            revocations.c.kind,
            revocations.c.value,
            revocations.c.issued_before,
            revocations.c.expires_at,
            revocations.c.created_at,
        ).where(revocations.c.expires_at > now)
        if not everything:
            statement = statement.where(revocations.c.created_at > recent)
        async with self._database.reading() as tx:
            since, unfinished = self._first_unfinished, await self._find_unfinished(tx)
            if not everything and since is not None and unfinished and since <= unfinished:
                # What was finished before is known. A row has 32 bits of the number.
                statement = statement.where(_WRITTEN_SINCE.bindparams(since=str(since % 2**32)))
            rows = (await tx.execute(statement)).all()
        # Only now: if reading fails, the next poll begins where this one did.
        self._first_unfinished = unfinished
        missing = []
        for *values, created_at in rows:
            entry = Revocation(*values)
            if self._keep(entry) or (everything and created_at > recent):
                missing.append(entry)
        return missing

    async def _find_unfinished(self, tx: Transaction) -> int | None:
        """Return the number of the oldest transaction under way; None where there are none."""
        if self._database.is_sqlite:
            return None
        return int((await tx.execute(_FIRST_UNFINISHED)).scalar_one())

    async def _mark_complete(self, redis: RedisClient, *, anew: bool) -> None:
        # Short-lived: should nobody be left to keep the list whole, it stops to claim so.
        # Only who has just written the whole list may set what was not there: Redis may
        # have been flushed since it was found complete.
        if self.why_not_whole is None:
            _ = await redis.set(COMPLETE, 1, px=_COMPLETE_TTL, xx=not anew)
        else:
            _ = await redis.delete(COMPLETE)

    def _hear(self, packed: list[list[Any]]) -> None:
        for kind, value, issued_before, expires_at in packed:
            self._keep(
                Revocation(
                    kind,
                    value,
                    datetime.fromtimestamp(issued_before, UTC),
                    datetime.fromtimestamp(expires_at, UTC),
                )
            )

    def _keep(self, entry: Revocation) -> bool:
        """Keep ``entry`` in memory; tell whether that says more than what was there."""
        kept = self._entries.get((entry.kind, entry.value))
        before, expires_at = kept or (entry.issued_before, entry.expires_at)
        keep = max(before, entry.issued_before), max(expires_at, entry.expires_at)
        self._entries[entry.kind, entry.value] = keep
        return keep != kept

    def _forget_expired(self, now: datetime) -> None:
        expired = [key for key, (_, expires_at) in self._entries.items() if expires_at <= now]
        for key in expired:
            del self._entries[key]
            self._unshared.pop(key, None)


def _batches(entries: Sequence[Revocation]) -> Iterator[Sequence[Revocation]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]


def _later_of(statement: Any, name: str) -> Any:
    """Return the later of what is stored and what is to be stored in the column ``name``."""
    stored, given = revocations.c[name], statement.excluded[name]
    return case((stored > given, stored), else_=given)


def _pack(entry: Revocation) -> list[Any]:
    return [
        entry.kind,
        entry.value,
        entry.issued_before.timestamp(),
        entry.expires_at.timestamp(),
    ]
