"""Clients that registered themselves and were never used expire."""

import asyncio
from typing import Any

from authsvc.jobs import purge_unused_clients as job
from authsvc.jobs.purge_unused_clients import purge_unused_clients
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.oauth.clients import note_client_use
from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider
from tests.registration import WEB, client_of, initial_token, manage, registered

DAY = 1


async def test_it_is_on_the_schedule() -> None:
    assert {s.work: s.seconds for s in SCHEDULE}[purge_unused_clients] <= 3_600


async def test_clients_nobody_used_go_after_a_day_and_all_others_stay(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open")
    made_by_hand = await provider.create_client()
    used = await registered(provider, {**WEB, "scope": "openid offline_access"})
    await provider.sign_in(client_of(used), await provider.create_user())
    unused = await registered(provider)
    assert await provider.server.clients.find(unused["client_id"]) is not None
    provider.clock.move(days=DAY, seconds=-60)
    young = await registered(provider)
    await purge_unused_clients(provider.server)
    assert (await manage(provider, "GET", unused)).status_code == 200

    provider.clock.move(seconds=120)
    await purge_unused_clients(provider.server)

    check_error(await manage(provider, "GET", unused), 401, "invalid_token")
    assert await provider.server.clients.find(unused["client_id"]) is None
    for kept in (used, young):
        assert (await manage(provider, "GET", kept)).status_code == 200
    assert await provider.server.clients.find(made_by_hand.client_id) is not None
    (event,) = await provider.audit_events("client.deleted")
    assert (event.actor, event.subject) == ("schedule", unused["client_id"])


async def test_batches_of_many_processes_at_once_delete_each_client_once(
    backend: Backend, open_providers: OpenProvider, monkeypatch: Any
) -> None:
    monkeypatch.setattr(job, "BATCH", 3)
    replicas = [await open_providers(backend, registration="open") for _ in range(3)]
    made = [await registered(replicas[0]) for _ in range(10)]
    for replica in replicas:
        replica.clock.move(days=DAY + 1)

    await asyncio.gather(*(purge_unused_clients(replica.server) for replica in replicas))
    # What one of them left to another that held it, the next run finds.
    await purge_unused_clients(replicas[0].server)

    deleted = [event.subject for event in await replicas[0].audit_events("client.deleted")]
    assert sorted(deleted) == sorted(client["client_id"] for client in made)


async def test_a_use_is_noted_once_a_day_and_only_if_the_transaction_commits(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend, registration="open")
    client_id = (await registered(provider))["client_id"]

    async def used_at() -> Any:
        async with provider.resources.database.reading() as tx:
            client = await provider.server.client_administration.get(tx, client_id)
        return client.used_at

    async def use(*, fail: bool = False) -> None:
        client = await provider.server.clients.find(client_id)
        assert client is not None
        async with provider.resources.database.transaction() as tx:
            await note_client_use(tx, client, provider.clock.now())
            if fail:
                raise ZeroDivisionError

    try:
        await use(fail=True)
    except ZeroDivisionError:
        assert await used_at() is None
    await use()
    first = await used_at()
    assert first is not None
    provider.clock.move(hours=23)
    await use()
    assert await used_at() == first
    provider.clock.move(hours=2)
    await use()
    assert await used_at() > first


async def test_a_machine_that_gets_a_token_is_in_use(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="token")
    metadata = {"grant_types": ["client_credentials"]}
    made = await registered(provider, metadata, token=await initial_token(provider))
    response = await provider.token(client_of(made), grant_type="client_credentials")
    assert response.status_code == 200
    provider.clock.move(days=DAY + 1)
    await purge_unused_clients(provider.server)
    assert (await manage(provider, "GET", made)).status_code == 200


async def test_a_client_that_an_administrator_made_is_not_noted(
    sqlite_provider: Provider,
) -> None:
    made = await sqlite_provider.create_client()
    client = await sqlite_provider.server.clients.find(made.client_id)
    assert client is not None
    async with sqlite_provider.resources.database.transaction() as tx:
        await note_client_use(tx, client, sqlite_provider.clock.now())
    async with sqlite_provider.resources.database.reading() as tx:
        stored = await sqlite_provider.server.client_administration.get(tx, made.client_id)
    assert stored.used_at is None
