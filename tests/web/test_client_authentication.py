"""Client authentication with secrets, at every endpoint that asks for it."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from tests.answers import check_error
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.provider import ORIGIN, SECRET, Provider, TestClient

ENDPOINTS = ["/token", "/introspect", "/revoke"]
METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
FORM = {"grant_type": "client_credentials", "token": "unknown"}


def basic(client_id: str, secret: str) -> str:
    """Return an Authorization header by RFC 6749 §2.3.1."""
    return raw_basic(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())


def raw_basic(credentials: bytes) -> str:
    """Return an Authorization header with just these bytes (RFC 7617 §2)."""
    return f"Basic {base64.b64encode(credentials).decode()}"


async def create_client(provider: Provider, method: str) -> TestClient:
    """Create a client that authenticates with ``method``."""
    return await provider.create_client(
        token_endpoint_auth_method=method,
        jwks={"keys": [public_jwk("ES256")]} if method == "private_key_jwt" else None,
    )


def credentials(method: str, client_id: str, secret: str = SECRET) -> dict[str, Any]:
    """Return the arguments of a request that authenticates with ``method``."""
    if method == "client_secret_basic":
        return {"data": FORM, "headers": {"Authorization": basic(client_id, secret)}}
    if method == "client_secret_post":
        return {"data": {**FORM, "client_id": client_id, "client_secret": secret}}
    if method == "private_key_jwt":
        assertion = sign(claims_for(client_id), "ES256")
        return {"data": {**FORM, **assertion_parameters(assertion)}}
    return {"data": {**FORM, "client_id": client_id}}


def check_challenge(response: httpx.Response) -> None:
    """Hold the answer to RFC 6749 §5.2: 401 and a challenge."""
    check_error(response, 401, "invalid_client")
    assert response.headers["www-authenticate"] == 'Basic realm="authsvc", charset="UTF-8"'


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("registered", METHODS)
async def test_a_client_authenticates_with_its_own_method_and_no_other(
    sqlite_provider: Provider, registered: str, endpoint: str
) -> None:
    client = await create_client(sqlite_provider, registered)
    for used in METHODS:
        request = credentials(used, client.client_id)
        response = await sqlite_provider.http.post(endpoint, **request)
        if used != registered or (used == "none" and endpoint == "/introspect"):
            check_challenge(response)
        elif used == "none" and endpoint == "/token":
            check_error(response, 400, "unauthorized_client")
        else:
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_unknown_client_and_a_wrong_secret_are_one_answer(
    sqlite_provider: Provider, endpoint: str
) -> None:
    client = await sqlite_provider.create_client()
    answers = []
    for client_id in (client.client_id, "unknown"):
        header = {"Authorization": basic(client_id, "x" * 40)}
        response = await sqlite_provider.http.post(endpoint, data=FORM, headers=header)
        check_challenge(response)
        del response.headers["x-request-id"]
        answers.append((response.status_code, response.content, dict(response.headers)))
    assert answers[0] == answers[1]


async def test_a_wrong_secret_is_in_the_audit_log(provider: Provider) -> None:
    client = await provider.create_client()
    request = credentials("client_secret_basic", client.client_id, "x" * 40)
    check_challenge(await provider.http.post("/token", **request))
    (event,) = await provider.audit_events("client.authentication_failed")
    assert (event.client_id, event.address) == (client.client_id, "127.0.0.1")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_without_any_credentials_the_answer_is_a_challenge(
    sqlite_provider: Provider, endpoint: str
) -> None:
    check_challenge(await sqlite_provider.http.post(endpoint, data=FORM))


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YQ",
        "Basic YTpi=",
        "Basic YTpi YTpi",
        "Basic YTpi\u00e9",
        raw_basic(b""),
        raw_basic(b":"),
        raw_basic(b"no-colon"),
        raw_basic(b":no-client"),
        raw_basic(b"\xff\xfe:\xff"),
        raw_basic(b"%FF:secret"),
        raw_basic(b"client:%C3%28"),
        raw_basic(b"client%00:secret"),
        raw_basic(b"client\x00:secret"),
        raw_basic(b"client:" + b"x" * 8_000),
        "Bearer YTpi",
        "Digest username=a",
        "Negotiate YTpi",
    ],
)
async def test_a_malformed_authorization_header_is_failed_authentication(
    sqlite_provider: Provider, header: str
) -> None:
    headers = [(b"Authorization", header.encode("latin-1"))]
    for endpoint in ENDPOINTS:
        check_challenge(await sqlite_provider.http.post(endpoint, data=FORM, headers=headers))


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
async def test_the_scheme_is_read_in_any_case(sqlite_provider: Provider, scheme: str) -> None:
    client = await sqlite_provider.create_client()
    header = {"Authorization": f"{scheme} {basic(client.client_id, SECRET)[6:]}"}
    response = await sqlite_provider.http.post("/token", data=FORM, headers=header)
    assert response.status_code == 200


@pytest.mark.parametrize("client_id", ["plain", "a+b%20c&d/e?f=g", "%41", "(brackets)!~*'"])
@pytest.mark.parametrize("secret", ["p:l&u+s %25 = / ? # ~ ! * ( ) ' characters", "%41" * 12])
async def test_credentials_are_form_decoded(
    sqlite_provider: Provider, client_id: str, secret: str
) -> None:
    metadata = {"grant_types": ["client_credentials"], "scope": "api:read"}
    checked = await sqlite_provider.server.client_administration.check(metadata)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.server.client_administration.create(
            tx, checked, ORIGIN, client_id=client_id, client_secret=secret
        )
    response = await sqlite_provider.http.post(
        "/token", data=FORM, headers={"Authorization": basic(client_id, secret)}
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("client_secret_basic", "client_secret_post"),
        ("client_secret_basic", "private_key_jwt"),
        ("client_secret_post", "private_key_jwt"),
    ],
)
async def test_two_methods_at_once_are_refused(
    sqlite_provider: Provider, one: str, other: str, endpoint: str
) -> None:
    client = await create_client(sqlite_provider, one)
    first, second = credentials(one, client.client_id), credentials(other, client.client_id)
    first["data"] = {**first["data"], **second["data"]}
    check_error(await sqlite_provider.http.post(endpoint, **first), 400, "invalid_request")


@pytest.mark.parametrize("method", ["client_secret_basic", "private_key_jwt"])
async def test_the_client_id_may_come_along_if_it_is_the_same(
    sqlite_provider: Provider, method: str
) -> None:
    client, other = await create_client(sqlite_provider, method), "another"
    for client_id, status in ((client.client_id, 200), (other, 400)):
        request = credentials(method, client.client_id)
        request["data"] = {**request["data"], "client_id": client_id}
        response = await sqlite_provider.http.post("/token", **request)
        assert response.status_code == status
    check_error(response, 400, "invalid_request")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_two_authorization_headers_are_refused(
    sqlite_provider: Provider, endpoint: str
) -> None:
    client = await sqlite_provider.create_client()
    headers = [("Authorization", basic(client.client_id, SECRET))] * 2
    response = await sqlite_provider.http.post(endpoint, data=FORM, headers=headers)
    check_error(response, 400, "invalid_request")


async def test_a_secret_in_the_query_is_not_looked_at(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider, "client_secret_post")
    query = {"client_id": client.client_id, "client_secret": SECRET}
    check_challenge(await sqlite_provider.http.post("/token", params=query, data=FORM))


async def test_a_rotated_secret_overlaps_with_the_new_one_as_long_as_was_said(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    async with provider.resources.database.transaction() as tx:
        rotated = await provider.server.client_administration.rotate_secret(
            tx, client.client_id, ORIGIN, overlap=timedelta(seconds=60)
        )

    async def status_with(secret: str) -> int:
        request = credentials("client_secret_basic", client.client_id, secret)
        return (await provider.http.post("/token", **request)).status_code

    assert await status_with(SECRET) == await status_with(rotated["client_secret"]) == 200
    provider.clock.move(seconds=61)
    assert await status_with(SECRET) == 401
    assert await status_with(rotated["client_secret"]) == 200


async def test_a_deleted_client_authenticates_no_more(provider: Provider) -> None:
    client = await provider.create_client()
    async with provider.resources.database.transaction() as tx:
        await provider.server.client_administration.delete(tx, client.client_id, ORIGIN)
    request = credentials("client_secret_basic", client.client_id)
    check_challenge(await provider.http.post("/token", **request))
