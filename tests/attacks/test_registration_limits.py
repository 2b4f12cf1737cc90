"""What a client that registered itself tries to get beyond its limits, and who is stopped."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from authsvc.oauth.capabilities import DEVICE_CODE
from authsvc.oauth.client_administration import MetadataChange
from authsvc.protocol.errors import Conflict, InvalidClientMetadata
from authsvc.storage.schema import registry_versions
from tests.answers import check_error
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider, TestClient
from tests.registration import WEB, initial_token, manage, register, registered
from tests.web.admin import Admin, open_admin
from tests.web_servers import open_web_server


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


async def versions(provider: Provider) -> list[Any]:
    """Return the versions of all registries: who bumps one makes every replica read anew."""
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(registry_versions.select())
        return sorted(tuple(row) for row in rows)


async def test_strangers_who_use_up_the_room_shut_out_nobody_with_a_token(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="open", registration_max_unused=2)
    admin = await open_admin(provider)
    for _ in range(2):
        await registered(provider)
    check_error(await register(provider), 503, "temporarily_unavailable")

    for token in (await initial_token(provider), admin.token):
        assert (await register(provider, token=token)).status_code == 201
    response = await admin.call("POST", "/clients", json=dict(WEB))
    assert response.status_code == 201
    check_error(await register(provider), 503, "temporarily_unavailable")


@pytest.mark.parametrize("redirect_uris", [[], ["https://bank.example/cb"]])
async def test_a_device_client_does_not_choose_the_sector_of_another(
    opened: Provider, redirect_uris: list[str]
) -> None:
    """No redirect is needed to connect a device, so no host vouches for the client."""
    metadata = {
        "client_name": "TV",
        "redirect_uris": redirect_uris,
        "response_types": ["code"] if redirect_uris else [],
        "grant_types": [*(["authorization_code"] if redirect_uris else []), DEVICE_CODE],
        "subject_type": "pairwise",
    }
    for token in (None, await initial_token(opened)):
        response = await register(opened, metadata, token=token)
        check_error(response, 400, "invalid_client_metadata")
    made = await registered(opened, {**WEB, "subject_type": "pairwise"})
    content = {
        **WEB,
        "client_id": made["client_id"],
        "subject_type": "pairwise",
        "grant_types": ["authorization_code", DEVICE_CODE],
    }
    check_error(await manage(opened, "PUT", made, content), 400, "invalid_client_metadata")


async def test_a_sector_without_redirect_uris_is_nobodys(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    async with open_web_server(tls=False) as web:
        web.respond("/sector", body=orjson.dumps(["https://bank.example/cb"]))
        provider = await open_providers(sqlite_backend, registration="open", outbound_loopback=True)
        for subject_type in ("pairwise", "public"):
            metadata = {
                "grant_types": [DEVICE_CODE],
                "response_types": [],
                "subject_type": subject_type,
                "sector_identifier_uri": f"{web.url}/sector",
            }
            response = await register(provider, metadata)
            check_error(response, 400, "invalid_client_metadata")
            with pytest.raises(InvalidClientMetadata, match="needs redirect_uris"):
                await provider.create_client(**metadata, redirect_uris=None)


@pytest.mark.parametrize("member", ["require_pkce", "require_signed_request_object"])
async def test_a_client_does_not_loosen_what_an_administrator_made_stricter(
    opened: Provider, member: str
) -> None:
    keys = {"jwks": {"keys": [public_jwk("ES256")]}}
    made, admin = await registered(opened, {**WEB, **keys}), await open_admin(opened)
    path = f"/clients/{made['client_id']}"
    assert (await admin.call("PATCH", path, json={member: True})).status_code == 200

    for sent in ({}, {member: False}, {member: None}):
        content = {**WEB, **keys, "client_id": made["client_id"], **sent}
        response = await manage(opened, "PUT", made, content)
        assert response.status_code == 200, response.text
        assert response.json()[member] is True
    client = await opened.server.clients.find(made["client_id"])
    assert client is not None
    assert getattr(client.metadata, member) is True

    assert (await admin.call("PATCH", path, json={member: False})).status_code == 200
    content = {**WEB, **keys, "client_id": made["client_id"]}
    assert (await manage(opened, "PUT", made, content)).json()[member] is False


async def test_a_change_of_nothing_is_not_recorded_and_nobody_reads_anew(
    opened: Provider,
) -> None:
    made, admin = await registered(opened), await open_admin(opened)
    before = await versions(opened)
    known = await opened.server.clients.find(made["client_id"])
    content = {**WEB, "client_id": made["client_id"]}
    for _ in range(3):
        assert (await manage(opened, "PUT", made, content)).status_code == 200
        response = await admin.call(
            "PATCH", f"/clients/{made['client_id']}", json={"client_name": WEB["client_name"]}
        )
        assert response.status_code == 200
    assert await versions(opened) == before
    assert await opened.audit_events("client.updated") == []
    assert await opened.server.clients.find(made["client_id"]) is known

    await manage(opened, "PUT", made, {**content, "client_name": "Another"})
    assert await versions(opened) != before
    assert len(await opened.audit_events("client.updated")) == 1


async def _rename(provider: Provider, client: TestClient, change: MetadataChange) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.server.client_administration.update(tx, client.client_id, change, ORIGIN)


async def _somebody_waits_for_a_lock(provider: Provider) -> None:
    statement = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while True:
            async with provider.resources.database.reading() as tx:
                if (await tx.execute(statement)).scalar_one():
                    return


async def test_of_two_administrators_at_once_the_second_overwrites_nothing(
    provider: Provider,
) -> None:
    client, administration = await provider.create_client(), provider.server.client_administration
    changes = [
        await administration.check_change(client.client_id, members)
        for members in ({"client_name": "One"}, {"require_pkce": False})
    ]
    async with provider.resources.database.transaction() as tx:
        await administration.update(tx, client.client_id, changes[0], ORIGIN)
        second = asyncio.create_task(_rename(provider, client, changes[1]))
        if not provider.resources.database.is_sqlite:  # there writers queue anyway
            await _somebody_waits_for_a_lock(provider)
    with pytest.raises(Conflict):
        await second

    changed = await provider.server.clients.find(client.client_id)
    assert changed is not None
    assert (changed.metadata.client_name, changed.metadata.require_pkce) == ("One", True)
    assert len(await provider.audit_events("client.updated")) == 1


async def test_a_conflict_of_administrators_is_answered_as_one(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin: Admin = await open_admin(sqlite_provider)
    client = await sqlite_provider.create_client()
    administration = sqlite_provider.server.client_administration
    check_change, path = administration.check_change, f"/clients/{client.client_id}"

    async def overtaken(client_id: str, raw: dict[str, Any]) -> MetadataChange:
        change = await check_change(client_id, raw)
        await _rename(sqlite_provider, client, await check_change(client_id, {"contacts": ["x"]}))
        return change

    monkeypatch.setattr(administration, "check_change", overtaken)
    response = await admin.call("PATCH", path, json={"client_name": "Late"})

    check_error(response, 409, "conflict")
    monkeypatch.undo()
    assert (await admin.call("PATCH", path, json={"client_name": "Late"})).status_code == 200
