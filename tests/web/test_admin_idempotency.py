"""A creation with an Idempotency-Key happens once, on every backend."""

import asyncio
from typing import Any

import httpx
import pytest

from authsvc.web.admin.routes import OPERATIONS
from tests.provider import SECRET, Provider, TestClient
from tests.web.admin import Admin, client_token, open_admin

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
MACHINE = {"grant_types": ["client_credentials"]}


@pytest.fixture
async def admin(provider: Provider) -> Admin:
    return await open_admin(provider)


def same(responses: list[httpx.Response]) -> bool:
    return len({(r.status_code, r.content, r.headers.get("location")) for r in responses}) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", {"username": "ada", "password": "a fine password"}),
        ("/roles", {"name": "reader"}),
        ("/clients", MACHINE),
        ("/keys/generate", {"alg": "EdDSA"}),
        ("/keys/rotate", None),
        ("/clients/machine/rotate-secret", {"overlap_seconds": 5}),
    ],
)
async def test_a_repeated_creation_gets_the_same_answer_and_creates_nothing(
    admin: Admin, provider: Provider, path: str, body: Any
) -> None:
    await provider.create_client(client_id="machine")
    first = await admin.call("POST", path, json=body, headers=KEY)
    events = len(await provider.audit_events())

    repeated = await admin.call("POST", path, json=body, headers=KEY)

    assert first.status_code in (200, 201), first.text
    assert same([first, repeated])
    assert repeated.headers["content-type"] == "application/json"
    assert len(await provider.audit_events()) == events


def test_every_creation_honours_the_key() -> None:
    creating = {o.path for o in OPERATIONS if o.creates}

    assert creating >= {o.path for o in OPERATIONS if o.status == 201}
    assert creating >= {"/keys/rotate", "/clients/{client_id}/rotate-secret"}


async def test_of_twenty_at_once_one_creates_and_all_get_its_answer(
    admin: Admin, provider: Provider
) -> None:
    responses = await asyncio.gather(
        *(admin.call("POST", "/users", json={"username": "ada"}, headers=KEY) for _ in range(20))
    )

    assert {response.status_code for response in responses} == {201}
    assert same(responses)
    assert len((await admin.get("/users"))["items"]) == 1
    assert len(await provider.audit_events("user.created")) == 1


async def test_of_twenty_at_once_all_get_the_same_client_secret(
    admin: Admin, provider: Provider
) -> None:
    responses = await asyncio.gather(
        *(admin.call("POST", "/clients", json=MACHINE, headers=KEY) for _ in range(20))
    )

    assert same(responses)
    registered = responses[0].json()
    client = TestClient(registered["client_id"], registered["client_secret"], {})
    assert await client_token(provider, client)
    assert len(await provider.audit_events("client.created")) == 2


async def test_another_request_under_the_same_key_is_a_conflict(admin: Admin) -> None:
    await admin.call("POST", "/users", json={"username": "ada"}, headers=KEY)

    for path, body in (("/users", {"username": "bob"}), ("/roles", {"name": "ada"})):
        response = await admin.call("POST", path, json=body, headers=KEY)
        assert response.status_code == 409
        assert response.json()["error"] == "conflict"
    assert len((await admin.get("/users"))["items"]) == 1


async def test_a_key_belongs_to_who_sent_it(admin: Admin, provider: Provider) -> None:
    other = await client_token(provider, await provider.create_client(roles=["admin"]))

    first = await admin.call("POST", "/clients", json=MACHINE, headers=KEY)
    second = await admin.call("POST", "/clients", json=MACHINE, headers=KEY, token=other)

    assert first.json()["client_id"] != second.json()["client_id"]
    assert first.json()["client_secret"] not in second.text


async def test_a_creation_that_failed_is_not_remembered(admin: Admin) -> None:
    user = await admin.create_user("ada")

    refused = await admin.call("POST", "/users", json={"username": "ada"}, headers=KEY)
    await admin.call("DELETE", f"/users/{user['id']}")
    created = await admin.call("POST", "/users", json={"username": "ada"}, headers=KEY)

    assert (refused.status_code, created.status_code) == (409, 201)


async def test_a_key_is_forgotten_after_its_time(admin: Admin, provider: Provider) -> None:
    first = await admin.call("POST", "/clients", json=MACHINE, headers=KEY)
    provider.clock.move(days=1, seconds=1)
    token = await client_token(provider, TestClient("the-admin", SECRET, {}))

    second = await admin.call("POST", "/clients", json=MACHINE, headers=KEY, token=token)

    assert second.status_code == 201
    assert second.json()["client_id"] != first.json()["client_id"]


async def test_a_key_that_is_none_is_refused(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    keys: tuple[Any, ...] = ("", " ", "a b", "x" * 256, "\u00e9".encode(), b"a\x7f")
    for key in keys:
        response = await admin.call(
            "POST", "/users", json={"username": "ada"}, headers={"Idempotency-Key": key}
        )

        assert response.status_code == 400, key
    assert (await admin.get("/users"))["items"] == []


async def test_two_keys_are_refused_and_the_longest_one_is_taken(admin: Admin) -> None:
    headers = [("Authorization", f"Bearer {admin.token}")]
    two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    refused = await admin.provider.http.post(
        "/admin/v1/users", json={"username": "ada"}, headers=[*headers, *two]
    )
    longest = {"Idempotency-Key": "x" * 255}
    taken = await admin.call("POST", "/users", json={"username": "ada"}, headers=longest)

    assert (refused.status_code, taken.status_code) == (400, 201)


async def test_the_stored_answer_and_key_are_not_readable_in_the_database(
    admin: Admin, provider: Provider
) -> None:
    response = await admin.call("POST", "/clients", json=MACHINE, headers=KEY)

    async with provider.resources.database.reading() as tx:
        connection = await tx.connection()
        rows = (await connection.exec_driver_sql("SELECT * FROM idempotency_keys")).all()

    stored = b"".join(bytes(cell) for cell in rows[0] if isinstance(cell, bytes | memoryview))
    assert len(stored) > 64
    assert response.json()["client_secret"].encode() not in stored
    assert response.json()["client_id"].encode() not in stored
    assert KEY["Idempotency-Key"].encode() not in stored


async def test_an_answer_that_does_not_open_is_a_conflict_and_creates_nothing(
    admin: Admin, provider: Provider
) -> None:
    other = {"Idempotency-Key": "another"}
    await admin.call("POST", "/clients", json=MACHINE, headers=KEY)
    await admin.call("POST", "/clients", json=MACHINE, headers=other)
    async with provider.resources.database.transaction() as tx:
        connection = await tx.connection()
        # Each row gets the answer of the other: sealed by us, but not for it.
        await connection.exec_driver_sql(
            "UPDATE idempotency_keys SET response_sealed = (SELECT o.response_sealed "
            "FROM idempotency_keys o WHERE o.key_hash <> idempotency_keys.key_hash)"
        )

    response = await admin.call("POST", "/clients", json=MACHINE, headers=KEY)

    assert response.status_code == 409
    assert len(await provider.audit_events("client.created")) == 3
