"""Token revocation (RFC 7009)."""

from typing import Any

import pytest

from tests.answers import check_error
from tests.provider import Provider

INACTIVE = {"active": False}


async def test_a_revoked_access_token_is_dead_and_its_family_lives(provider: Provider) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())

    response = await provider.revoke(client, tokens["access_token"])

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert await provider.introspect(client, tokens["access_token"]) == INACTIVE
    check_error(await provider.userinfo(tokens["access_token"]), 401, "invalid_token")
    refreshed = await provider.refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200
    answer = await provider.introspect(client, refreshed.json()["access_token"])
    assert answer["active"] is True


async def test_a_revoked_refresh_token_takes_its_family_and_access_tokens_along(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    first = await provider.sign_in(client, account)
    second = (await provider.refresh(client, first["refresh_token"])).json()
    elsewhere = await provider.sign_in(client, account)

    assert (await provider.revoke(client, second["refresh_token"])).status_code == 200

    for tokens in (first, second):
        assert await provider.introspect(client, tokens["access_token"]) == INACTIVE
        assert (await provider.userinfo(tokens["access_token"])).status_code == 401
        response = await provider.refresh(client, tokens["refresh_token"])
        check_error(response, 400, "invalid_grant")
    assert (await provider.userinfo(elsewhere["access_token"])).status_code == 200
    (event,) = await provider.audit_events("refresh_token.revoked")
    assert event.actor == f"client:{client.client_id}"


async def test_a_spent_refresh_token_still_revokes_its_family(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    first = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    second = (await sqlite_provider.refresh(client, first["refresh_token"])).json()
    assert (await sqlite_provider.revoke(client, first["refresh_token"])).status_code == 200
    response = await sqlite_provider.refresh(client, second["refresh_token"])
    check_error(response, 400, "invalid_grant")


async def test_a_token_of_a_client_for_itself_is_revoked(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = (await sqlite_provider.token(client, grant_type="client_credentials")).json()
    await sqlite_provider.revoke(client, tokens["access_token"])
    assert await sqlite_provider.introspect(client, tokens["access_token"]) == INACTIVE


async def test_a_client_cannot_revoke_what_another_was_issued(provider: Provider) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    for name in ("access_token", "refresh_token"):
        check_error(await provider.revoke(other, tokens[name]), 400, "invalid_grant")
        assert (await provider.introspect(client, tokens[name]))["active"] is True


@pytest.mark.parametrize(
    "token", ["unknown", "a.b.c", "....", "é", "x" * 600, "x." * 9_000, "e30.e30.AAAA"]
)
async def test_an_unknown_token_is_no_error(sqlite_provider: Provider, token: str) -> None:
    client = await sqlite_provider.create_client()
    response = await sqlite_provider.revoke(client, token)
    assert (response.status_code, response.content) == (200, b"")


async def test_revoking_twice_is_no_error_and_one_event(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for name in ("access_token", "refresh_token"):
        for _ in range(2):
            response = await sqlite_provider.revoke(client, tokens[name])
            assert response.status_code == 200
        assert len(await sqlite_provider.audit_events(f"{name}.revoked")) == 1


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
async def test_a_hint_is_only_a_hint(sqlite_provider: Provider, name: str, hint: str) -> None:
    client = await sqlite_provider.create_client()
    assert client.auth is not None
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    response = await sqlite_provider.http.post(
        "/revoke", data={"token": tokens[name], "token_type_hint": hint}, auth=client.auth
    )
    assert response.status_code == 200
    assert await sqlite_provider.introspect(client, tokens[name]) == INACTIVE


async def test_a_public_client_revokes_its_own(sqlite_provider: Provider) -> None:
    public = await sqlite_provider.create_client(token_endpoint_auth_method="none")
    client = await sqlite_provider.create_client()
    account = await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(public, account)
    foreign = await sqlite_provider.sign_in(client, account)
    assert (await sqlite_provider.revoke(public, tokens["refresh_token"])).status_code == 200
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 401
    response = await sqlite_provider.revoke(public, foreign["refresh_token"])
    check_error(response, 400, "invalid_grant")


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": ["a", "b"]}])
async def test_a_wrong_request_is_told_so(sqlite_provider: Provider, form: dict[str, Any]) -> None:
    client = await sqlite_provider.create_client()
    assert client.auth is not None
    response = await sqlite_provider.http.post("/revoke", data=form, auth=client.auth)
    check_error(response, 400, "invalid_request")


async def test_without_authentication_nothing_is_revoked(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for form in ({}, {"client_id": client.client_id}, {"client_id": "unknown"}):
        response = await sqlite_provider.http.post(
            "/revoke", data={"token": tokens["refresh_token"], **form}
        )
        check_error(response, 401, "invalid_client")
    assert (await sqlite_provider.introspect(client, tokens["refresh_token"]))["active"] is True
