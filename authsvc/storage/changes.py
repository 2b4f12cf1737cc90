"""How a process learns that what it keeps in memory has changed elsewhere.

Clients, roles and signing keys are kept in memory. Each change bumps a version in
the database, in the same transaction, and is announced over Redis once it is
durable. While the announcements are known to arrive (the process hears its own
heartbeat, and that of all others), memory is current. Otherwise ``ensure_current``
compares versions with the database at each request: slower, and never stale.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from redis.asyncio import RedisCluster
from sqlalchemy import select

from authsvc.logs import FailureLog, get_logger
from authsvc.metrics import ANNOUNCEMENT_SECONDS, ANNOUNCEMENTS_FAILED
from authsvc.storage.breaker import Breaker
from authsvc.storage.cancellation import check_not_cancelled
from authsvc.storage.database import Database, Transaction
from authsvc.storage.peers import Peers
from authsvc.storage.redis import REDIS_ERRORS, Pipeline, RedisClient, database_number
from authsvc.storage.schema import registry_versions
from authsvc.storage.upsert import insert_into
from authsvc.tracing import span

log = get_logger(__name__)

HEARTBEAT = 0.2
"""Seconds between heartbeats."""
SILENCE = 0.8
"""Seconds without a heartbeat after which memory is not trusted any more."""
POLL = 1.0
"""Seconds between look-ups in the database that catch an announcement that was lost."""
LEARNT = max(SILENCE, POLL) + 0.5
"""Seconds in which every process learns of a change that could not be announced."""
PEER_SILENCE = LEARNT - 0.3
"""Seconds after which another process counts as silent: before it answers what it could not tell.

No shorter, since one of many may well be slow for a moment.
"""

Message = dict[str, Any]
Writes = Callable[[Pipeline], None]
"""Adds commands that write to a pipeline."""


class Changes:
    """Announces changes, hears of them, and says whether hearing works."""

    def __init__(self, database: Database, redis: RedisClient | None) -> None:
        self._database = database
        self._redis = redis
        # Channels know no database numbers: two installations on one Redis stay apart.
        self.channel = f"authsvc:changes:{database_number(redis) if redis else 0}"
        self.redis_breaker = Breaker("redis")
        self._versions: dict[str, int] = {}
        self._watchers: dict[str, Callable[[], None]] = {}
        self._listeners: dict[str, Callable[[Any], None]] = {}
        self._reloaders: list[Callable[[bool], Awaitable[None]]] = []
        self._hearing = FailureLog(log, "announcements_lost", "announcements_back")
        self._polling = FailureLog(log, "poll_failed", "poll_works")
        self._identity = secrets.token_hex(8)
        self._peers = Peers(PEER_SILENCE)
        self._untold = 0
        self._heard_at = float("-inf")
        self._looked_up_at = float("-inf")
        self._missed_at = float("-inf")
        self._compared_at = 0.0

    @property
    def live(self) -> bool:
        """Whether memory is current: announcements arrive, and none was missed.

        Another process that fell silent may change things and be unable to tell; while there
        is one, memory is current only as far as it is looked up.
        """
        now = time.monotonic()
        return (
            self._hears(now)
            and self._compared_at > self._missed_at
            and (now - self._looked_up_at < LEARNT or not self._peers.is_one_silent(now=now))
        )

    def _hears(self, now: float) -> bool:
        return now - self._heard_at < SILENCE

    def watch(self, name: str, invalidate: Callable[[], None]) -> None:
        """Have ``invalidate`` called whenever the registry ``name`` changed."""
        self._watchers[name] = invalidate

    def listen(
        self,
        kind: str,
        hear: Callable[[Any], None],
        reload: Callable[[bool], Awaitable[None]],
    ) -> None:
        """Have ``hear`` called with each announced ``kind``.

        ``reload`` reads from the database: everything (True) when the subscription was
        made anew, what is recent (False) at each poll.
        """
        self._listeners[kind] = hear
        self._reloaders.append(reload)

    async def bump(self, tx: Transaction, name: str) -> None:
        """Record in ``tx`` that the registry ``name`` changed; announce it afterwards."""
        statement = (await insert_into(tx, registry_versions)).values(name=name, version=1)
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=[registry_versions.c.name],
                set_={"version": registry_versions.c.version + 1},
            )
        )

        async def announce() -> None:
            self._watchers.get(name, lambda: None)()
            await self.announce({"registry": name})

        tx.after_commit(announce)

    async def announce(self, message: Message, *, along: Writes | None = None) -> bool:
        """Tell every process; what can not be told takes as long as they need to find it.

        Whoever hears it knows that what was written ``along`` was written. Return whether
        it was told.
        """
        if self._redis is None:
            return False
        try:
            if not self.redis_breaker.admits():
                raise ConnectionError("breaker open")
            with span("redis PUBLISH"):
                await self._publish(self._redis, message, along)
        except REDIS_ERRORS as error:
            self.redis_breaker.note_failure()
            self._untold += 1
            ANNOUNCEMENTS_FAILED.inc()
            log.warning("announcement_failed", error=type(error).__name__)
            # Others may hear their heartbeat still, and trust their memory. What was changed
            # is not answered before they have noticed, or have looked it up.
            await asyncio.sleep(LEARNT)
            return False
        return True

    async def _publish(
        self, redis: RedisClient, message: Message, along: Writes | None = None
    ) -> None:
        """Publish ``message``; raises one of REDIS_ERRORS, also when no master took it.

        A replica takes it, too, and tells nobody but its own subscribers: whoever is still
        connected to the master of yesterday would hear itself, and nobody else. But a replica
        refuses to write, be it to delete what is not there. Cluster tells all its servers.
        """
        packed = orjson.dumps(message)
        if isinstance(redis, RedisCluster):
            if along is not None:
                # Keys of several servers are in no transaction: they come before the message.
                written = redis.pipeline()
                along(written)
                await written.execute()
            await redis.publish(self.channel, packed)
            return
        pipeline = redis.pipeline(transaction=along is not None)
        if along is None:
            _ = pipeline.delete(f"{self.channel}:nothing")
        else:
            along(pipeline)
        _ = pipeline.publish(self.channel, packed)
        await pipeline.execute()

    async def ensure_current(self) -> None:
        """Drop from memory what changed; free of cost while announcements arrive."""
        if not self.live:
            async with self._database.reading() as tx:
                await self._compare_versions(tx)

    async def hear(self) -> None:
        """Hear announcements until cancelled, and subscribe again whenever that fails."""
        while self._redis is not None:
            try:
                await self._hear(self._redis)
            except Exception as error:  # noqa: BLE001  # whatever it is, hearing begins again
                if isinstance(error, REDIS_ERRORS):
                    self.redis_breaker.note_failure()
                self._hearing.note_failure(error)
            check_not_cancelled()
            await asyncio.sleep(HEARTBEAT)

    async def poll(self) -> None:
        """Look up until cancelled, while announcements arrive, whether one was lost."""
        while self._redis is not None:
            check_not_cancelled()
            await asyncio.sleep(POLL)
            if not self._hears(time.monotonic()):
                continue
            try:
                await self._resync(everything=self._compared_at <= self._missed_at)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next poll comes
                self._polling.note_failure(error)
            else:
                self._polling.note_success()

    async def _hear(self, redis: RedisClient) -> None:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(self.channel)
            subscribed, synced, beat_at = False, False, 0.0
            while True:
                check_not_cancelled()
                if time.monotonic() - beat_at >= HEARTBEAT:
                    beat_at = time.monotonic()
                    beat = {"beat": self._identity, "at": beat_at, "untold": self._untold}
                    await self._publish(redis, beat)
                received = await pubsub.get_message(timeout=HEARTBEAT)
                if received is None:
                    continue
                if received["type"] == "subscribe":
                    if subscribed:
                        # The driver has connected anew by itself: what was announced
                        # meanwhile was not heard.
                        raise ConnectionError("subscribed again")
                    subscribed = True
                    continue
                if not synced:
                    # Subscribed first, read afterwards: nothing falls between the two.
                    await self._resync(everything=True)
                    synced = True
                    self._hearing.note_success()
                self._receive(orjson.loads(received["data"]))
        finally:
            self._heard_at = float("-inf")
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis leaves it untyped

    async def leave(self) -> None:
        """Tell the others that this process ends: its silence means nothing then."""
        if self._redis is not None and self.redis_breaker.admits():
            with suppress(*REDIS_ERRORS):
                await self._publish(self._redis, {"left": self._identity})

    async def _resync(self, *, everything: bool) -> None:
        began_at = time.monotonic()
        async with self._database.reading() as tx:
            await self._compare_versions(tx)
        for reload in self._reloaders:
            await reload(everything)
        self._looked_up_at = began_at
        if everything:
            self._compared_at = began_at

    async def _compare_versions(self, tx: Transaction) -> None:
        rows = await tx.execute(select(registry_versions.c.name, registry_versions.c.version))
        versions: dict[str, int] = {row.name: row.version for row in rows}
        changed = [
            name for name, version in versions.items() if self._versions.get(name) != version
        ]
        self._versions = versions
        for name in changed:
            self._watchers.get(name, lambda: None)()

    def _receive(self, message: Message) -> None:
        if message.get("beat") == self._identity:
            # When it was sent, not when it arrived: all that was announced before then has
            # been heard, even if this process stood still in between.
            self._heard_at = float(message["at"])
            ANNOUNCEMENT_SECONDS.observe(time.monotonic() - self._heard_at)
            self.redis_breaker.note_answer()
        elif "beat" in message:
            now = time.monotonic()
            if self._peers.note(message["beat"], message.get("untold", 0), now=now):
                self._missed_at = now
        elif "left" in message:
            self._peers.forget(message["left"])
        elif "registry" in message:
            self._watchers.get(message["registry"], lambda: None)()
        for kind, hear in self._listeners.items():
            if kind in message:
                hear(message[kind])
