"""Pairwise subjects (OpenID Connect Core §8.1)."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from authsvc.protocol.errors import InvalidClientMetadata
from tests.conftest import Backend, OpenProvider
from tests.front_channel import (
    EVERY_FLOW,
    FRONT_CHANNEL,
    answer_of,
    fragment_in,
    query_in,
    visit,
)
from tests.provider import ORIGIN, REDIRECT_URI, Account, Provider, TestClient, claims_of
from tests.web_servers import WebServer, open_web_server

OTHER_URI = "https://other.example/callback"


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """A server with sector identifier documents."""
    async with open_web_server(tls=False) as server:
        yield server


@pytest.fixture
async def reaching(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that may reach loopback."""
    opened: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    return opened


async def pairwise(provider: Provider, **metadata: Any) -> TestClient:
    """Create a client with pairwise subjects."""
    return await provider.create_client(subject_type="pairwise", **metadata)


async def tokens_at(
    provider: Provider, client: TestClient, account: Account, **parameters: Any
) -> dict[str, Any]:
    """Sign in at the client's own redirect URI."""
    uri = client.metadata["redirect_uris"][0]
    browser = provider.browser()
    answer = await provider.authorize(browser, client, account, redirect_uri=uri, **parameters)
    response = await provider.redeem(client, answer["code"], redirect_uri=uri)
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def subject(provider: Provider, client: TestClient, account: Account) -> str:
    """Return how the client knows the person."""
    sub: str = claims_of((await tokens_at(provider, client, account))["id_token"])["sub"]
    return sub


async def test_a_sector_knows_a_person_by_one_name_and_another_by_another(
    sqlite_provider: Provider,
) -> None:
    provider = sqlite_provider
    anna, ben = await provider.create_user(), await provider.create_user()
    one, same = await pairwise(provider), await pairwise(provider)
    other = await pairwise(provider, redirect_uris=[OTHER_URI])
    public = await provider.create_client()
    name = await subject(provider, one, anna)
    assert name == await subject(provider, one, anna)
    assert name == await subject(provider, same, anna)
    names = {
        name,
        await subject(provider, other, anna),
        await subject(provider, one, ben),
        await subject(provider, other, ben),
        anna.id,
        ben.id,
    }
    assert len(names) == 6
    assert await subject(provider, public, anna) == anna.id


async def test_the_subject_is_the_same_wherever_it_is_told(provider: Provider) -> None:
    account = await provider.create_user()
    client, resource_server = await pairwise(provider), await provider.create_client()
    tokens = await tokens_at(provider, client, account)
    refreshed = (await provider.refresh(client, tokens["refresh_token"])).json()
    sub = claims_of(tokens["id_token"])["sub"]
    assert sub != account.id
    for answer in (tokens, refreshed):
        assert claims_of(answer["id_token"])["sub"] == sub
        assert claims_of(answer["access_token"])["sub"] == sub
        assert (await provider.userinfo(answer["access_token"])).json()["sub"] == sub
        for asker in (client, resource_server):
            introspected = await provider.introspect(asker, answer["access_token"])
            assert (introspected["active"], introspected["sub"]) == (True, sub)
            assert "username" not in introspected
    introspected = await provider.introspect(client, refreshed["refresh_token"])
    assert introspected["sub"] == sub
    assert "username" not in introspected
    told = orjson.dumps([tokens, introspected]).decode()
    for jwt in (tokens["access_token"], tokens["id_token"]):
        told += orjson.dumps(claims_of(jwt)).decode()
    assert account.id not in told
    assert account.username not in told


async def test_the_subject_says_nothing_without_the_key(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend)
    account = await provider.create_user()
    sub = await subject(provider, await pairwise(provider), account)
    sealed = base64.urlsafe_b64decode(sub + "=")
    identifier = bytes.fromhex(account.id.replace("-", ""))
    assert len(sealed) == 32
    assert not any(identifier[i : i + 4] in sealed for i in range(13))
    assert sub.isascii()
    assert len(sub) <= 255


async def test_a_replica_names_a_person_the_same(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(sqlite_backend)
    two: Provider = await open_providers(sqlite_backend)
    client, account = await pairwise(one), await one.create_user()
    assert await subject(one, client, account) == await subject(two, client, account)


@pytest.mark.parametrize("response_type", ["id_token", "id_token token", "code id_token token"])
async def test_the_front_channel_tells_the_same_subject(
    sqlite_backend: Backend, open_providers: OpenProvider, response_type: str
) -> None:
    provider: Provider = await open_providers(sqlite_backend, **EVERY_FLOW)
    client, account = await pairwise(provider, **FRONT_CHANNEL), await provider.create_user()
    name = await subject(provider, client, account)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    for token in ("id_token", "access_token"):
        if token in answer:
            assert claims_of(answer[token])["sub"] == name


async def test_a_hint_and_a_wanted_sub_are_understood(sqlite_provider: Provider) -> None:
    provider = sqlite_provider
    client = await pairwise(provider)
    anna, ben = await provider.create_user(), await provider.create_user()
    hint_of_ben = (await tokens_at(provider, client, ben))["id_token"]
    browser = provider.browser()
    answer = await provider.authorize(browser, client, anna)
    hint = (await provider.redeem(client, answer["code"])).json()["id_token"]
    name = claims_of(hint)["sub"]
    for parameters, is_her in (
        ({"id_token_hint": hint}, True),
        ({"id_token_hint": hint_of_ben}, False),
        ({"claims": {"id_token": {"sub": {"value": name}}}}, True),
        ({"claims": {"id_token": {"sub": {"value": claims_of(hint_of_ben)["sub"]}}}}, False),
        # The public name is not how this client knows her.
        ({"claims": {"id_token": {"sub": {"value": anna.id}}}}, False),
    ):
        await visit(provider, browser, client, prompt="none", **parameters)
        assert ("code" in query_in(provider, browser)) == is_her, parameters


async def test_a_subject_of_another_sector_names_nobody(sqlite_provider: Provider) -> None:
    provider = sqlite_provider
    client, other = await pairwise(provider), await pairwise(provider, redirect_uris=[OTHER_URI])
    account = await provider.create_user()
    foreign = await subject(provider, other, account)
    browser = provider.browser()
    await provider.authorize(browser, client, account)
    for sub in (foreign, "x", "A" * 43, "ü", foreign + "=", foreign[:-1]):
        wanted = {"id_token": {"sub": {"value": sub}}}
        await visit(provider, browser, client, prompt="none", claims=wanted)
        assert query_in(provider, browser)["error"] == "login_required"


@pytest.mark.parametrize("what", ["user", "session", "family", "token", "client", "disabled"])
async def test_revoking_reaches_a_token_with_a_pairwise_subject(
    provider: Provider, what: str
) -> None:
    client, account = await pairwise(provider), await provider.create_user()
    resource_server = await provider.create_client()
    tokens = await tokens_at(provider, client, account)
    token, claims = tokens["access_token"], claims_of(tokens["access_token"])
    other = await tokens_at(provider, client, await provider.create_user())
    resources = provider.resources
    if what == "token":
        assert (await provider.revoke(client, token)).status_code == 200
    else:
        async with resources.database.transaction() as tx:
            if what == "user":
                await resources.revoker.revoke_user(tx, account.id)
            elif what == "session":
                await resources.revoker.revoke_session(tx, claims["sid"])
            elif what == "family":
                await resources.revoker.revoke_family(tx, claims["family_id"])
            elif what == "client":
                await resources.revoker.revoke_client(tx, client.client_id)
            else:
                await resources.people.disable(tx, account.username, ORIGIN)
    assert (await provider.userinfo(token)).status_code == 401
    assert await provider.introspect(resource_server, token) == {"active": False}
    if what != "client":
        assert (await provider.userinfo(other["access_token"])).status_code == 200


async def test_the_admin_api_knows_who_stands_behind_the_token(
    sqlite_provider: Provider,
) -> None:
    provider = sqlite_provider
    scope = "openid authsvc:admin"
    await provider.create_role("admin", "authsvc:admin")
    client = await pairwise(provider, scope=scope)
    account = await provider.create_user(roles=["admin"])
    tokens = await tokens_at(provider, client, account, scope=scope)
    response = await provider.http.post(
        "/admin/v1/users",
        json={"username": "made-by-admin"},
        headers={"Authorization": f"Bearer {tokens['access_token']}"},
    )
    assert response.status_code == 201, response.text
    (event,) = [
        e for e in await provider.audit_events("user.created") if e.subject == response.json()["id"]
    ]
    assert event.actor == f"user:{account.id}"


async def test_several_hosts_need_a_sector_identifier(reaching: Provider, web: WebServer) -> None:
    uris = [REDIRECT_URI, OTHER_URI]
    with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri is needed"):
        await pairwise(reaching, redirect_uris=uris)
    web.respond("/sector", body=orjson.dumps([*uris, "https://third.example/cb"]))
    sector = f"{web.url}/sector"
    client = await pairwise(reaching, redirect_uris=uris, sector_identifier_uri=sector)
    other = await pairwise(reaching, redirect_uris=[OTHER_URI], sector_identifier_uri=sector)
    alone = await pairwise(reaching, redirect_uris=[OTHER_URI])
    account = await reaching.create_user()
    assert await subject(reaching, client, account) == await subject(reaching, other, account)
    assert await subject(reaching, client, account) != await subject(reaching, alone, account)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b"[5]"),
        (200, b"[]"),
        (200, b'["https://app.example/callbac"]'),
        (200, b'["https://app.example/"]'),
        (200, b"[" * 5_000),
        (200, b'["' + b"a" * 70_000 + b'"]'),
    ],
)
async def test_a_list_that_does_not_hold_the_redirect_uris_is_refused(
    reaching: Provider, web: WebServer, status: int, body: bytes
) -> None:
    web.respond("/sector", status=status, body=body)
    sector = f"{web.url}/sector"
    for subject_type in ("pairwise", "public"):
        with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri"):
            await reaching.create_client(subject_type=subject_type, sector_identifier_uri=sector)
    assert web.requests


async def test_a_change_of_redirect_uris_is_checked_again(
    reaching: Provider, web: WebServer
) -> None:
    web.respond("/sector", body=orjson.dumps([REDIRECT_URI]))
    client = await pairwise(reaching, sector_identifier_uri=f"{web.url}/sector")
    administration = reaching.server.client_administration
    with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri"):
        await administration.check_change(client.client_id, {"redirect_uris": [OTHER_URI]})
    change = await administration.check_change(client.client_id, {"client_name": "x"})
    assert change.members == ["client_name"]
