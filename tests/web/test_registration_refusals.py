"""What ``POST /register`` refuses, and with which code (RFC 7591 §3.2.2)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from limits import parse_many

from authsvc.config import Settings
from tests.answers import check_error
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, Provider
from tests.registration import WEB, bearer, client_of, register, registered


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/#fragment"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/#"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": REDIRECT_URI}, "invalid_client_metadata"),
        ({"redirect_uris": [1]}, "invalid_client_metadata"),
        ({"jwks": {"keys": [public_jwk("ES256")]}, "jwks_uri": "https://a.example/"}, None),
        ({"jwks": {"keys": []}}, None),
        ({"jwks_uri": "http://app.example/jwks"}, None),
        ({"token_endpoint_auth_method": "magic"}, None),
        ({"token_endpoint_auth_method": "private_key_jwt"}, None),
        ({"token_endpoint_auth_method": "none", "require_pkce": False}, None),
        ({"grant_types": ["password"]}, None),
        ({"response_types": ["magic"]}, None),
        ({"id_token_signed_response_alg": "none"}, None),
        ({"subject_type": "secret"}, None),
        ({"logo_uri": "javascript:alert(1)"}, None),
        ({"logo_uri": "data:image/png;base64,AA"}, None),
        ({"initiate_login_uri": "http://app.example/login"}, None),
        ({"client_name": "x" * 257}, None),
        ({"client_name": ["x"]}, None),
        ({"default_max_age": "1"}, None),
        ({"scope": ["openid"]}, None),
        ({"scope": 'openid "x"'}, None),
        ({"scope": "authsvc:admin"}, None),
        ({"dpop_bound_access_tokens": True}, None),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_metadata_that_is_wrong_is_refused_with_the_code_of_rfc_7591(
    opened: Provider, change: Mapping[str, Any], code: str | None
) -> None:
    check_error(await register(opened, {**WEB, **change}), 400, code or "invalid_client_metadata")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"client_name":"a","client_name":"b"}', "application/json", 400),
        (b'{"client_name":"\\u0000"}', "application/json", 400),
        (b'{"software_statement":"\\ud800.a.b"}', "application/json", 400),
        (b'{"client_name#\\ud800":"a"}', "application/json", 400),
        (b'{"default_max_age":1152921504606846976}', "application/json", 400),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", "application/json", 400),
        (b'{"default_max_age":1e999}', "application/json", 400),
        (b'{"default_max_age":NaN}', "application/json", 400),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "application/json", 400),
        (b'{"client_name":"\xff"}', "application/json", 400),
        (b'{"redirect_uris":["https://app.example/"]}', "text/plain", 415),
        (b'{"redirect_uris":["https://app.example/"]}', "application/json; charset=latin-1", 415),
        (b"redirect_uris=https%3A%2F%2Fapp.example", "application/x-www-form-urlencoded", 415),
        (b"x" * 70_000, "application/json", 413),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_body_that_is_no_json_object_is_refused(
    opened: Provider, body: bytes, media_type: str, status: int
) -> None:
    response = await opened.http.post(
        "/register", content=body, headers={"Content-Type": media_type}
    )
    check_error(response, status, "invalid_client_metadata" if status == 400 else "invalid_request")


@pytest.mark.parametrize(
    "member",
    [
        '"foo": 1152921504606846976',
        '"foo": 1e999',
        '"foo": "\\u0000\\ud800"',
        '"\\u0001": {"\\udfff": "\\u007f"}',
        '"foo": ' + "[" * 14 + "]" * 14,
        '"foo#de": "\\u0000"',
        '"jwks": {"keys": [' + json.dumps(public_jwk("ES256"))[:-1] + ', "foo": "\\u0000"}]}',
    ],
)
async def test_a_member_that_is_not_known_is_ignored_whatever_it_holds(
    opened: Provider, member: str
) -> None:
    """RFC 7591 §2."""
    known = json.dumps(dict(WEB))
    headers = {"Content-Type": "application/json"}
    response = await opened.http.post(
        "/register", content=f"{known[:-1]}, {member}}}", headers=headers
    )
    assert response.status_code == 201, response.text
    made = response.json()
    assert "foo" not in response.text
    changed = f'{known[:-1]}, "client_id": "{made["client_id"]}", {member}}}'
    response = await opened.http.put(
        made["registration_client_uri"],
        content=changed,
        headers=headers | bearer(made["registration_access_token"]),
    )
    assert response.status_code == 200, response.text


async def test_a_change_that_is_no_json_object_is_refused_like_a_registration(
    opened: Provider,
) -> None:
    made = await registered(opened)
    headers = {"Content-Type": "application/json"} | bearer(made["registration_access_token"])
    for body in (b"{", b"[]", b'{"client_secret":"\\ud800"}'):
        response = await opened.http.put(
            made["registration_client_uri"], content=body, headers=headers
        )
        check_error(response, 400, "invalid_client_metadata")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_registers(opened: Provider, method: str) -> None:
    response = await opened.http.request(method, "/register")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_without_dynamic_registration_there_is_no_such_endpoint(
    sqlite_provider: Provider,
) -> None:
    check_error(await register(sqlite_provider), 404, "not_found")
    response = await sqlite_provider.http.get(
        "/register/c_x", headers={"Authorization": "Bearer x"}
    )
    check_error(response, 404, "not_found")


async def test_too_many_clients_that_nobody_used_stop_registration_for_a_while(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open", registration_max_unused=2)
    await provider.create_client()
    first = await registered(provider, {**WEB, "scope": "openid offline_access"})
    await registered(provider)

    refused = await register(provider)
    check_error(refused, 503, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) > 0

    await provider.sign_in(client_of(first), await provider.create_user())
    await registered(provider)


async def test_one_address_does_not_fill_the_room_for_all_within_a_day() -> None:
    settings = Settings()
    a_minute, a_day = parse_many(settings.rate_limit_register_address)
    assert (a_minute.get_expiry(), a_day.get_expiry()) == (60, 86_400)
    # Twice: windows are those of the calendar.
    assert 2 * a_day.amount < settings.registration_max_unused / 2


async def test_a_day_s_requests_of_one_address_are_limited_too(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend,
        registration="open",
        rate_limits=True,
        rate_limit_register_address="100/minute;2/day",
    )
    answers = [await register(provider) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert [answer.headers["ratelimit-limit"] for answer in answers] == ["2", "2", "2"]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]


async def test_registration_is_limited_per_address(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend,
        registration="open",
        rate_limits=True,
        rate_limit_register_address="2/minute",
    )
    made = await registered(provider)
    await register(provider, {})
    refused = await register(provider)
    check_error(refused, 429, "temporarily_unavailable")
    assert "retry-after" in refused.headers
    response = await provider.http.get(made["registration_client_uri"])
    assert response.status_code == 429
