"""No entry of the revocation list is lost: not by slow writers, wrong clocks, or Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import event, select

from authsvc.resources import Resources, open_resources
from authsvc.storage.database import Transaction
from authsvc.storage.redis import open_redis
from authsvc.storage.revocations import COMPLETE, KEY_PREFIX, Kind
from authsvc.storage.schema import revocations
from authsvc.storage.shared_revocations import SharedRevocations
from tests.browser import Browser
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import Account, MovableClock, Provider, TestClient, claims_of
from tests.replicas.replicas import seconds_until, until

MakeBackend = Callable[[BackendName], Backend]


@pytest.fixture
def shared(make_backend: MakeBackend) -> Backend:
    """PostgreSQL, and a Redis that some processes have."""
    return make_backend("postgres+redis")


@pytest.fixture
async def replica(shared: Backend, open_providers: OpenProvider) -> Provider:
    """A replica that hears announcements."""
    provider: Provider = await open_providers(shared)
    await until(lambda: provider.resources.changes.live)
    return provider


@pytest.fixture
async def listed(shared: Backend) -> AsyncIterator[SharedRevocations]:
    """The list as resource servers read it."""
    assert shared.redis_url is not None
    reading = SharedRevocations(shared.redis_url)
    yield reading
    await reading.aclose()


@pytest.fixture
async def raw_redis(shared: Backend) -> AsyncIterator[Any]:
    """The Redis itself."""
    assert shared.redis_url is not None
    async with redis.asyncio.Redis.from_url(shared.redis_url) as client:
        yield client


async def _machine_token(provider: Provider, client: TestClient) -> str:
    response = await provider.token(client, grant_type="client_credentials")
    token: str = response.json()["access_token"]
    return token


async def _poll(provider: Provider) -> None:
    """Do what a replica does each second, now."""
    await provider.resources.changes._resync(everything=False)


async def _is_listed(listed: SharedRevocations, token: str) -> bool | None:
    jti = claims_of(token)["jti"]
    return await listed.is_revoked([("token", jti)], uuid.UUID(jti).int >> 80)


def _without_redis(backend: Backend, clock: MovableClock) -> Any:
    """Open what a process without Redis works with, the command line for one."""
    return open_resources(backend.settings(redis_url=None), clock=clock)


async def _revoke(resources: Resources, tx: Transaction, token: str) -> None:
    expires_at = resources.clock.now() + timedelta(seconds=300)
    await resources.revoker.revoke_token(tx, claims_of(token)["jti"], expires_at)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [(0, 11), (0, 100), (0, 15), (-30, 30)],
    ids=["11 s long", "100 s long", "reader ahead", "writer behind, reader ahead"],
)
async def test_a_poll_finds_what_nobody_announced_however_long_ago_it_was_begun(
    shared: Backend, replica: Provider, listed: SharedRevocations, writer: int, reader: int
) -> None:
    client, clock = await replica.create_client(), MovableClock()
    token = await _machine_token(replica, client)
    entry = ("token", claims_of(token)["jti"])
    entries = replica.resources.revocations._entries
    clock.move(seconds=writer)
    async with _without_redis(shared, clock) as resources, resources.database.transaction() as tx:
        await _revoke(resources, tx, token)
        # What is written after it is durable before it.
        await replica.create_client()
        # Time goes on before the commit, or has gone on elsewhere all the while.
        replica.clock.move(seconds=reader)
        await _poll(replica)
        assert entry not in entries

    await _poll(replica)

    assert entry in entries
    assert not (await replica.introspect(client, token))["active"]
    assert await _is_listed(listed, token) is True


class _Refusing:
    """A pipeline that takes commands, and whose server is gone when they are sent."""

    def set(self, *_arguments: Any, **_options: Any) -> "_Refusing":
        """Take a command."""
        return self

    def publish(self, *_arguments: Any) -> "_Refusing":
        """Take a message."""
        return self

    async def execute(self) -> None:
        """Fail."""
        raise RedisConnectionError


async def test_the_list_is_not_called_whole_when_it_could_not_be_written(
    replica: Provider, listed: SharedRevocations, raw_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await replica.create_client()
    token = await _machine_token(replica, client)
    await replica.revoke(client, token)
    assert await _is_listed(listed, token) is True
    with monkeypatch.context() as broken:
        broken.setattr(replica.resources.redis, "pipeline", lambda **_: _Refusing())
        await raw_redis.flushdb()

        for everything in (False, True, False):
            await replica.resources.revocations._reload(everything)
            assert not await raw_redis.exists(COMPLETE)
            assert await _is_listed(listed, token) is None

    await _poll(replica)
    assert await raw_redis.exists(COMPLETE)
    assert await _is_listed(listed, token) is True


async def test_a_redis_that_may_evict_never_has_a_list_that_is_called_whole(
    replica: Provider, listed: SharedRevocations, raw_redis: Any
) -> None:
    client = await replica.create_client()
    token = await _machine_token(replica, client)
    await replica.revoke(client, token)
    await _poll(replica)
    assert await _is_listed(listed, token) is True
    try:
        # It evicts what expires, which our entries do.
        await raw_redis.config_set("maxmemory-policy", "volatile-lru")
        await _poll(replica)
        assert not await raw_redis.exists(COMPLETE)
        assert await _is_listed(listed, await _machine_token(replica, client)) is None
        status = (await replica.http.get("/readyz")).json()["checks"]["redis"]
        assert status["status"] == "degraded"
        assert "volatile-lru" in status["detail"]
        await raw_redis.delete(f"{KEY_PREFIX}token:{claims_of(token)['jti']}")
    finally:
        await raw_redis.config_set("maxmemory-policy", "noeviction")

    await _poll(replica)

    assert await raw_redis.exists(COMPLETE)
    assert await _is_listed(listed, token) is True
    assert (await replica.http.get("/readyz")).json()["checks"]["redis"]["status"] == "ok"


async def test_a_redis_that_does_not_tell_its_policy_may_have_any(
    replica: Provider, raw_redis: Any, shared: Backend
) -> None:
    await raw_redis.acl_setuser(
        "quiet", enabled=True, passwords=["+secret"], categories=["+@all"], commands=["-info"],
        keys=["*"], channels=["*"],
    )  # fmt: skip
    assert shared.redis_url is not None
    url = urlsplit(shared.redis_url)
    netloc = f"quiet:secret@{url.hostname}:{url.port}"
    await raw_redis.delete(COMPLETE)
    limited = open_redis(url._replace(netloc=netloc).geturl())
    try:
        replica.resources.revocations._redis = limited
        await _poll(replica)
        assert not await raw_redis.exists(COMPLETE)
        assert replica.resources.revocations.why_not_whole is not None
    finally:
        await raw_redis.acl_deluser("quiet")
        await limited.aclose()


async def test_what_a_fail_over_lost_is_written_again(
    replica: Provider, listed: SharedRevocations, raw_redis: Any
) -> None:
    client = await replica.create_client()
    token = await _machine_token(replica, client)
    await replica.revoke(client, token)
    assert await _is_listed(listed, token) is True
    # The copy that took over lacked the last write; what says that all is there it had.
    assert await raw_redis.delete(f"{KEY_PREFIX}token:{claims_of(token)['jti']}") == 1
    assert await raw_redis.exists(COMPLETE)
    replica.clock.move(seconds=100)

    assert await raw_redis.client_kill_filter(_type="pubsub") >= 1  # as a fail-over does

    async def is_back() -> bool:
        return await _is_listed(listed, token) is True

    await seconds_until(is_back)


async def test_who_is_killed_once_it_is_durable_leaves_it_to_the_next_poll(
    shared: Backend, replica: Provider, listed: SharedRevocations
) -> None:
    client = await replica.create_client()
    await replica.revoke(client, await _machine_token(replica, client))
    user: tuple[Kind, str] = ("user", str(uuid.uuid4()))
    async with _without_redis(shared, replica.clock) as resources:
        for _ in range(2):
            # The same entry again, which says more than the one that is known.
            replica.clock.move(seconds=10)
            revoked_at = replica.clock.now()
            async with resources.database.transaction() as tx:
                await resources.revoker.revoke_user(tx, user[1])

            await _poll(replica)

            assert replica.resources.revocations._entries[user][0] >= revoked_at
            instant = int(revoked_at.timestamp() * 1000)
            assert await listed.is_revoked([user], instant) is True
            assert await listed.is_revoked([user], instant + 5000) is False


async def test_what_is_heard_is_in_the_shared_list_already(
    replica: Provider, raw_redis: Any
) -> None:
    client, changes = await replica.create_client(), replica.resources.changes
    token = await _machine_token(replica, client)
    key = f"{KEY_PREFIX}token:{claims_of(token)['jti']}"
    async with raw_redis.pubsub() as listening, asyncio.TaskGroup() as tasks:
        await listening.subscribe(changes.channel)
        tasks.create_task(replica.revoke(client, token))
        async for message in listening.listen():
            if message["type"] == "message" and b"revoked" in message["data"]:
                assert await raw_redis.exists(key)
                break


async def test_a_poll_reads_what_is_new_and_writes_what_nobody_heard(
    shared: Backend, raw_redis: Any
) -> None:
    reads: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM revocations" in statement:
            reads.append(cursor.rowcount)

    async def sets() -> int:
        stats = await raw_redis.info("commandstats")
        return int(stats.get("cmdstat_set", {"calls": 0})["calls"])

    clock = MovableClock()
    async with (
        open_resources(shared.settings(), clock=clock) as resources,
        _without_redis(shared, clock) as other,
    ):
        reading = resources.database._readers.sync_engine
        event.listen(reading, "after_cursor_execute", note)
        writes: list[int] = []
        for writer in (resources, resources, other, resources):
            async with writer.database.transaction() as tx:
                await writer.revoker.revoke_user(tx, str(uuid.uuid4()))
            before = await sets()
            await resources.revocations._reload(everything=False)
            writes.append(await sets() - before - 1)  # each says anew that the list is whole
        await resources.revocations._reload(everything=False)

    # The first gives an empty Redis the list, and reads a second time for it.
    assert reads == [1, 1, 1, 1, 1, 0]
    assert writes == [1, 0, 1, 0]


async def test_a_revoked_clients_codes_are_void_and_what_they_just_gave_is_revoked(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    codes = [(await provider.authorize(browser, client, account))["code"] for _ in range(2)]
    online = await provider.sign_in(client, account, browser, scope="openid")
    redeemed = (await provider.redeem(client, codes.pop())).json()
    # By the clock of whoever revokes, the tokens are not made yet.
    provider.clock.move(seconds=-2)

    async with provider.resources.database.transaction() as tx:
        await provider.resources.revoker.revoke_client(tx, client.client_id)

    late = await provider.redeem(client, codes.pop())
    assert late.json()["error"] == "invalid_grant"
    for tokens in (online, redeemed):
        assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    refreshed = await provider.refresh(client, redeemed["refresh_token"])
    assert refreshed.json()["error"] == "invalid_grant"


@pytest.fixture
def backend_of_replicas(request: pytest.FixtureRequest, make_backend: MakeBackend) -> Backend:
    """A database that replicas share, with and without Redis."""
    return make_backend(request.param)


with_replicas = pytest.mark.parametrize(
    "backend_of_replicas", ["postgres", "postgres+redis"], indirect=True
)


async def _signed_in_ahead(
    backend: Backend, open_providers: OpenProvider
) -> tuple[Provider, Provider, TestClient, Account, Browser]:
    """Return two replicas, the second 2 s ahead, and a browser that is signed in there."""
    here, ahead = await open_providers(backend), await open_providers(backend)
    ahead.clock.move(seconds=2)
    client, account = await here.create_client(), await here.create_user()
    browser = ahead.browser()
    await ahead.authorize(browser, client, account)
    return here, ahead, client, account, browser


async def _is_refused(provider: Provider, token: str) -> bool:
    return (await provider.userinfo(token)).status_code == 401


@with_replicas
async def test_a_session_takes_along_the_tokens_of_a_replica_that_is_ahead(
    backend_of_replicas: Backend, open_providers: OpenProvider
) -> None:
    here, ahead, client, account, browser = await _signed_in_ahead(
        backend_of_replicas, open_providers
    )
    tokens = await ahead.sign_in(client, account, browser, scope="openid")
    assert (await here.userinfo(tokens["access_token"])).status_code == 200
    same_browser = here.browser()
    same_browser.http.cookies = browser.http.cookies

    await same_browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    for replica in (here, ahead):
        await seconds_until(partial(_is_refused, replica, tokens["access_token"]))


@with_replicas
async def test_who_knows_a_shorter_token_life_than_the_issuer_revokes_for_the_whole_of_it(
    backend_of_replicas: Backend, open_providers: OpenProvider
) -> None:
    issuer: Provider = await open_providers(backend_of_replicas, access_token_ttl=3_600)
    client, account = await issuer.create_client(), await issuer.create_user()
    tokens = await issuer.sign_in(client, account)
    short = backend_of_replicas.settings(access_token_ttl=300)
    async with open_resources(short) as resources, resources.database.transaction() as tx:
        await resources.revoker.revoke_user(tx, account.id)

    for seconds in (0, 400, 3_100):
        issuer.clock.move(seconds=seconds)
        await _poll(issuer)
        assert (await issuer.userinfo(tokens["access_token"])).status_code == 401
    # Not because it has expired: it had 100 s left.
    assert claims_of(tokens["access_token"])["exp"] > issuer.clock.now().timestamp()
    async with issuer.resources.database.reading() as tx:
        ends = (await tx.execute(select(revocations.c.expires_at))).scalars().all()
    assert min(ends).timestamp() > claims_of(tokens["access_token"])["exp"]


async def test_a_clock_that_was_ahead_for_a_while_makes_nobody_forget(replica: Provider) -> None:
    client = await replica.create_client()
    token = await _machine_token(replica, client)
    await replica.revoke(client, token)
    replica.clock.move(days=1)
    await _poll(replica)
    assert replica.resources.revocations.listed == 0

    replica.clock.move(days=-1)

    assert not (await replica.introspect(client, token))["active"]
    await _poll(replica)
    assert replica.resources.revocations.listed == 1
    assert not (await replica.introspect(client, token))["active"]
