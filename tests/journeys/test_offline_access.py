"""Whole stories of offline access: who gets a refresh token, and how long it lasts."""

from typing import Any

import pytest

from tests.answers import check_error
from tests.provider import Provider, claims_of


async def test_only_offline_access_yields_a_refresh_token(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account, scope="openid profile")
    assert "refresh_token" not in tokens
    tokens = await sqlite_provider.sign_in(client, account, scope="offline_access api:read")
    assert tokens["refresh_token"]
    assert "id_token" not in tokens


@pytest.mark.parametrize(
    "metadata",
    [
        {"grant_types": ["authorization_code"]},
        {"scope": "openid profile"},
        {"grant_types": ["authorization_code"], "scope": None},
    ],
)
async def test_offline_access_that_the_client_may_not_have_is_left_out(
    sqlite_provider: Provider, metadata: dict[str, Any]
) -> None:
    client = await sqlite_provider.create_client(**metadata)
    account = await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account, scope="openid offline_access")
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "openid"
    assert claims_of(tokens["access_token"])["scope"] == "openid"


async def test_a_refresh_leaves_the_living_access_token_valid(provider: Provider) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    refreshed = (await provider.refresh(client, tokens["refresh_token"])).json()
    assert refreshed["access_token"] != tokens["access_token"]
    for access_token in (tokens["access_token"], refreshed["access_token"]):
        assert (await provider.userinfo(access_token)).status_code == 200
        assert (await provider.introspect(client, access_token))["active"] is True


async def test_a_refresh_answers_all_that_the_first_answer_had(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = await provider.sign_in(client, account)
    provider.clock.move(seconds=100)
    response = await provider.refresh(client, tokens["refresh_token"])
    assert response.headers["cache-control"] == "no-store"
    refreshed = response.json()
    assert refreshed.keys() == tokens.keys()
    first, second = claims_of(tokens["id_token"]), claims_of(refreshed["id_token"])
    # OpenID Connect Core §12.2
    for name in ("iss", "sub", "aud", "azp", "auth_time", "acr", "amr"):
        assert first[name] == second[name]
    assert second["iat"] >= first["iat"] + 100
    assert "nonce" not in second


async def test_a_scope_is_narrowed_for_one_answer_and_not_for_the_family(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    full = "openid profile offline_access api:read"
    tokens = await sqlite_provider.sign_in(client, account, scope=full)
    response = await sqlite_provider.refresh(client, tokens["refresh_token"], scope="api:read")
    narrow = response.json()
    assert narrow["scope"] == claims_of(narrow["access_token"])["scope"] == "api:read"
    assert "id_token" not in narrow
    check_error(await sqlite_provider.userinfo(narrow["access_token"]), 403, "insufficient_scope")
    again = (await sqlite_provider.refresh(client, narrow["refresh_token"])).json()
    assert again["scope"] == full
    assert "id_token" in again


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("openid email", "invalid_scope"),
        ("api:write", "invalid_scope"),
        ("openid  profile", "invalid_scope"),
        ('"', "invalid_scope"),
    ],
)
async def test_a_wider_scope_is_refused_and_spends_nothing(
    sqlite_provider: Provider, scope: str, code: str
) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    response = await sqlite_provider.refresh(client, tokens["refresh_token"], scope=scope)
    check_error(response, 400, code)
    sqlite_provider.clock.move(minutes=1)
    assert (await sqlite_provider.refresh(client, tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize(("days", "status"), [(13, 200), (15, 400)])
async def test_a_refresh_token_that_is_not_used_expires(
    sqlite_provider: Provider, days: int, status: int
) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    sqlite_provider.clock.move(days=days)
    response = await sqlite_provider.refresh(client, tokens["refresh_token"])
    assert response.status_code == status
    if status == 400:
        check_error(response, 400, "invalid_grant")


async def test_a_family_ends_however_often_it_is_used(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for _ in range(8):
        sqlite_provider.clock.move(days=11)
        tokens = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    introspected = await sqlite_provider.introspect(client, tokens["refresh_token"])
    assert introspected["exp"] - sqlite_provider.clock.now().timestamp() < 2 * 86_400 + 1
    sqlite_provider.clock.move(days=3)
    response = await sqlite_provider.refresh(client, tokens["refresh_token"])
    check_error(response, 400, "invalid_grant")


async def test_a_repeated_refresh_gets_the_same_successor_within_the_window(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    successors = set()
    for _ in range(3):
        response = await provider.refresh(client, tokens["refresh_token"])
        successors.add(response.json()["refresh_token"])
        provider.clock.move(seconds=2)
    assert len(successors) == 1
    assert (await provider.refresh(client, successors.pop())).status_code == 200


async def test_a_refresh_token_used_again_later_ends_the_family(provider: Provider) -> None:
    client = await provider.create_client()
    first = await provider.sign_in(client, await provider.create_user())
    second = (await provider.refresh(client, first["refresh_token"])).json()
    provider.clock.move(seconds=11)
    response = await provider.refresh(client, first["refresh_token"])
    check_error(response, 400, "invalid_grant")
    response = await provider.refresh(client, second["refresh_token"])
    check_error(response, 400, "invalid_grant")
    for tokens in (first, second):
        assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    (event,) = await provider.audit_events("refresh_token.reused")
    assert event.client_id == client.client_id


async def test_a_window_of_zero_forgives_nothing(sqlite_backend: Any, open_providers: Any) -> None:
    provider: Provider = await open_providers(sqlite_backend, refresh_window=0)
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    successor = (await provider.refresh(client, tokens["refresh_token"])).json()
    for refresh_token in (tokens["refresh_token"], successor["refresh_token"]):
        check_error(await provider.refresh(client, refresh_token), 400, "invalid_grant")


async def test_another_client_ends_the_family_it_has_no_business_with(
    provider: Provider,
) -> None:
    client, thief = await provider.create_client(), await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    check_error(await provider.refresh(thief, tokens["refresh_token"]), 400, "invalid_grant")
    check_error(await provider.refresh(client, tokens["refresh_token"]), 400, "invalid_grant")


async def test_a_public_client_refreshes_with_its_name_alone(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(token_endpoint_auth_method="none")
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for _ in range(3):
        response = await sqlite_provider.refresh(client, tokens["refresh_token"])
        assert response.status_code == 200
        tokens = response.json()
