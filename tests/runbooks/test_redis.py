"""Redis goes, comes back empty, and is replaced: nothing that was revoked is accepted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import asyncio as redis

from authsvc.storage.revocations import COMPLETE
from tests.conftest import Backend
from tests.faults.replica import Replica
from tests.guarded import ORDERS
from tests.provider import TestClient
from tests.runbooks.belongings import make_people
from tests.runbooks.installation import (
    Installation,
    guarding,
    is_let_in,
    redis_variables,
    until,
    until_well,
)
from tests.runbooks.owner import Owner
from tests.servers import RedisServer


@pytest.fixture
async def installation(
    owner: Owner, template: str, own_redis: list[RedisServer], programs: Path, tmp_path: Path
) -> AsyncIterator[Installation]:
    """An installation on the first of the two Redis servers."""
    backend = Backend("postgres+redis", await owner.create_database(template), own_redis[0].url)
    made = Installation(backend, tmp_path, programs)
    yield made
    await made.stop_all()


class Revoked:
    """Tokens of a client that were revoked, and one that was not."""

    def __init__(self, replicas: list[Replica], client: TestClient) -> None:
        self._replicas = replicas
        self._client = client
        self.tokens: list[str] = []

    async def issue(self) -> str:
        """Issue a token."""
        response = await self._replicas[0].token(
            self._client, grant_type="client_credentials", resource=ORDERS
        )
        token: str = response.json()["access_token"]
        return token

    async def add(self) -> None:
        """Issue a token and revoke it at one replica."""
        token = await self.issue()
        assert (await self._replicas[0].introspect(self._client, token))["active"]
        assert (await self._replicas[0].revoke(self._client, token)).status_code == 200
        self.tokens.append(token)
        await self.check()

    async def check(self) -> None:
        """Check that no replica accepts one of them, and each a good one."""
        good = await self.issue()
        for replica in self._replicas:
            for token in self.tokens:
                assert not (await replica.introspect(self._client, token))["active"]
            assert (await replica.introspect(self._client, good))["active"]


def address_of(replica: Replica) -> str:
    """Return where the replica answers."""
    assert replica.served is not None
    return f"http://127.0.0.1:{replica.served.port}"


async def until_whole(server: RedisServer) -> None:
    """Return when the list there is whole."""
    async with redis.Redis.from_url(server.url) as client:

        async def is_whole() -> bool:
            return bool(await client.exists(COMPLETE))

        await until(is_whole)


async def test_what_was_revoked_stays_so_while_redis_is_away_and_after_it_was_emptied(
    installation: Installation, own_redis: list[RedisServer]
) -> None:
    server = own_redis[0]
    async with installation.operator() as operator:
        people = await make_people(operator)
    replicas = await installation.start_two()
    revoked = Revoked(replicas, people.app)
    await revoked.add()

    with installation.follow("Redis is away, or was flushed") as steps:
        server.stop()
        for replica in replicas:
            await until_well(replica, redis="degraded")
        said = json.loads(await steps.run(REPLICA=address_of(replicas[0])))
        assert said["checks"]["redis"]["status"] == "degraded"
        await revoked.add()
        server.start()
        for replica in replicas:
            await until_well(replica)
        await revoked.check()
        server.flush()
        await revoked.check()
        await until_whole(server)
        whole, entries, *doctor = (await steps.run()).splitlines()
    assert (whole, int(entries)) == ("1", len(revoked.tokens))
    assert any("Redis" in line or "redis" in line for line in doctor)
    async with guarding(replicas[0], server.url) as guard:
        assert [await is_let_in(guard, token) for token in revoked.tokens] == [False, False]
    await revoked.check()


async def test_what_was_revoked_stays_so_while_redis_is_replaced(
    installation: Installation, own_redis: list[RedisServer]
) -> None:
    new = own_redis[1]
    async with installation.operator() as operator:
        people = await make_people(operator)
    replicas = await installation.start_two()
    revoked = Revoked(replicas, people.app)
    await revoked.add()

    with installation.follow("Redis is replaced by another") as steps:
        await steps.run()
        await revoked.add()
        for number, replica in enumerate(list(replicas)):
            replicas[number] = await installation.restart(replica, AUTHSVC_REDIS_URL=new.url)
            await revoked.add()
        for replica in replicas:
            await until_well(replica)
        await until_whole(new)
        said = await steps.run(**redis_variables(new.url, "NEW_"), AUTHSVC_REDIS_URL=new.url)
    assert said.startswith("1\n")
    await revoked.check()
    async with guarding(replicas[0], new.url) as guard:
        assert [await is_let_in(guard, token) for token in revoked.tokens] == [False] * 4
        assert await is_let_in(guard, await revoked.issue())
