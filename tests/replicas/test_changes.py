"""A change on one replica is known to the others: soon with Redis, at once without."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.provider import ORIGIN, Provider, TestClient, header_of
from tests.replicas.replicas import Replicas, seconds_until

SECOND = 1.0


async def _kid(provider: Provider, client: TestClient) -> str:
    response = await provider.token(client, grant_type="client_credentials")
    return str(header_of(response.json()["access_token"])["kid"])


async def _jwks(provider: Provider) -> set[str]:
    return {jwk["kid"] for jwk in (await provider.http.get("/jwks")).json()["keys"]}


class Changes:
    """Changes made on one provider, each with the question whether another knows of it.

    Every method asks the others first, so that what they keep in memory is from before.
    """

    def __init__(self, first: Provider, others: list[Provider]) -> None:
        self.first, self.others = first, others

    async def secret_rotated(self) -> Callable[[Provider], Awaitable[bool]]:
        """Replace a client's secret without an overlap."""
        client = await self.first.create_client()

        async def is_refused(provider: Provider) -> bool:
            response = await provider.token(client, grant_type="client_credentials")
            return response.status_code == 401

        await self._all_say(False, is_refused)
        server = self.first.server
        async with server.resources.database.transaction() as tx:
            await server.client_administration.rotate_secret(
                tx, client.client_id, ORIGIN, overlap=timedelta()
            )
        return is_refused

    async def client_updated(self) -> Callable[[Provider], Awaitable[bool]]:
        """Take a scope from a client."""
        client = await self.first.create_client(scope="api:read api:write")

        async def is_refused(provider: Provider) -> bool:
            response = await provider.token(
                client, grant_type="client_credentials", scope="api:write"
            )
            return response.status_code == 400

        await self._all_say(False, is_refused)
        server = self.first.server
        change = await server.client_administration.check_change(
            client.client_id, {"scope": "api:read"}
        )
        async with server.resources.database.transaction() as tx:
            await server.client_administration.update(tx, client.client_id, change, ORIGIN)
        return is_refused

    async def client_created(self) -> Callable[[Provider], Awaitable[bool]]:
        """Make a client that was asked for in vain before."""
        unknown = TestClient("new-client", "x" * 40, {})

        async def is_known(provider: Provider) -> bool:
            response = await provider.token(unknown, grant_type="client_credentials")
            return response.status_code == 200

        await self._all_say(False, is_known)
        server = self.first.server
        metadata = await server.client_administration.check(
            {"grant_types": ["client_credentials"], "scope": "api:read"}
        )
        async with server.resources.database.transaction() as tx:
            await server.client_administration.create(
                tx,
                metadata,
                ORIGIN,
                client_id=unknown.client_id,
                client_secret=unknown.secret,
            )
        return is_known

    async def permission_denied(self) -> Callable[[Provider], Awaitable[bool]]:
        """Take a permission from a role that a client holds."""
        await self.first.create_role("role", "orders:read")
        client = await self.first.create_client(roles=["role"])
        response = await self.first.token(client, grant_type="client_credentials")
        token = response.json()["access_token"]

        async def is_gone(provider: Provider) -> bool:
            return bool((await provider.introspect(client, token))["permissions"] == [])

        await self._all_say(False, is_gone)
        roles = self.first.resources.role_administration
        async with self.first.resources.database.transaction() as tx:
            await roles.deny(tx, "role", "orders:read", ORIGIN)
        return is_gone

    async def role_unassigned(self) -> Callable[[Provider], Awaitable[bool]]:
        """Take a role from a client."""
        await self.first.create_role("role", "orders:read")
        client = await self.first.create_client(roles=["role"])
        response = await self.first.token(client, grant_type="client_credentials")
        token = response.json()["access_token"]

        async def is_gone(provider: Provider) -> bool:
            return bool((await provider.introspect(client, token))["roles"] == [])

        await self._all_say(False, is_gone)
        roles = self.first.resources.role_administration
        async with self.first.resources.database.transaction() as tx:
            await roles.unassign(tx, "role", "client", client.client_id, ORIGIN)
        return is_gone

    async def key_rotated(self) -> Callable[[Provider], Awaitable[bool]]:
        """Let the next key sign."""
        client = await self.first.create_client()
        before = await _kid(self.first, client)

        async def is_rotated(provider: Provider) -> bool:
            return await _kid(provider, client) != before

        await self._all_say(False, is_rotated)
        async with self.first.resources.database.transaction() as tx:
            await self.first.resources.key_rotation.rotate(tx, ORIGIN)
        return is_rotated

    async def key_revoked(self) -> Callable[[Provider], Awaitable[bool]]:
        """Revoke the key that signs."""
        client = await self.first.create_client()
        kid = await _kid(self.first, client)

        async def is_gone(provider: Provider) -> bool:
            return kid not in await _jwks(provider)

        await self._all_say(False, is_gone)
        async with self.first.resources.database.transaction() as tx:
            await self.first.resources.key_rotation.revoke(tx, kid, ORIGIN)
        return is_gone

    async def token_revoked(self) -> Callable[[Provider], Awaitable[bool]]:
        """Revoke an access token."""
        client = await self.first.create_client()
        response = await self.first.token(client, grant_type="client_credentials")
        token = response.json()["access_token"]

        async def is_refused(provider: Provider) -> bool:
            return not (await provider.introspect(client, token))["active"]

        await self._all_say(False, is_refused)
        await self.first.revoke(client, token)
        return is_refused

    async def user_disabled(self) -> Callable[[Provider], Awaitable[bool]]:
        """Disable a person who is signed in."""
        client, account = await self.first.create_client(), await self.first.create_user()
        tokens = await self.first.sign_in(client, account)

        async def is_refused(provider: Provider) -> bool:
            return (await provider.userinfo(tokens["access_token"])).status_code == 401

        await self._all_say(False, is_refused)
        async with self.first.resources.database.transaction() as tx:
            await self.first.resources.people.disable(tx, account.id, ORIGIN)
        return is_refused

    async def _all_say(self, expected: bool, ask: Callable[[Provider], Awaitable[bool]]) -> None:
        for provider in (self.first, *self.others):
            assert await ask(provider) is expected


CHANGES = [name for name in vars(Changes) if not name.startswith("_")]


@pytest.mark.parametrize("change", CHANGES)
async def test_with_redis_the_others_know_within_a_second(
    shared_backend: Backend,
    open_providers: OpenProvider,
    change: str,
) -> None:
    replicas = Replicas([await open_providers(shared_backend) for _ in range(2)])
    await replicas.until_live()

    knows = await getattr(Changes(replicas.first, list(replicas.others)), change)()

    assert await knows(replicas.first)
    seconds = await seconds_until(lambda: knows(replicas.others[0]))
    sys.stdout.write(f"{change} is known after {seconds * 1000:.0f} ms\n")
    assert seconds < SECOND


@pytest.mark.parametrize("change", CHANGES)
async def test_without_redis_two_processes_know_at_the_next_request(
    backend_without_redis: Backend, open_providers: OpenProvider, change: str
) -> None:
    first, other = [await open_providers(backend_without_redis) for _ in range(2)]

    knows = await getattr(Changes(first, [other]), change)()

    assert await knows(other)
    assert await knows(first)


async def test_three_replicas_agree_after_many_changes_on_each(replicas: Replicas) -> None:
    client = await replicas.first.create_client()
    for replica in replicas.providers:
        await replica.create_role(f"role-{replicas.providers.index(replica)}", "a:b")
    tokens = await replicas.issue(client, 9)

    await asyncio.gather(
        *(
            replicas.providers[number % 3].revoke(client, token)
            for number, token in enumerate(tokens)
        )
    )

    async def nothing_is_good() -> bool:
        return not any([await replicas.is_good_anywhere(client, token) for token in tokens])

    assert await seconds_until(nothing_is_good) < SECOND
    for replica in replicas.providers:
        graph = await replica.resources.role_graph.get()
        assert [role.name for role in graph.roles()] == ["role-0", "role-1", "role-2"]


async def test_what_another_process_changes_in_sqlite_is_known_at_the_next_request(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend)
    await provider.create_role("role", "orders:read")
    client = await provider.create_client(roles=["role"])
    response = await provider.token(client, grant_type="client_credentials")
    token = response.json()["access_token"]
    assert (await provider.introspect(client, token))["permissions"] == ["orders:read"]

    await _command(sqlite_backend, "roles", "deny", "role", "orders:read")
    assert (await provider.introspect(client, token))["permissions"] == []

    before = await _kid(provider, client)
    await _command(sqlite_backend, "keys", "rotate")
    assert await _kid(provider, client) != before
    await _command(sqlite_backend, "keys", "revoke", before)
    assert await provider.introspect(client, token) == {"active": False}


async def _command(backend: Backend, *arguments: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")},
        "AUTHSVC_DATABASE_URL": backend.database_url,
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
    }
    done: subprocess.CompletedProcess[Any] = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "authsvc", *arguments, "--json"],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
