"""Roles over the admin API, on every backend."""

from urllib.parse import quote

import pytest

from tests.provider import Provider
from tests.web.admin import Admin, open_admin


@pytest.fixture
async def admin(provider: Provider) -> Admin:
    return await open_admin(provider)


async def test_a_role_is_created_shown_changed_and_deleted(admin: Admin) -> None:
    await admin.call("POST", "/roles", json={"name": "base", "permissions": ["a:read"]})

    created = await admin.call(
        "POST",
        "/roles",
        json={"name": "team/Ops.1:x", "permissions": ["b:read", "b:read"], "inherits": ["base"]},
    )

    assert created.status_code == 201
    role = {"name": "team/Ops.1:x", "permissions": ["b:read"], "inherits": ["base"]}
    assert created.json() == role
    path = "/roles/team%2FOps.1%3Ax"
    assert created.headers["location"] == f"/admin/v1{path}"
    assert await admin.get(path) == role
    assert (await admin.call("GET", "/roles/team/Ops.1:x")).status_code == 404
    assert (await admin.call("DELETE", path)).status_code == 204
    assert (await admin.call("GET", path)).status_code == 404
    assert (await admin.call("DELETE", path)).status_code == 404


PERMISSIONS = ("orders:read", "https://api.example/a/b?c=d#e", "100%", "%2F", "a/permissions/b")


async def test_a_permission_may_hold_any_visible_character(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    for permission in PERMISSIONS:
        path = f"/roles/admin/permissions/{quote(permission, safe='')}"

        allowed = await admin.call("PUT", path)
        again = await admin.call("PUT", path)

        assert allowed.status_code == again.status_code == 200
        assert sorted(allowed.json()["permissions"]) == sorted(["authsvc:admin", permission])
        assert await admin.get("/roles/admin") == again.json()
        for _ in range(2):
            denied = await admin.call("DELETE", path)
            assert denied.json()["permissions"] == ["authsvc:admin"]


async def test_what_is_no_name_or_permission_is_refused(admin: Admin) -> None:
    for members in (
        {"name": ""},
        {"name": "a b"},
        {"name": "/a"},
        {"name": "x" * 101},
        {"name": "a", "permissions": ["a b"]},
        {"name": "a", "permissions": ['"']},
        {"name": "a", "permissions": ["a", 5]},
        {"name": "a", "permissions": "a"},
        {"name": 5},
        {},
    ):
        assert (await admin.call("POST", "/roles", json=members)).status_code == 400, members
    assert (await admin.call("PUT", "/roles/admin/permissions/a%20b")).status_code == 400
    assert [role["name"] for role in (await admin.get("/roles"))["items"]] == ["admin"]


async def test_a_name_that_is_taken_is_a_conflict_and_a_missing_parent_404(admin: Admin) -> None:
    assert (await admin.call("POST", "/roles", json={"name": "admin"})).status_code == 409
    orphan = await admin.call("POST", "/roles", json={"name": "a", "inherits": ["nothing"]})
    assert orphan.status_code == 404
    assert (await admin.call("PUT", "/roles/nothing/permissions/a")).status_code == 404
    assert (await admin.call("DELETE", "/roles/nothing/permissions/a")).status_code == 404


async def test_pages_list_every_role_once_in_one_order(admin: Admin) -> None:
    names = ["B", "a", "Z", "b", "a/b", "a:b", "10", "9", "aB", "admin"]
    for name in names:
        if name != "admin":
            await admin.call("POST", "/roles", json={"name": name})

    pages = await admin.pages("/roles", 3)

    assert [role["name"] for page in pages for role in page] == sorted(names)
    assert [len(page) for page in pages] == [3, 3, 3, 1]
