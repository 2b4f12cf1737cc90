"""The token endpoint: every grant, and every way in which each is refused."""

from typing import Any

import pytest

from tests.answers import check_error
from tests.provider import (
    ORIGIN,
    PASSWORD,
    REDIRECT_URI,
    VERIFIER,
    Account,
    Provider,
    TestClient,
    claims_of,
    random_verifier,
)

CODE_GRANT = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI}


async def code_for(provider: Provider, client: TestClient, account: Account, **more: Any) -> str:
    """Return a fresh code."""
    return (await provider.authorize(provider.browser(), client, account, **more))["code"]


async def test_a_code_yields_exactly_the_members_of_a_token_response(provider: Provider) -> None:
    client = await provider.create_client()
    code = await code_for(provider, client, await provider.create_user())

    response = await provider.redeem(client, code)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers["content-type"] == "application/json"
    tokens = response.json()
    assert tokens.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "refresh_token",
        "id_token",
    }
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 300
    assert tokens["scope"] == "openid offline_access"


async def test_a_client_gets_a_token_for_itself_and_nothing_else(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    response = await sqlite_provider.token(client, grant_type="client_credentials")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    tokens = response.json()
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert tokens["scope"] == "api:read api:write"
    narrowed = await sqlite_provider.token(
        client, grant_type="client_credentials", scope="api:read"
    )
    assert narrowed.json()["scope"] == "api:read"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
        (CODE_GRANT, "invalid_request"),
        ({**CODE_GRANT, "code": ""}, "invalid_request"),
        ({**CODE_GRANT, "code": "unknown", "code_verifier": VERIFIER}, "invalid_grant"),
        ({**CODE_GRANT, "code": "x" * 5_000, "code_verifier": VERIFIER}, "invalid_grant"),
        ({**CODE_GRANT, "code": "ü", "code_verifier": VERIFIER}, "invalid_grant"),
        ({**CODE_GRANT, "code": ["a", "b"]}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 5_000}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": ["a", "a"]}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": "api:admin"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "profile"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "openid"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "offline_access"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": 'api:read "'}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "api:read  api:write"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "resource": "https://no.example"}, "invalid_target"),
        ({"grant_type": "client_credentials", "resource": "relative"}, "invalid_target"),
        (
            {"grant_type": "client_credentials", "resource": "https://a.example/#f"},
            "invalid_target",
        ),
    ],
)
async def test_a_wrong_token_request_is_refused_with_the_code_of_the_rfc(
    sqlite_provider: Provider, parameters: dict[str, Any], code: str
) -> None:
    client = await sqlite_provider.create_client()
    check_error(await sqlite_provider.token(client, **parameters), 400, code)


@pytest.mark.parametrize(
    "grant_type",
    [
        "password",
        "implicit",
        "Client_Credentials",
        "client_credentials ",
        "urn:ietf:params:oauth:grant-type:ciba",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "x" * 5_000,
    ],
)
async def test_a_grant_that_does_not_exist_is_refused(
    sqlite_provider: Provider, grant_type: str
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    response = await sqlite_provider.token(
        client, grant_type=grant_type, username=account.username, password=PASSWORD
    )
    check_error(response, 400, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        (["client_credentials"], "authorization_code"),
        (["client_credentials"], "refresh_token"),
        (["authorization_code"], "refresh_token"),
        (["authorization_code"], "client_credentials"),
    ],
)
async def test_a_grant_that_is_not_registered_is_refused(
    sqlite_provider: Provider, registered: list[str], asked: str
) -> None:
    redirecting = "authorization_code" in registered
    client = await sqlite_provider.create_client(
        grant_types=registered,
        redirect_uris=[REDIRECT_URI] if redirecting else None,
    )
    response = await sqlite_provider.token(client, grant_type=asked, code="x", refresh_token="x")
    check_error(response, 400, "unauthorized_client")


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": None},
        {"code_verifier": ""},
        {"code_verifier": random_verifier()[0]},
        {"code_verifier": VERIFIER[:-1]},
        {"code_verifier": VERIFIER.upper()},
        {"code_verifier": VERIFIER + " "},
        {"redirect_uri": None},
        {"redirect_uri": REDIRECT_URI + "/"},
        {"redirect_uri": REDIRECT_URI.replace("https", "HTTPS")},
        {"redirect_uri": "https://app.example/other"},
    ],
)
async def test_a_code_is_bound_to_its_request_and_is_spent_by_a_wrong_attempt(
    sqlite_provider: Provider, wrong: dict[str, str | None]
) -> None:
    client = await sqlite_provider.create_client(
        redirect_uris=[REDIRECT_URI, "https://app.example/other"]
    )
    code = await code_for(sqlite_provider, client, await sqlite_provider.create_user())

    check_error(await sqlite_provider.redeem(client, code, **wrong), 400, "invalid_grant")

    check_error(await sqlite_provider.redeem(client, code), 400, "invalid_grant")


async def test_a_code_is_of_no_use_to_another_client_and_stays_good_for_its_own(
    provider: Provider,
) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    code = await code_for(provider, client, await provider.create_user())
    check_error(await provider.redeem(other, code), 400, "invalid_grant")
    assert (await provider.redeem(client, code)).status_code == 200


async def test_a_client_that_fails_to_authenticate_does_not_spend_the_code(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    code = await code_for(sqlite_provider, client, await sqlite_provider.create_user())
    stranger = TestClient(client.client_id, "x" * 40, {})
    check_error(await sqlite_provider.redeem(stranger, code), 401, "invalid_client")
    assert (await sqlite_provider.redeem(client, code)).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(58, 200), (61, 400)])
async def test_a_code_lives_a_minute(sqlite_provider: Provider, seconds: int, status: int) -> None:
    client = await sqlite_provider.create_client()
    code = await code_for(sqlite_provider, client, await sqlite_provider.create_user())
    sqlite_provider.clock.move(seconds=seconds)
    assert (await sqlite_provider.redeem(client, code)).status_code == status


async def test_a_code_used_twice_takes_back_what_the_first_use_got(provider: Provider) -> None:
    client = await provider.create_client()
    code = await code_for(provider, client, await provider.create_user())
    tokens = (await provider.redeem(client, code)).json()
    refreshed = (await provider.refresh(client, tokens["refresh_token"])).json()

    check_error(await provider.redeem(client, code), 400, "invalid_grant")

    for access_token in (tokens["access_token"], refreshed["access_token"]):
        assert (await provider.userinfo(access_token)).status_code == 401
        assert await provider.introspect(client, access_token) == {"active": False}
    response = await provider.refresh(client, refreshed["refresh_token"])
    check_error(response, 400, "invalid_grant")
    (event,) = await provider.audit_events("code.replayed")
    assert event.client_id == client.client_id


async def test_a_code_without_offline_access_used_twice_revokes_its_access_token(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    account = await sqlite_provider.create_user()
    code = await code_for(sqlite_provider, client, account, scope="openid")
    tokens = (await sqlite_provider.redeem(client, code)).json()
    check_error(await sqlite_provider.redeem(client, code), 400, "invalid_grant")
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 401


async def test_a_person_who_was_disabled_meanwhile_gets_no_tokens(
    sqlite_provider: Provider,
) -> None:
    client, account = (
        await sqlite_provider.create_client(),
        await sqlite_provider.create_user(),
    )
    tokens = await sqlite_provider.sign_in(client, account)
    code = await code_for(sqlite_provider, client, account)
    async with sqlite_provider.resources.database.transaction() as tx:
        people = sqlite_provider.resources.people
        await people.disable(tx, account.id, ORIGIN)
    check_error(await sqlite_provider.redeem(client, code), 400, "invalid_grant")
    response = await sqlite_provider.refresh(client, tokens["refresh_token"])
    check_error(response, 400, "invalid_grant")


async def test_a_verifier_for_a_request_without_a_challenge_is_a_downgrade(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(require_pkce=False)
    account = await sqlite_provider.create_user()
    no_pkce = {"code_challenge": None, "code_challenge_method": None}
    code = await code_for(sqlite_provider, client, account, **no_pkce)
    check_error(await sqlite_provider.redeem(client, code), 400, "invalid_grant")
    code = await code_for(sqlite_provider, client, account, **no_pkce)
    assert (await sqlite_provider.redeem(client, code, code_verifier=None)).status_code == 200


async def test_a_client_that_need_not_use_pkce_is_held_to_a_challenge_it_sent(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(require_pkce=False)
    code = await code_for(sqlite_provider, client, await sqlite_provider.create_user())
    response = await sqlite_provider.redeem(client, code, code_verifier=None)
    check_error(response, 400, "invalid_grant")


async def test_the_lifetimes_announced_are_those_of_the_settings(
    sqlite_backend: Any, open_providers: Any
) -> None:
    provider: Provider = await open_providers(sqlite_backend, access_token_ttl=42, id_token_ttl=17)
    tokens = await provider.sign_in(await provider.create_client(), await provider.create_user())
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert tokens["expires_in"] == access["exp"] - access["iat"] == 42
    assert identity["exp"] - identity["iat"] == 17
