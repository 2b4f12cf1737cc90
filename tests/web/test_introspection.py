"""Token introspection (RFC 7662): what a token is worth now, told to clients alone."""

from typing import Any

import httpx
import pytest

from tests.answers import check_error
from tests.provider import ORIGIN, Provider, TestClient, claims_of

INACTIVE = {"active": False}


async def ask(provider: Provider, client: TestClient, **form: str) -> httpx.Response:
    """``POST /introspect`` with the client's credentials."""
    assert client.auth is not None
    return await provider.http.post("/introspect", data=form, auth=client.auth)


async def test_a_living_access_token_is_told_with_its_claims(provider: Provider) -> None:
    await provider.create_role("reader", "articles:read")
    account = await provider.create_user(roles=["reader"])
    client = await provider.create_client()
    tokens = await provider.sign_in(client, account)

    response = await ask(provider, client, token=tokens["access_token"])

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer == {
        **claims_of(tokens["access_token"]),
        "active": True,
        "token_type": "Bearer",
        "username": account.username,
    }
    assert (answer["roles"], answer["permissions"]) == (["reader"], ["articles:read"])


async def test_a_token_of_a_client_for_itself_names_no_person(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    tokens = (await sqlite_provider.token(client, grant_type="client_credentials")).json()
    answer = await sqlite_provider.introspect(client, tokens["access_token"])
    assert answer["active"] is True
    assert answer["sub"] == answer["client_id"] == client.client_id
    assert "username" not in answer


async def test_a_refresh_token_is_told_to_its_own_client_alone(provider: Provider) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    account = await provider.create_user()
    refresh_token = (await provider.sign_in(client, account))["refresh_token"]
    answer = await provider.introspect(client, refresh_token)
    assert answer["active"] is True
    assert answer["sub"] == account.id
    assert answer["client_id"] == client.client_id
    assert answer["scope"] == "openid offline_access"
    assert answer["exp"] - answer["iat"] == 1_209_600
    assert await provider.introspect(other, refresh_token) == INACTIVE
    await provider.refresh(client, refresh_token)
    assert await provider.introspect(client, refresh_token) == INACTIVE


async def test_any_client_with_credentials_may_ask_about_an_access_token(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    resource_server = await sqlite_provider.create_client(
        grant_types=["client_credentials"], redirect_uris=None
    )
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    answer = await sqlite_provider.introspect(resource_server, tokens["access_token"])
    assert answer["active"] is True


@pytest.mark.parametrize(
    "token",
    ["x", "a.b", "a.b.c", "....", "é", "x" * 600, "x." * 9_000, "e30.e30.", "null", "0"],
)
async def test_what_is_no_token_is_inactive(sqlite_provider: Provider, token: str) -> None:
    client = await sqlite_provider.create_client()
    assert await sqlite_provider.introspect(client, token) == INACTIVE


async def test_an_id_token_is_no_access_token(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(id_token_signed_response_alg="ES256")
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    assert await sqlite_provider.introspect(client, tokens["id_token"]) == INACTIVE


async def test_a_token_is_inactive_from_the_second_it_expires(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    sqlite_provider.clock.move(seconds=297)
    assert (await sqlite_provider.introspect(client, tokens["access_token"]))["active"] is True
    sqlite_provider.clock.move(seconds=3)
    assert await sqlite_provider.introspect(client, tokens["access_token"]) == INACTIVE


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "nonsense", ""])
async def test_a_hint_is_only_a_hint(sqlite_provider: Provider, hint: str) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for name in ("access_token", "refresh_token"):
        response = await ask(sqlite_provider, client, token=tokens[name], token_type_hint=hint)
        assert response.json()["active"] is True


async def test_the_tokens_of_a_disabled_person_are_inactive_at_once(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = await provider.sign_in(client, account)
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)
    for name in ("access_token", "refresh_token"):
        assert await provider.introspect(client, tokens[name]) == INACTIVE


async def test_the_tokens_of_a_deleted_client_are_inactive_at_once(provider: Provider) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    own = (await provider.token(client, grant_type="client_credentials")).json()
    async with provider.resources.database.transaction() as tx:
        await provider.server.client_administration.delete(tx, client.client_id, ORIGIN)
    for access_token in (tokens["access_token"], own["access_token"]):
        assert await provider.introspect(other, access_token) == INACTIVE


async def test_the_token_of_a_deleted_person_is_inactive_at_once(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.people.delete(tx, account.id, ORIGIN)
    for name in ("access_token", "refresh_token"):
        assert await sqlite_provider.introspect(client, tokens[name]) == INACTIVE


@pytest.mark.parametrize(
    "form", [{}, {"token": ""}, {"token_type_hint": "access_token"}, {"token": ["a", "b"]}]
)
async def test_a_wrong_request_is_told_so(sqlite_provider: Provider, form: dict[str, Any]) -> None:
    client = await sqlite_provider.create_client()
    check_error(await ask(sqlite_provider, client, **form), 400, "invalid_request")


async def test_a_public_client_may_not_try_tokens_out(sqlite_provider: Provider) -> None:
    public = await sqlite_provider.create_client(token_endpoint_auth_method="none")
    response = await sqlite_provider.http.post(
        "/introspect", data={"token": "x", "client_id": public.client_id}
    )
    check_error(response, 401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")


async def test_an_access_token_does_not_authenticate_here(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = (await sqlite_provider.token(client, grant_type="client_credentials")).json()
    response = await sqlite_provider.http.post(
        "/introspect",
        data={"token": tokens["access_token"]},
        headers={"Authorization": f"Bearer {tokens['access_token']}"},
    )
    check_error(response, 401, "invalid_client")
