"""Users over the admin API, on every backend."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from authsvc.web.admin import users
from tests.provider import Provider
from tests.web.admin import Admin, open_admin

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
async def admin(provider: Provider) -> Admin:
    return await open_admin(provider)


async def test_a_user_is_created_shown_changed_and_deleted(admin: Admin) -> None:
    created = await admin.call(
        "POST",
        "/users",
        json={
            "username": "Ada",
            "email": "ada@example.com",
            "email_verified": True,
            "password": "a fine password",
            "claims": {"name": "Ada L.", "address": {"formatted": "A\nB"}, "gone": None},
        },
    )
    assert created.status_code == 201
    user = created.json()
    path = f"/users/{user['id']}"
    assert created.headers["location"] == f"/admin/v1{path}"
    assert user["claims"] == {"name": "Ada L.", "address": {"formatted": "A\nB"}}
    assert user["email_verified"] is True
    assert user["password_set"] is True
    assert user["disabled"] is False
    assert await admin.get(path) == user
    assert await admin.get("/users", login="ADA@example.com") == {
        "items": [user],
        "next_cursor": None,
    }

    changed = await admin.call(
        "PATCH", path, json={"claims": {"name": None, "nickname": "A"}, "disabled": True}
    )
    assert changed.status_code == 200
    assert changed.json()["claims"] == {"address": {"formatted": "A\nB"}, "nickname": "A"}
    assert changed.json()["disabled"] is True
    assert await admin.get(path) == changed.json()
    assert (await admin.call("PATCH", path, json={"disabled": False})).json()["disabled"] is False

    assert (await admin.call("DELETE", path)).status_code == 204
    assert (await admin.call("GET", path)).status_code == 404
    assert (await admin.call("DELETE", path)).status_code == 404


async def test_a_new_email_is_not_verified_because_the_old_one_was(admin: Admin) -> None:
    user = await admin.create_user("ada", email="a@example.com", email_verified=True)
    path = f"/users/{user['id']}"

    same = await admin.call("PATCH", path, json={"email": "a@example.com"})
    other = await admin.call("PATCH", path, json={"email": "b@example.com"})
    none = await admin.call("PATCH", path, json={"email": None})

    assert same.json()["email_verified"] is True
    assert other.json()["email_verified"] is False
    assert (none.json()["email"], none.json()["email_verified"]) == (None, False)
    refused = await admin.call("PATCH", path, json={"email_verified": True})
    assert refused.status_code == 400


async def test_a_name_or_address_that_is_taken_is_a_conflict(admin: Admin) -> None:
    await admin.create_user("ada", email="a@example.com")
    other = await admin.create_user("bob")

    for members in ({"username": "ADA"}, {"username": "eve", "email": "A@example.com"}):
        assert (await admin.call("POST", "/users", json=members)).status_code == 409
    change = {"email": "a@example.com"}
    response = await admin.call("PATCH", f"/users/{other['id']}", json=change)
    assert response.status_code == 409
    assert response.json()["error"] == "conflict"


async def test_changes_of_different_claims_at_once_are_both_kept(admin: Admin) -> None:
    path = f"/users/{(await admin.create_user('ada'))['id']}"
    names = [f"claim{number}" for number in range(12)]

    responses = await asyncio.gather(
        *(admin.call("PATCH", path, json={"claims": {name: 1}}) for name in names)
    )

    assert [response.status_code for response in responses] == [200] * len(names)
    assert (await admin.get(path))["claims"] == dict.fromkeys(names, 1)


async def test_claims_of_the_protocol_wrong_ones_and_too_many_are_refused(admin: Admin) -> None:
    path = f"/users/{(await admin.create_user('ada'))['id']}"
    many = {f"claim{number}": 1 for number in range(101)}

    for claims in ({"sub": "root"}, {"roles": ["admin"]}, {"locale": 5}, many):
        response = await admin.call("PATCH", path, json={"claims": claims})
        assert response.status_code == 400, claims
    assert (await admin.get(path))["claims"] == {}


async def test_a_new_password_counts_and_ends_what_the_old_one_opened(
    admin: Admin, provider: Provider
) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    tokens = await provider.sign_in(client, account)

    response = await admin.call(
        "PUT", f"/users/{account.id}/password", json={"password": "another fine password"}
    )

    assert response.status_code == 204
    assert response.content == b""
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    await provider.sign_in(client, replace(account, password="another fine password"))


async def test_a_password_that_is_not_acceptable_is_refused(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    user = await admin.create_user("person-x")
    for password in ("short", "password1", "person-x", "with\ttabulator", 12345678, ["a"]):
        created = await admin.call(
            "POST", "/users", json={"username": "person-x", "password": password}
        )
        changed = await admin.call(
            "PUT", f"/users/{user['id']}/password", json={"password": password}
        )

        assert (created.status_code, changed.status_code) == (400, 400), password
    assert (await admin.get(f"/users/{user['id']}"))["password_set"] is False


async def test_no_transaction_is_open_while_a_password_is_hashed(
    admin: Admin, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await admin.create_user("ada")
    pool: Any = provider.resources.database.engine.pool
    seen = []
    hash_new_password = provider.resources.people.hash_new_password

    async def watched(password: str, *, names: tuple[str | None, ...]) -> str:
        seen.append(pool.checkedout())
        return await hash_new_password(password, names=names)

    monkeypatch.setattr(provider.resources.people, "hash_new_password", watched)
    await admin.create_user("bob", password="a fine password")
    await admin.call("PUT", f"/users/{user['id']}/password", json={"password": "a fine password"})

    assert seen == [0, 0]


async def test_revoking_sessions_ends_all_a_person_is_signed_in_to(
    admin: Admin, provider: Provider
) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    tokens = [await provider.sign_in(client, account) for _ in range(2)]

    response = await admin.call("POST", f"/users/{account.id}/revoke-sessions")

    assert response.json() == {"sessions": 2}
    for issued in tokens:
        assert (await provider.userinfo(issued["access_token"])).status_code == 401
        refreshed = await provider.refresh(client, issued["refresh_token"])
        assert refreshed.status_code == 400
    again = await admin.call("POST", f"/users/{account.id}/revoke-sessions", json={})
    assert again.json() == {"sessions": 0}


async def test_roles_are_given_and_taken(admin: Admin, provider: Provider) -> None:
    await provider.create_role("shop/orders:read", "orders:read")
    path = f"/users/{(await admin.create_user('ada'))['id']}/roles"
    one = f"{path}/shop%2Forders%3Aread"
    assert (await admin.get(path))["items"] == []
    assert (await admin.call("GET", one)).status_code == 404

    assert [(await admin.call("PUT", one)).status_code for _ in range(2)] == [204, 204]
    assert (await admin.get(path))["items"] == [{"name": "shop/orders:read"}]
    assert await admin.get(one) == {"name": "shop/orders:read"}

    assert [(await admin.call("DELETE", one)).status_code for _ in range(2)] == [204, 204]
    assert (await admin.get(path))["items"] == []
    assert (await admin.call("PUT", f"{path}/nothing")).status_code == 404
    assert (await admin.call("PUT", f"/users/{NOBODY}/roles/admin")).status_code == 404
    assert (await admin.call("GET", f"/users/{NOBODY}/roles")).status_code == 404


async def test_every_action_on_nobody_is_404(admin: Admin) -> None:
    for operation in users.OPERATIONS:
        if "{user_id}" not in operation.path:
            continue
        path = operation.path.format(user_id=NOBODY, role="admin")
        body = {"password": "a fine password"} if path.endswith("password") else {}
        response = await admin.call(operation.method, path, json=body)
        assert response.status_code == 404, (operation.method, path)


async def test_pages_neither_repeat_nor_lose_a_user_while_others_come_and_go(
    admin: Admin,
) -> None:
    made = [(await admin.create_user(f"user{number}"))["id"] for number in range(7)]
    first = await admin.get("/users", limit="3")
    await admin.call("DELETE", f"/users/{made[2]}")
    await admin.call("DELETE", f"/users/{made[3]}")
    late = (await admin.create_user("late"))["id"]

    rest = await admin.get("/users", limit="200", cursor=first["next_cursor"])

    assert [user["id"] for user in first["items"]] == made[:3]
    assert [user["id"] for user in rest["items"]] == [*made[4:], late]
    assert rest["next_cursor"] is None
    assert [len(page) for page in await admin.pages("/users", 2)] == [2, 2, 2]


async def test_no_answer_holds_a_password_or_its_hash(admin: Admin) -> None:
    response = await admin.call(
        "POST", "/users", json={"username": "ada", "password": "a fine password"}
    )

    assert "fine password" not in response.text
    assert "argon2" not in response.text
    assert "argon2" not in (await admin.call("GET", "/users")).text
