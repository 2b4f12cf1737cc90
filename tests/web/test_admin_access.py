"""Nobody gets into the admin API without the permission, nor keeps it a moment too long."""

from typing import Any

from authsvc.web.admin.operations import PREFIX
from authsvc.web.admin.routes import OPERATIONS
from tests.provider import ORIGIN, Account, Provider
from tests.web.admin import client_token, open_admin


async def person_token(provider: Provider, account: Account, **parameters: Any) -> str:
    client = await provider.create_client()
    token: str = (await provider.sign_in(client, account, **parameters))["access_token"]
    return token


async def test_no_operation_answers_without_a_token(sqlite_provider: Provider) -> None:
    await open_admin(sqlite_provider)
    for operation in OPERATIONS:
        path = operation.path.replace("{", "").replace("}", "")

        response = await sqlite_provider.http.request(operation.method, PREFIX + path)

        assert response.status_code == 401, operation
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert "error=" not in response.headers["www-authenticate"]
        assert response.headers["cache-control"] == "no-store"


async def test_a_person_who_holds_the_permission_may_and_is_named_in_the_audit_log(
    provider: Provider,
) -> None:
    admin = await open_admin(provider)
    account = await provider.create_user(roles=["admin"])
    token = await person_token(provider, account)

    response = await admin.call("POST", "/users", token=token, json={"username": "ada"})

    assert response.status_code == 201
    event = (await provider.audit_events("user.created"))[0]
    assert event.actor == f"user:{account.id}"
    assert event.request_id == response.headers["x-request-id"]
    assert event.address == "127.0.0.1"


async def test_a_token_without_the_permission_is_refused(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    await sqlite_provider.create_role("almost", "authsvc:admins", "authsvc", "admin")
    client = await sqlite_provider.create_client(roles=["almost"])

    token = await client_token(sqlite_provider, client)
    response = await admin.call("GET", "/users", token=token)

    assert response.status_code == 403
    assert response.json()["error"] == "insufficient_scope"
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


async def test_a_token_for_another_audience_is_refused(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    resource = "https://orders.example"
    client = await sqlite_provider.create_client(roles=["admin"], resources=[resource])

    response = await sqlite_provider.token(
        client, grant_type="client_credentials", resource=resource
    )
    token = response.json()["access_token"]

    refused = await admin.call("GET", "/users", token=token)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_token"


async def test_a_permission_that_is_taken_away_counts_no_more_at_once(provider: Provider) -> None:
    admin = await open_admin(provider)
    await provider.create_role("second-admin", "authsvc:admin")
    account = await provider.create_user(roles=["second-admin"])
    token = await person_token(provider, account)
    assert (await admin.call("GET", "/users", token=token)).status_code == 200

    taken = await admin.call("DELETE", f"/users/{account.id}/roles/second-admin")

    assert taken.status_code == 204
    assert (await admin.call("GET", "/users", token=token)).status_code == 403


async def test_a_role_that_loses_the_permission_lets_its_holders_in_no_more(
    provider: Provider,
) -> None:
    admin = await open_admin(provider)
    await provider.create_role("second-admin", "authsvc:admin")
    client = await provider.create_client(roles=["second-admin"])
    token = await client_token(provider, client)

    await admin.call("DELETE", "/roles/second-admin/permissions/authsvc:admin")

    assert (await admin.call("GET", "/users", token=token)).status_code == 403


async def test_a_revoked_token_is_refused(provider: Provider) -> None:
    admin = await open_admin(provider)
    client = await provider.create_client(roles=["admin"])
    token = await client_token(provider, client)
    assert (await admin.call("GET", "/users", token=token)).status_code == 200

    await provider.revoke(client, token)

    response = await admin.call("GET", "/users", token=token)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"


async def test_an_administrator_who_is_disabled_or_deleted_is_out_at_once(
    provider: Provider,
) -> None:
    admin = await open_admin(provider)
    disabled = await provider.create_user(roles=["admin"])
    deleted = await provider.create_user(roles=["admin"])
    tokens = [await person_token(provider, disabled), await person_token(provider, deleted)]

    await admin.call("PATCH", f"/users/{disabled.id}", json={"disabled": True})
    await admin.call("DELETE", f"/users/{deleted.id}")

    for token in tokens:
        assert (await admin.call("GET", "/users", token=token)).status_code == 401


async def test_a_client_that_is_deleted_is_out_at_once(provider: Provider) -> None:
    admin = await open_admin(provider)
    client = await provider.create_client(roles=["admin"])
    token = await client_token(provider, client)

    await admin.call("DELETE", f"/clients/{client.client_id}")

    assert (await admin.call("GET", "/users", token=token)).status_code == 401


async def test_a_token_of_a_revoked_key_is_refused(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    async with sqlite_provider.resources.database.transaction() as tx:
        keyring = await sqlite_provider.resources.keyring.get()
        kid = keyring.active("ES256").kid
        await sqlite_provider.resources.key_rotation.revoke(tx, kid, ORIGIN)

    assert (await admin.call("GET", "/users")).status_code == 401


HEADERS: tuple[tuple[list[str], int], ...] = (
    ([], 401),
    (["Basic dGhlLWFkbWluOnNlY3JldA=="], 401),
    (["Bearer"], 400),
    (["Bearer  "], 400),
    (["Bearer a b"], 400),
    (["Bearer a,b"], 400),
    (["Bearer not-a-token"], 401),
    (["Bearer {token}", "Bearer {token}"], 400),
    (["bEaReR {token}"], 200),
)


async def test_the_token_comes_in_one_well_formed_header(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    for headers, status in HEADERS:
        sent = [("Authorization", header.format(token=admin.token)) for header in headers]

        response = await sqlite_provider.http.get(f"{PREFIX}/users", headers=sent)

        assert response.status_code == status, headers


async def test_a_token_in_the_query_or_the_body_is_not_looked_at(
    sqlite_provider: Provider,
) -> None:
    admin = await open_admin(sqlite_provider)
    token = {"access_token": admin.token}

    in_query = await sqlite_provider.http.get(f"{PREFIX}/users", params=token)
    in_body = await sqlite_provider.http.post(f"{PREFIX}/users", data=token)
    in_both = await admin.call("GET", "/users", params=token)

    assert (in_query.status_code, in_body.status_code, in_both.status_code) == (401, 401, 400)


async def test_what_is_not_there_is_404_and_another_method_405(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)

    wrong_method = await admin.call("PATCH", "/roles/admin")
    assert wrong_method.status_code == 405
    assert set(wrong_method.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
    for path in ("/", "/nothing", "/users/", "/users//roles", "/audit/events/1"):
        response = await admin.call("GET", path)
        assert response.status_code == 404, path
        assert response.headers["content-type"] == "application/json"


async def test_an_identifier_that_can_be_none_is_404(provider: Provider) -> None:
    admin = await open_admin(provider)
    hostile = (
        "1", "%00", "%00a", "%2E%2E", "%F0%9F%92%A9", "%ff", "%zz", "a%2Fb", "'%3B--",
        "x" * 5000, "00000000-0000-0000-0000-000000000000", "me@example.com", "the-admin%00",
    )  # fmt: skip
    for name in hostile:
        for path in ("users", "roles", "clients", "keys", "sessions"):
            response = await admin.call("GET", f"/{path}/{name}")
            assert response.status_code == 404, (path, name, response.text)
        for path in (f"/users/{name}/password", f"/roles/{name}/permissions/{name}"):
            response = await admin.call("PUT", path, json={"password": "long enough now"})
            assert response.status_code in (400, 404), (path, response.text)
