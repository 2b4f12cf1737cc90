"""The doctor's checks of the database, Redis, the signing keys and the clocks."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from authsvc.cli.checks import REWRAP, Finding, check_master_key
from authsvc.cli.checks_of_administrators import check_administrators
from authsvc.cli.checks_of_jobs import check_jobs
from authsvc.cli.checks_of_webhooks import check_webhooks
from authsvc.cli.operation import find_revision
from authsvc.cli.refusal import Refused, explain
from authsvc.clock import Clock
from authsvc.config import MASTER_KEY_PATH, Settings
from authsvc.master_key import MasterKeys, SealError
from authsvc.protocol.errors import OAuthError, TemporarilyUnavailable
from authsvc.resources import open_storage
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.signing.keyring import load_keyring
from authsvc.storage.database import Database
from authsvc.storage.database_clock import find_database_time
from authsvc.storage.redis import (
    REDIS_ERRORS,
    RedisClient,
    close_redis,
    open_redis,
    why_it_may_evict,
)
from authsvc.storage.revisions import known_revisions, newest_revision
from authsvc.storage.root_secrets import find_root_secret
from authsvc.storage.signing_keys import SigningKeyRow, load_signing_keys

_NOTABLE = timedelta(seconds=1)
"""Difference between clocks that is worth a word."""
_NEEDED_BY_DEFAULT = "RS256"
"""What ID tokens are signed with where a client has not asked for another."""
_LOST = f"the one that the database was made with is lost: there is no {MASTER_KEY_PATH}"
_RESTORE = "Restore the master key that the database was made with, or name it as well."


async def check_storage(settings: Settings) -> list[Finding]:
    """Return what the servers, the keys and the clocks show."""
    master_key, every, newest = check_master_key(settings)
    schema = await _check_database(settings)
    url = settings.redis_url
    async with AsyncExitStack() as stack:
        redis = open_redis(url.get_secret_value()) if url else None
        if redis is not None:
            stack.push_async_callback(close_redis, redis)
        findings = [schema, await _check_redis(redis), master_key]
        # Opened only now: to open a SQLite file that is not there makes it.
        if schema.status != "error":
            database, _ = await stack.enter_async_context(open_storage(settings))
            try:
                of_keys = await _check_keys(settings, database, master_key, every, newest)
                if any(finding.finding == _LOST for finding in of_keys):
                    # It is not to be made at the next start: one was made before.
                    findings.remove(master_key)
                findings += of_keys
                async with database.reading() as tx:
                    findings.append(await check_administrators(tx))
                findings += await check_jobs(database)
                findings += await check_webhooks(database, every, newest)
                findings += await _check_clocks(settings, database, redis)
            except OAuthError as error:
                findings.append(_away(explain(error)))
    return findings


async def _check_database(settings: Settings) -> Finding:
    try:
        revision = await find_revision(settings)
    except (OAuthError, Refused, OSError) as error:
        return _away(explain(error))
    kind = "SQLite" if settings.database_url.startswith("sqlite") else "PostgreSQL"
    if revision is None:
        return Finding("database", "error", f"{kind} has no tables yet", "authsvc db upgrade")
    if revision == newest_revision():
        return Finding("database", "ok", f"{kind}, at the newest revision, {revision}")
    if revision in known_revisions():
        return Finding(
            "database",
            "error",
            f"{kind} is at revision {revision}, this version needs {newest_revision()}",
            "authsvc db upgrade",
        )
    return Finding(
        "database",
        "warning",
        f"{kind} is at revision {revision}, which a newer version has made",
        "Bring authsvc on this machine to the newer version.",
    )


def _away(text: str) -> Finding:
    return Finding(
        "database",
        "error",
        text.partition(": `")[0],
        "See that AUTHSVC_DATABASE_URL is right, the server runs and lets this account in.",
    )


async def _check_redis(redis: RedisClient | None) -> Finding:
    if redis is None:
        return Finding(
            "redis",
            "ok",
            "none is set: rate limits count in each process alone, and each request asks "
            "the database for what was revoked or changed",
            "With more than one process or machine, set AUTHSVC_REDIS_URL.",
        )
    try:
        await redis.ping()
        may_evict = await why_it_may_evict(redis)
    except REDIS_ERRORS as error:
        return Finding(
            "redis",
            "error",
            f"it does not answer ({type(error).__name__}); the service goes on from the "
            "database, slower",
            "See that AUTHSVC_REDIS_URL is right, the server runs and lets this machine in.",
        )
    if may_evict is not None:
        return Finding(
            "redis",
            "error",
            f"it may drop revocations: {may_evict}; services that read the shared list ask by "
            "introspection until it may not",
            "Set maxmemory-policy to noeviction. A Redis of its own is best.",
        )
    return Finding("redis", "ok", "it answers")


async def _check_keys(
    settings: Settings,
    database: Database,
    master_key: Finding,
    every: MasterKeys | None,
    newest: MasterKeys | None,
) -> list[Finding]:
    """Return whether what is encrypted opens, and whether the signing keys will do."""
    async with database.reading() as tx:
        rows = await load_signing_keys(tx)
    sealed = []
    if every is not None and newest is not None:
        sealed = await _check_sealed(database, every, newest)
    elif rows and master_key.status == "ok":
        sealed = [Finding("master key", "error", _LOST, _RESTORE)]
    if rows and any(finding.status == "error" for finding in (master_key, *sealed)):
        locked = "not looked at: they do not open before the master key is right"
        return [*sealed, Finding("keys", "error", locked, _RESTORE)]
    return [*sealed, *check_keys(settings, rows, Clock().now())]


async def _check_sealed(database: Database, every: MasterKeys, newest: MasterKeys) -> list[Finding]:
    """Return whether what is encrypted opens, and whether the newest master key does it alone."""
    try:
        async with database.reading() as tx:
            await find_root_secret(tx, every)
            await load_keyring(tx, every)
    except (SealError, TemporarilyUnavailable) as error:
        # A key that does not open is reported as temporary: to a replica it is.
        reason = error if isinstance(error, SealError) else error.__cause__
        if not isinstance(reason, SealError):
            raise
        return [Finding("master key", "error", str(reason), _RESTORE)]
    try:
        async with database.reading() as tx:
            await find_root_secret(tx, newest)
            rows = await load_signing_keys(tx)
    except SealError:
        return [Finding("master key", "warning", "an older one is still in use", REWRAP)]
    older = sum(not newest.is_newest(row.private_key_sealed) for row in rows)
    if older:
        text = f"{older} signing keys are under an older one"
        return [Finding("master key", "warning", text, REWRAP)]
    return []


def check_keys(settings: Settings, keys: Iterable[SigningKeyRow], now: datetime) -> list[Finding]:
    """Return whether each algorithm has a key that signs and one that is published next."""
    by_state: dict[str, dict[str, SigningKeyRow]] = {}
    for key in keys:
        by_state.setdefault(key.state, {})[key.alg] = key
    active, following = by_state.get("active", {}), by_state.get("next", {})
    if not active:
        advice = "authsvc db upgrade makes the first ones"
        return [Finding("keys", "error", "there is no active key", advice)]
    findings = []
    for alg in ALGORITHMS:
        if alg not in active:
            needed = alg in (settings.signing_alg, _NEEDED_BY_DEFAULT)
            findings.append(
                Finding(
                    "keys",
                    "error" if needed else "warning",
                    f"there is no active {alg} key",
                    f"authsvc keys generate --alg {alg}, later authsvc keys rotate",
                )
            )
        elif alg not in following:
            text = f"there is no next {alg} key: a rotation would have to wait"
            findings.append(Finding("keys", "warning", text, f"authsvc keys generate --alg {alg}"))
        findings += _check_age(settings, active.get(alg), now)
    summary = f"{', '.join(sorted(active))} sign, and the next ones are published"
    return findings or [Finding("keys", "ok", summary)]


def _check_age(settings: Settings, key: SigningKeyRow | None, now: datetime) -> list[Finding]:
    interval = settings.key_rotation_interval
    if key is None or key.activated_at is None or not interval:
        return []
    overdue = now - key.activated_at - interval
    if overdue < timedelta(days=1):
        return []
    text = f"the rotation of the {key.alg} key is overdue for {overdue.days} days"
    return [Finding("keys", "warning", text, "authsvc keys rotate")]


async def _check_clocks(
    settings: Settings, database: Database, redis: RedisClient | None
) -> list[Finding]:
    findings = []
    before = Clock().now()
    told = await find_database_time(database)
    if told is not None:
        findings += _compare(settings, "the database", told, before)
    if redis is not None:
        before = Clock().now()
        told = await _find_redis_time(redis)
        if told is not None:
            findings += _compare(settings, "Redis", told, before)
    return findings or [Finding("clock", "ok", "there is no other machine to compare with")]


async def _find_redis_time(redis: RedisClient) -> datetime | None:
    """Return the time by Redis' clock; None when it is away, or a cluster of many clocks."""
    try:
        told: object = await redis.time()
    except REDIS_ERRORS:
        return None
    if not isinstance(told, tuple):
        return None
    seconds, microseconds = told
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def _compare(settings: Settings, whose: str, told: datetime, before: datetime) -> list[Finding]:
    after = Clock().now()
    # It was told some time between the two: within them there is no difference to see.
    difference = max(told - after, before - told, timedelta())
    shown = f"the clock of {whose} differs from ours by {difference.total_seconds():.3f} seconds"
    if difference < _NOTABLE:
        return [Finding("clock", "ok", shown)]
    advice = "Keep the time on both machines by NTP."
    if difference < settings.clock_leeway:
        return [Finding("clock", "warning", shown, advice)]
    return [Finding("clock", "error", shown, advice)]
