"""A client that registered itself is in use from when something is issued to it."""

from datetime import datetime

import pytest

from authsvc.oauth.capabilities import DEVICE_CODE
from authsvc.storage.clients import find_client
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.conftest import Backend, OpenProvider
from tests.devices import approve, poll, start
from tests.front_channel import EVERY_FLOW, answer_of
from tests.provider import Provider, TestClient
from tests.registration import WEB, client_of, initial_token, manage, register, registered

GRANTS = ["authorization_code", "refresh_token", "client_credentials", DEVICE_CODE]


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open", **EVERY_FLOW)
    return provider


async def used_at(provider: Provider, client: TestClient) -> datetime | None:
    """Return when the client was used, as it is stored."""
    async with provider.resources.database.reading() as tx:
        row = await find_client(tx, client.client_id)
    assert row is not None
    return row.used_at


async def create(provider: Provider, **metadata: object) -> TestClient:
    """Register a client that may do everything."""
    wanted = {**WEB, "grant_types": GRANTS, "scope": "openid offline_access", **metadata}
    return client_of(await registered(provider, wanted, token=await initial_token(provider)))


async def test_to_authenticate_alone_is_no_use(opened: Provider) -> None:
    made = await registered(opened)
    client = client_of(made)
    assert await opened.introspect(client, "x") == {"active": False}
    assert (await opened.revoke(client, "x")).status_code == 200
    assert (await opened.redeem(client, "x")).status_code == 400
    assert (await opened.refresh(client, "x")).status_code == 400
    refused = await opened.token(client, grant_type="client_credentials")
    assert refused.json()["error"] == "unauthorized_client"
    await opened.http.get("/authorize", params=opened.authorization_parameters(client))
    assert (await manage(opened, "GET", made)).status_code == 200
    assert await used_at(opened, client) is None

    signing = await registered(
        opened,
        {
            **WEB,
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [public_jwk("ES256")]},
        },
    )
    assertion = assertion_parameters(sign(claims_for(signing["client_id"]), "ES256"))
    response = await opened.http.post("/introspect", data={"token": "x", **assertion})
    assert response.json() == {"active": False}
    assert await used_at(opened, client_of(signing)) is None


async def test_a_device_that_nobody_connects_is_no_use(opened: Provider) -> None:
    client = await create(opened)
    codes = await start(opened, client)
    assert (await poll(opened, client, codes)).json()["error"] == "authorization_pending"
    assert await used_at(opened, client) is None

    await approve(opened, codes, await opened.create_user())
    opened.clock.move(seconds=10)
    assert (await poll(opened, client, codes)).status_code == 200
    assert await used_at(opened, client) is not None


async def test_a_code_is_a_use_and_so_is_a_token(opened: Provider) -> None:
    account = await opened.create_user()
    client = await create(opened)
    await opened.authorize(opened.browser(), client, account)
    assert await used_at(opened, client) is not None

    client = await create(opened)
    response = await opened.token(client, grant_type="client_credentials")
    assert response.status_code == 200
    assert await used_at(opened, client) is not None

    client = await create(
        opened, grant_types=["implicit"], response_types=["id_token"], scope="openid"
    )
    await answer_of(opened, client, account, response_type="id_token", scope="openid")
    assert await used_at(opened, client) is not None


async def test_a_refresh_keeps_a_client_in_use_and_is_noted_about_once_a_day(
    opened: Provider,
) -> None:
    client = await create(opened)
    tokens = await opened.sign_in(client, await opened.create_user())
    noted = [await used_at(opened, client)]
    for hours in (1, 24):
        opened.clock.move(hours=hours)
        response = await opened.refresh(client, tokens["refresh_token"])
        assert response.status_code == 200
        tokens = response.json()
        noted.append(await used_at(opened, client))
    assert noted[0] is not None
    assert noted[1] == noted[0]
    assert noted[2] is not None
    assert noted[2] > noted[0]


async def test_who_only_authenticates_makes_no_room_for_more_clients(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, registration="open", registration_max_unused=2
    )
    clients = [client_of(await registered(provider)) for _ in range(2)]
    for client in clients:
        assert await provider.introspect(client, "x") == {"active": False}
    assert (await register(provider)).status_code == 503
    await provider.authorize(
        provider.browser(), clients[0], await provider.create_user(), scope="openid"
    )
    assert (await register(provider)).status_code == 201
