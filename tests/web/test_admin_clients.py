"""Clients over the admin API, on every backend."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.provider import SECRET, Provider, TestClient
from tests.web.admin import Admin, open_admin

MACHINE = {"grant_types": ["client_credentials"], "scope": "api:read", "client_name": "Machine"}


@pytest.fixture
async def admin(provider: Provider) -> Admin:
    return await open_admin(provider)


async def register(admin: Admin, **members: Any) -> Any:
    response = await admin.call("POST", "/clients", json={**MACHINE, **members})
    assert response.status_code == 201, response.text
    return response.json()


async def authenticates(provider: Provider, client_id: str, secret: str) -> bool:
    client = TestClient(client_id, secret, {})
    response = await provider.token(client, grant_type="client_credentials")
    assert response.status_code in (200, 401)
    return response.status_code == 200


async def test_a_client_is_registered_and_its_secret_shown_this_once(
    admin: Admin, provider: Provider
) -> None:
    registered = await register(admin)

    path = f"/clients/{registered['client_id']}"
    assert await authenticates(provider, registered["client_id"], registered["client_secret"])
    assert registered["client_secret_expires_at"] == 0
    shown = await admin.get(path)
    listed = await admin.get("/clients")
    assert shown == {name: value for name, value in registered.items() if name != "client_secret"}
    assert shown in listed["items"]
    assert all("client_secret" not in client for client in listed["items"])


async def test_an_identifier_of_any_allowed_characters_leads_to_its_client(
    admin: Admin, provider: Provider
) -> None:
    await register(admin, client_id="https//a/b?c#d%2F", client_secret=SECRET)

    assert await authenticates(provider, quote("https//a/b?c#d%2F", safe=""), SECRET)
    response = await admin.call("GET", "/clients/https%2F%2Fa%2Fb%3Fc%23d%252F")
    assert response.status_code == 200, response.text


async def test_members_are_set_and_taken_away(admin: Admin) -> None:
    path = f"/clients/{(await register(admin))['client_id']}"

    changed = await admin.call(
        "PATCH", path, json={"client_name": "Other", "scope": None, "unknown": 1}
    )

    assert changed.status_code == 200
    assert changed.json()["client_name"] == "Other"
    assert "scope" not in changed.json()
    assert await admin.get(path) == changed.json()
    for name in ("client_id", "client_secret", "client_id_issued_at"):
        assert (await admin.call("PATCH", path, json={name: "x"})).status_code == 400


async def test_metadata_that_is_not_acceptable_gets_the_error_of_rfc_7591(admin: Admin) -> None:
    path = f"/clients/{(await register(admin))['client_id']}"
    for members, error in (
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        ({"jwks_uri": "http://a.example/jwks"}, "invalid_client_metadata"),
        ({"client_name": 5}, "invalid_client_metadata"),
    ):
        for method, where in (("POST", "/clients"), ("PATCH", path)):
            response = await admin.call(method, where, json={**MACHINE, **members})
            assert response.status_code == 400, members
            assert response.json()["error"] == error


async def test_a_rotated_secret_overlaps_for_as_long_as_asked(
    admin: Admin, provider: Provider
) -> None:
    client = await register(admin)
    client_id, path = client["client_id"], f"/clients/{client['client_id']}/rotate-secret"

    second = (await admin.call("POST", path, json={"overlap_seconds": 60})).json()["client_secret"]
    both = [
        await authenticates(provider, client_id, secret)
        for secret in (client["client_secret"], second)
    ]
    provider.clock.move(seconds=61)
    token = (
        await provider.token(TestClient("the-admin", SECRET, {}), grant_type="client_credentials")
    ).json()["access_token"]
    old = await authenticates(provider, client_id, client["client_secret"])
    third = (await admin.call("POST", path, token=token)).json()["client_secret"]

    assert (both, old) == ([True, True], False)
    assert await authenticates(provider, client_id, second) is False
    assert await authenticates(provider, client_id, third) is True


async def test_an_overlap_that_is_no_number_of_seconds_is_refused(
    sqlite_provider: Provider,
) -> None:
    admin = await open_admin(sqlite_provider)
    path = f"/clients/{(await register(admin))['client_id']}/rotate-secret"
    for overlap in (-1, 1.5, "60", True, None, 10**12, 31_536_001):
        response = await admin.call("POST", path, json={"overlap_seconds": overlap})

        assert response.status_code == 400, overlap
        assert response.json()["error_description"].startswith("overlap_seconds")


async def test_a_client_without_a_secret_has_none_to_rotate(admin: Admin) -> None:
    public = {
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code"],
    }
    client = await register(admin, **public)

    response = await admin.call("POST", f"/clients/{client['client_id']}/rotate-secret")

    assert "client_secret" not in client
    assert response.status_code == 400


async def test_deleting_a_client_ends_what_it_was_issued(admin: Admin, provider: Provider) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())

    assert (await admin.call("DELETE", f"/clients/{client.client_id}")).status_code == 204

    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert (await admin.call("GET", f"/clients/{client.client_id}")).status_code == 404
    assert (await admin.call("DELETE", f"/clients/{client.client_id}")).status_code == 404


async def test_a_client_holds_roles(admin: Admin, provider: Provider) -> None:
    await provider.create_role("reader", "api:read")
    client = TestClient("machine", SECRET, {})
    await register(admin, client_id="machine", client_secret=SECRET)

    assert (await admin.call("PUT", "/clients/machine/roles/reader")).status_code == 204
    assert (await admin.get("/clients/machine/roles"))["items"] == [{"name": "reader"}]
    token = (await provider.token(client, grant_type="client_credentials")).json()["access_token"]
    assert (await provider.introspect(client, token))["permissions"] == ["api:read"]

    assert (await admin.call("DELETE", "/clients/machine/roles/reader")).status_code == 204
    assert (await provider.introspect(client, token))["permissions"] == []
    assert (await admin.call("PUT", "/clients/nobody/roles/reader")).status_code == 404
    assert (await admin.call("GET", "/clients/nobody/roles")).status_code == 404


async def test_an_identifier_that_is_taken_is_a_conflict(admin: Admin) -> None:
    response: httpx.Response = await admin.call(
        "POST", "/clients", json={**MACHINE, "client_id": "the-admin"}
    )

    assert response.status_code == 409
    assert [len(page) for page in await admin.pages("/clients", 1)] == [1]
