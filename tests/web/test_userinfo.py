"""Userinfo (OpenID Connect Core §5.3) and how bearer tokens are presented (RFC 6750)."""

from typing import Any

import pytest

from tests.answers import check_error
from tests.provider import ORIGIN, Account, Provider

CLAIMS = {
    "name": "Anna Bell",
    "given_name": "Anna",
    "birthdate": "1990-02-28",
    "locale": "en-GB",
    "phone_number": "+44 20 7946 0000",
    "phone_number_verified": True,
    "address": {"formatted": "1 High Street\nLondon", "country": "UK"},
    "favourite_colour": "green",
}
BY_SCOPE: dict[str, set[str]] = {
    "openid": {"sub"},
    "openid profile": {
        "sub",
        "name",
        "given_name",
        "birthdate",
        "locale",
        "preferred_username",
        "updated_at",
    },
    "openid email": {"sub", "email", "email_verified"},
    "openid address": {"sub", "address"},
    "openid phone": {"sub", "phone_number", "phone_number_verified"},
    "openid phone email api:read": {
        "sub",
        "phone_number",
        "phone_number_verified",
        "email",
        "email_verified",
    },
}
SCOPE = "openid profile email address phone offline_access api:read"


async def access_token(provider: Provider, account: Account, scope: str = "openid") -> str:
    """Sign in at a new client and return the access token."""
    client = await provider.create_client(scope=SCOPE)
    tokens = await provider.sign_in(client, account, scope=scope)
    text: str = tokens["access_token"]
    return text


async def anna(provider: Provider) -> Account:
    """Create a person of whom much is known."""
    return await provider.create_user(email="anna@example.com", email_verified=True, claims=CLAIMS)


@pytest.mark.parametrize("scope", BY_SCOPE)
async def test_the_scope_says_which_claims_are_told(sqlite_provider: Provider, scope: str) -> None:
    account = await anna(sqlite_provider)
    response = await sqlite_provider.userinfo(await access_token(sqlite_provider, account, scope))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    claims = response.json()
    assert claims.keys() == BY_SCOPE[scope]
    known = {
        **CLAIMS,
        "sub": account.id,
        "email": "anna@example.com",
        "email_verified": True,
        "preferred_username": account.username,
    }
    known["updated_at"] = claims.get("updated_at")
    assert {name: known[name] for name in claims} == claims


async def test_what_is_not_known_is_left_out(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    token = await access_token(sqlite_provider, account, "openid profile email address phone")
    claims = (await sqlite_provider.userinfo(token)).json()
    assert claims.keys() == {"sub", "preferred_username", "updated_at"}


async def test_a_change_shows_at_once(provider: Provider) -> None:
    account = await anna(provider)
    token = await access_token(provider, account, "openid email")
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.update(
            tx, account.id, ORIGIN, {"email": "new@example.com", "email_verified": False}
        )
    claims = (await provider.userinfo(token)).json()
    assert claims == {"sub": account.id, "email": "new@example.com", "email_verified": False}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_token_comes_in_the_header(
    sqlite_provider: Provider, method: str, scheme: str
) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    response = await sqlite_provider.http.request(
        method, "/userinfo", headers={"Authorization": f"{scheme} {token}"}
    )
    assert response.status_code == 200


async def test_the_token_may_come_in_a_form_body(sqlite_provider: Provider) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    response = await sqlite_provider.http.post("/userinfo", data={"access_token": token})
    assert response.status_code == 200
    response = await sqlite_provider.http.post(
        "/userinfo",
        content=f"access_token={token}",
        headers={"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"},
    )
    assert response.status_code == 200


@pytest.mark.parametrize("body", ["access_token={0}&access_token={0}", "access_token={0}&a=%zz"])
async def test_a_form_that_is_malformed_is_challenged(sqlite_provider: Provider, body: str) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    response = await sqlite_provider.http.post(
        "/userinfo",
        content=body.format(token),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    check_error(response, 400, "invalid_request")
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


async def test_a_token_in_the_body_and_the_query_is_refused(sqlite_provider: Provider) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    response = await sqlite_provider.http.post(
        "/userinfo", params={"access_token": token}, data={"access_token": token}
    )
    check_error(response, 400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_token_in_the_query_is_not_looked_at(
    sqlite_provider: Provider, method: str
) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    response = await sqlite_provider.http.request(
        method, "/userinfo", params={"access_token": token}
    )
    check_error(response, 401, "invalid_token")
    assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'


async def test_a_form_body_counts_only_where_its_type_says_so(
    sqlite_provider: Provider,
) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    for method, content_type in (("POST", "text/plain"), ("GET", None)):
        response = await sqlite_provider.http.request(
            method,
            "/userinfo",
            content=f"access_token={token}",
            headers={"Content-Type": content_type or "application/x-www-form-urlencoded"},
        )
        check_error(response, 401, "invalid_token")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": ""}])
async def test_without_a_token_the_challenge_carries_no_error(
    sqlite_provider: Provider, headers: dict[str, str]
) -> None:
    response = await sqlite_provider.http.get("/userinfo", headers=headers)
    check_error(response, 401, "invalid_token")
    assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "x" * 20_000, "e30.e30.AAAA", "null"])
async def test_what_is_no_token_is_an_invalid_one(sqlite_provider: Provider, token: str) -> None:
    response = await sqlite_provider.userinfo(token)
    check_error(response, 401, "invalid_token")
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="authsvc", error="invalid_token"')


@pytest.mark.parametrize("token", ["", "a b", "a,b"])
async def test_a_header_that_is_malformed_is_an_invalid_request(
    sqlite_provider: Provider, token: str
) -> None:
    response = await sqlite_provider.userinfo(token)
    check_error(response, 400, "invalid_request")
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


async def test_an_expired_token_is_invalid(sqlite_provider: Provider) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    sqlite_provider.clock.move(seconds=301)
    response = await sqlite_provider.userinfo(token)
    check_error(response, 401, "invalid_token")
    assert "expired" in response.json()["error_description"]


async def test_other_tokens_are_no_access_tokens(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(id_token_signed_response_alg="ES256")
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for name in ("id_token", "refresh_token"):
        check_error(await sqlite_provider.userinfo(tokens[name]), 401, "invalid_token")


async def test_two_ways_at_once_are_refused(sqlite_provider: Provider) -> None:
    token = await access_token(sqlite_provider, await sqlite_provider.create_user())
    bearer = ("Authorization", f"Bearer {token}")
    http = sqlite_provider.http
    for response in (
        await http.post("/userinfo", data={"access_token": token}, headers=[bearer]),
        await http.get("/userinfo", headers=[bearer, bearer]),
        await http.post("/userinfo", data={"access_token": [token, token]}),
    ):
        check_error(response, 400, "invalid_request")


async def test_a_token_without_openid_does_not_reach_far_enough(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    account = await sqlite_provider.create_user()
    person = await sqlite_provider.sign_in(client, account, scope="profile api:read")
    own = (await sqlite_provider.token(client, grant_type="client_credentials")).json()
    for tokens in (person, own):
        response = await sqlite_provider.userinfo(tokens["access_token"])
        check_error(response, 403, "insufficient_scope")
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


async def test_a_token_for_another_resource_is_not_for_userinfo(
    sqlite_backend: Any, open_providers: Any
) -> None:
    resource = "https://orders.example"
    provider: Provider = await open_providers(sqlite_backend, resources={resource: frozenset()})
    client = await provider.create_client(resources=[resource])
    account = await provider.create_user()
    for scope, status in (("api:read", 401), ("openid", 200)):
        tokens = await provider.sign_in(client, account, scope=scope, resource=resource)
        assert (await provider.userinfo(tokens["access_token"])).status_code == status
