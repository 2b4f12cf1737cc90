"""``/register/{client_id}``: RFC 7592, by the letter."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.answers import check_error
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, Provider
from tests.registration import WEB, client_of, initial_token, manage, registered
from tests.web.admin import open_admin

ONCE = ("client_secret",)
GIVEN = (
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
    *ONCE,
)


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


def without(made: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name not in names}


async def test_a_client_reads_what_it_registered_without_the_secret(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open")
    methods = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
    for method in (*methods, "none"):
        made = await registered(provider, {**WEB, "token_endpoint_auth_method": method})
        response = await manage(provider, "GET", made)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.json() == without(made, *ONCE)
        assert response.json().get("client_secret_expires_at") == (0 if method in methods else None)


async def test_what_was_read_can_be_sent_back_and_changes_nothing(opened: Provider) -> None:
    metadata = {**WEB, "client_name#de": "Ein Programm", "contacts": ["a@app.example"]}
    made = await registered(opened, metadata)
    response = await manage(opened, "PUT", made, without(made, *GIVEN))
    assert response.status_code == 200, response.text
    assert response.json() == without(made, *ONCE)
    assert await opened.audit_events("client.updated") == []


async def test_what_is_left_out_is_removed_or_at_its_default(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open")
    before = {
        "redirect_uris": [REDIRECT_URI],
        "client_name": "An app",
        "logo_uri": "https://app.example/logo.png",
        "contacts": ["a@app.example"],
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "ES256",
        "require_auth_time": True,
    }
    made = await registered(provider, before)
    after = {
        "client_id": made["client_id"],
        "redirect_uris": ["https://app.example/other"],
        "client_name": None,
    }

    response = await manage(provider, "PUT", made, after)

    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    changed = response.json()
    assert changed["redirect_uris"] == ["https://app.example/other"]
    assert changed["grant_types"] == ["authorization_code"]
    assert changed["id_token_signed_response_alg"] == "RS256"
    assert changed["require_auth_time"] is False
    assert not {"client_name", "logo_uri", "contacts"} & changed.keys()
    assert (await manage(provider, "GET", made)).json() == changed
    client = await provider.server.clients.find(made["client_id"])
    assert client is not None
    assert client.metadata.redirect_uris == ("https://app.example/other",)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"client_id": 1},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://x.example/"},
        {"client_id_issued_at": 1},
        {"client_secret_expires_at": 0},
        {"client_secret": "a-secret-that-the-client-made-up-itself"},
        {"client_secret": 1},
    ],
    ids=str,
)
async def test_members_that_the_server_sets_can_not_be_sent_otherwise(
    opened: Provider, change: Mapping[str, Any]
) -> None:
    made = await registered(opened)
    content = {**WEB, "client_id": made["client_id"], **change}
    check_error(await manage(opened, "PUT", made, content), 400, "invalid_request")
    assert (await manage(opened, "GET", made)).json() == without(made, *ONCE)


async def test_the_right_secret_may_be_sent_and_stays(opened: Provider) -> None:
    made = await registered(opened, {**WEB, "scope": "openid offline_access"})
    content = {
        **WEB, "client_id": made["client_id"], "client_secret": made["client_secret"],
        "scope": "openid offline_access",
    }  # fmt: skip
    response = await manage(opened, "PUT", made, content)
    assert response.json()["client_secret"] == made["client_secret"]
    assert response.json()["client_secret_expires_at"] == 0
    assert await opened.sign_in(client_of(made), await opened.create_user())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/#x"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"scope": "authsvc:admin"}, "invalid_client_metadata"),
        ({"jwks_uri": "http://app.example/"}, "invalid_client_metadata"),
        ({"software_statement": "a.b.c"}, "invalid_software_statement"),
    ],
    ids=str,
)
async def test_a_change_is_held_to_the_rules_of_registration(
    opened: Provider, change: Mapping[str, Any], code: str
) -> None:
    made = await registered(opened)
    content = {**WEB, "client_id": made["client_id"], **change}
    check_error(await manage(opened, "PUT", made, content), 400, code)
    assert (await manage(opened, "GET", made)).json() == without(made, *ONCE)


async def test_a_client_gains_nothing_by_a_change_and_keeps_what_it_was_granted(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="open")
    made = await registered(provider)
    wanted = {
        **WEB, "client_id": made["client_id"], "scope": "openid api:read api:write",
        "resources": ["https://orders.example"],
    }  # fmt: skip
    response = await manage(provider, "PUT", made, wanted)
    assert response.json()["scope"] == "openid"
    assert "resources" not in response.json()

    admin = await open_admin(provider)
    granted = {"scope": "openid api:read", "resources": ["https://orders.example"]}
    path = f"/clients/{made['client_id']}"
    assert (await admin.call("PATCH", path, json=granted)).status_code == 200
    response = await manage(provider, "PUT", made, wanted)
    assert response.json()["scope"] == "openid api:read"
    assert response.json()["resources"] == ["https://orders.example"]


async def test_a_client_that_was_trusted_with_client_credentials_keeps_the_grant(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="token")
    metadata = {"grant_types": ["client_credentials"]}
    made = await registered(provider, metadata, token=await initial_token(provider))
    content = {**metadata, "client_id": made["client_id"], "client_name": "A machine"}
    response = await manage(provider, "PUT", made, content)
    assert response.status_code == 200, response.text
    assert response.json()["client_name"] == "A machine"


async def test_a_client_that_begins_to_use_a_secret_gets_one(opened: Provider) -> None:
    keys = {"keys": [public_jwk("ES256")]}
    made = await registered(
        opened, {**WEB, "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
    )
    content = {**WEB, "client_id": made["client_id"], "scope": "openid offline_access"}
    changed = (await manage(opened, "PUT", made, content)).json()
    assert changed["token_endpoint_auth_method"] == "client_secret_basic"
    assert changed["client_secret_expires_at"] == 0
    assert "jwks" not in changed
    assert await opened.sign_in(client_of(changed), await opened.create_user())


async def test_a_deleted_client_is_gone_with_all_it_was_issued(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="open")
    grants = ["authorization_code", "refresh_token"]
    made = await registered(provider, {**WEB, "grant_types": grants})
    client = client_of(made)
    tokens = await provider.sign_in(client, await provider.create_user())

    response = await manage(provider, "DELETE", made)

    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["cache-control"] == "no-store"
    check_error(await manage(provider, "GET", made), 401, "invalid_token")
    check_error(await manage(provider, "DELETE", made), 401, "invalid_token")
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    refused = await provider.refresh(client, tokens["refresh_token"])
    check_error(refused, 401, "invalid_client")
    (event,) = await provider.audit_events("client.deleted")
    assert event.actor == f"client:{made['client_id']}"


async def test_an_administrator_changes_and_deletes_it_as_ever(opened: Provider) -> None:
    made, admin = await registered(opened), await open_admin(opened)
    path = f"/clients/{made['client_id']}"
    response = await admin.call("PATCH", path, json={"client_name": "Renamed"})
    assert response.json()["client_name"] == "Renamed"
    assert "registration_access_token" not in response.json()
    assert (await manage(opened, "GET", made)).json()["client_name"] == "Renamed"
    assert (await admin.call("DELETE", path)).status_code == 204
    check_error(await manage(opened, "GET", made), 401, "invalid_token")


async def test_without_a_token_the_challenge_names_no_error(opened: Provider) -> None:
    made = await registered(opened)
    for method in ("GET", "PUT", "DELETE"):
        response = await opened.http.request(method, made["registration_client_uri"])
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'


async def test_other_methods_are_not_allowed(opened: Provider) -> None:
    made = await registered(opened)
    response = await manage(opened, "POST", made, {})
    check_error(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}


async def test_a_replica_sees_the_change_at_once(
    backend: Backend, open_providers: OpenProvider
) -> None:
    first, second = [await open_providers(backend, registration="open") for _ in range(2)]
    made = await registered(first)
    assert await second.server.clients.find(made["client_id"]) is not None
    content = {**WEB, "client_id": made["client_id"], "client_name": "Renamed"}
    assert (await manage(first, "PUT", made, content)).status_code == 200
    assert (await manage(second, "GET", made)).json()["client_name"] == "Renamed"
