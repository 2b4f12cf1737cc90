"""What the gauges show, looked up now and then: no request waits for it.

Each process sets its own, also for the others: with several, whichever is asked answers
for all of them.
"""

import asyncio
import time
from typing import Final

from authsvc import metrics
from authsvc.oauth.server import AuthorizationServer
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.storage.audit_state import find_chained_position, find_unchained_since
from authsvc.storage.cancellation import check_not_cancelled
from authsvc.storage.database_clock import find_database_time

_SECONDS: Final = 0.5
"""Between two looks at what is in memory; also what the event loop's lag is measured by."""
_LOOK_UP_SECONDS: Final = 15.0
"""Between two look-ups in the database."""


def sample(server: AuthorizationServer) -> None:
    """Set the gauges of what this process holds in memory."""
    resources = server.resources
    hashes, revocations = resources.password_hashes, resources.revocations
    metrics.REDIS_CONFIGURED.set(resources.redis is not None)
    metrics.REDIS_LIVE.set(resources.changes.live)
    metrics.BREAKER_OPEN.labels("database").set(resources.database.breaker.is_open)
    metrics.BREAKER_OPEN.labels("commits").set(resources.database.commit_breaker.is_open)
    metrics.BREAKER_OPEN.labels("redis").set(resources.changes.redis_breaker.is_open)
    if resources.mail_server is not None:
        metrics.BREAKER_OPEN.labels("mail").set(resources.mail_server.is_left_alone())
    metrics.HASHES_WAITING.set(hashes.waiting)
    metrics.HASHES_RUNNING.set(hashes.running)
    metrics.REVOCATIONS_LISTED.set(revocations.listed)
    metrics.REVOCATIONS_UNSHARED.set(revocations.unshared)
    for pool, (used, most) in resources.database.pool_use().items():
        metrics.DATABASE_CONNECTIONS.labels(pool).set(used)
        metrics.DATABASE_CONNECTIONS_MAX.labels(pool).set(most)
    for level, number in resources.outbound.count_open_breakers().items():
        metrics.OUTBOUND_BREAKERS_OPEN.labels(level).set(number)


async def watch(server: AuthorizationServer) -> None:
    """Sample until cancelled, and measure how late the event loop comes back."""
    while True:
        asleep_at = time.perf_counter()
        await asyncio.sleep(_SECONDS)
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, time.perf_counter() - asleep_at - _SECONDS))
        sample(server)


async def look_up(server: AuthorizationServer) -> None:
    """Set the gauges of what the database knows, until cancelled."""
    while True:
        try:
            await sample_database(server)
        except Exception:  # noqa: BLE001  # whatever it is, the next look-up comes
            metrics.SAMPLES_FAILED.inc()
        check_not_cancelled()
        await asyncio.sleep(_LOOK_UP_SECONDS)


async def sample_database(server: AuthorizationServer) -> None:
    """Set the gauges of keys, audit log and clock; raises TemporarilyUnavailable."""
    resources = server.resources
    await _sample_keys(server)
    async with resources.database.reading() as tx:
        metrics.AUDIT_POSITION.set(await find_chained_position(tx))
        since = await find_unchained_since(tx)
    age = (resources.clock.now() - since).total_seconds() if since else 0.0
    metrics.AUDIT_UNCHAINED_SECONDS.set(max(0.0, age))
    before = resources.clock.now()
    told = await find_database_time(resources.database)
    if told is not None:
        # It was told some time between the two: within them there is no difference to see.
        after = resources.clock.now()
        ahead, behind = (told - after).total_seconds(), (before - told).total_seconds()
        metrics.CLOCK_DIFFERENCE_SECONDS.set(max(ahead, behind, 0.0))


async def _sample_keys(server: AuthorizationServer) -> None:
    resources = server.resources
    keyring, now = await resources.keyring.get(), resources.clock.now()
    for alg in ALGORITHMS:
        for state in ("next", "active", "retired"):
            ages = [
                (now - key.since).total_seconds()
                for key in keyring
                if (key.alg, key.state) == (alg, state)
            ]
            metrics.SIGNING_KEYS.labels(alg, state).set(len(ages))
            metrics.SIGNING_KEY_AGE_SECONDS.labels(alg, state).set(max(ages, default=0.0))
    interval = resources.settings.key_rotation_interval
    metrics.KEY_ROTATION_SECONDS.set(interval.total_seconds())
    newest = sum(key.is_sealed_anew for key in keyring)
    metrics.MASTER_KEY_SEALED.labels("newest").set(newest)
    metrics.MASTER_KEY_SEALED.labels("older").set(sum(1 for _ in keyring) - newest)
