"""A client that changes its sector gets no second name for a person it knows (Core §12.2)."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, REDIRECT_URI, Provider, TestClient, claims_of
from tests.registration import WEB, client_of, manage, registered
from tests.web_servers import WebServer, open_web_server

GRANTS = ["authorization_code", "refresh_token"]


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """Where the sectors publish their redirect URIs."""
    async with open_web_server(tls=False) as server:
        for path in ("/one", "/two"):
            server.respond(path, body=orjson.dumps([REDIRECT_URI]))
        yield server


async def _check_that_all_is_over(
    provider: Provider, client: TestClient, tokens: dict[str, Any], code: str
) -> None:
    refused = await provider.refresh(client, tokens["refresh_token"])
    check_error(refused, 400, "invalid_grant")
    check_error(await provider.redeem(client, code), 400, "invalid_grant")
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert await provider.introspect(client, tokens["access_token"]) == {"active": False}


@pytest.mark.parametrize(("before", "after"), [("pairwise", "public"), ("public", "pairwise")])
async def test_a_client_that_changes_how_it_knows_people_begins_anew(
    backend: Backend, open_providers: OpenProvider, before: str, after: str
) -> None:
    provider: Provider = await open_providers(backend, registration="open")
    metadata = {**WEB, "scope": "openid offline_access", "grant_types": GRANTS}
    made = await registered(provider, {**metadata, "subject_type": before})
    client, account, browser = client_of(made), await provider.create_user(), provider.browser()
    tokens = await provider.sign_in(client, account, browser)
    code = (await provider.authorize(browser, client, account))["code"]
    content = {**metadata, "client_id": client.client_id, "subject_type": after}
    # The access tokens of now are told from those to come by their second.
    provider.clock.move(seconds=2)

    assert (await manage(provider, "PUT", made, content)).status_code == 200

    await _check_that_all_is_over(provider, client, tokens, code)
    provider.clock.move(seconds=2)
    again = await provider.sign_in(client, account, browser)
    assert claims_of(again["id_token"])["sub"] != claims_of(tokens["id_token"])["sub"]
    assert (await provider.userinfo(again["access_token"])).status_code == 200


async def test_another_sector_is_another_beginning_and_another_name_is_none(
    sqlite_backend: Backend, open_providers: OpenProvider, web: WebServer
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    administration = provider.server.client_administration
    account, browser = await provider.create_user(), provider.browser()
    client = await provider.create_client(
        subject_type="pairwise", sector_identifier_uri=f"{web.url}/one"
    )

    async def change(**members: Any) -> None:
        provider.clock.move(seconds=2)
        checked = await administration.check_change(client.client_id, members)
        async with provider.resources.database.transaction() as tx:
            await administration.update(tx, client.client_id, checked, ORIGIN)

    tokens = await provider.sign_in(client, account, browser)
    # The same host is the same sector, whatever else is new.
    for members in ({"client_name": "Renamed"}, {"sector_identifier_uri": f"{web.url}/two"}):
        await change(**members)
        refreshed = await provider.refresh(client, tokens["refresh_token"])
        assert refreshed.status_code == 200, refreshed.text
        assert (
            claims_of(refreshed.json()["id_token"])["sub"] == claims_of(tokens["id_token"])["sub"]
        )
        tokens = {**tokens, **refreshed.json()}
    code = (await provider.authorize(browser, client, account))["code"]

    await change(sector_identifier_uri=None)

    await _check_that_all_is_over(provider, client, tokens, code)
