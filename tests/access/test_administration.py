"""Changing roles: what is accepted, what is refused, and when a change takes effect."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from authsvc.access.administration import RoleAdministration
from authsvc.access.role_graph import Role
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.storage.database import Transaction
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

Change = Callable[[RoleAdministration, Transaction], Awaitable[Any]]
PERMISSIONS = {"orders:read", "orders:write", "audit:read"}


async def change(provider: Provider, work: Change) -> Any:
    """Change roles in a transaction of its own."""
    async with provider.resources.database.transaction() as tx:
        return await work(provider.resources.role_administration, tx)


GOOD_NAMES = ["a", "Reader", "team/orders.read_only:1", "9lives", "x" * 100]
BAD_NAMES = ["", " ", "-a", "a b", "a\n", "a\x00", "é", "a" * 101, "a,b", 'a"b', "/a", "a\\b"]
GOOD_PERMISSIONS = ["a", "orders:read", "https://api.example/orders.read", "x" * 200, "!"]
BAD_PERMISSIONS = ["", "a b", 'a"b', "a\\b", "é", "a\n", "a\x00b", "x" * 201, "\x7f"]


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_a_role_has_a_plain_name(sqlite_provider: Provider, name: str) -> None:
    await sqlite_provider.create_role(name)

    role = await change(sqlite_provider, lambda roles, tx: roles.get(tx, name))
    assert role == Role(name, (), ())


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_another_name_is_refused(sqlite_provider: Provider, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await sqlite_provider.create_role(name)


@pytest.mark.parametrize("permission", GOOD_PERMISSIONS)
async def test_a_permission_is_a_word_that_could_be_a_scope(
    sqlite_provider: Provider, permission: str
) -> None:
    await sqlite_provider.create_role("role", permission)

    role = await change(sqlite_provider, lambda roles, tx: roles.get(tx, "role"))
    assert role.permissions == (permission,)


@pytest.mark.parametrize("permission", BAD_PERMISSIONS)
async def test_another_permission_is_refused_and_nothing_is_made(
    sqlite_provider: Provider, permission: str
) -> None:
    await sqlite_provider.create_role("role")

    with pytest.raises(InvalidRequest):
        await sqlite_provider.create_role("another", "orders:read", permission)
    with pytest.raises(InvalidRequest):
        await change(sqlite_provider, lambda roles, tx: roles.allow(tx, "role", permission, ORIGIN))

    roles = await change(sqlite_provider, lambda roles, tx: roles.list(tx))
    assert roles == [Role("role", (), ())]


async def test_a_name_is_taken_once(provider: Provider) -> None:
    await provider.create_role("role")

    with pytest.raises(Conflict):
        await provider.create_role("role")


NOT_FOUND: dict[str, Change] = {
    "get": lambda roles, tx: roles.get(tx, "gone"),
    "delete": lambda roles, tx: roles.delete(tx, "gone", ORIGIN),
    "allow": lambda roles, tx: roles.allow(tx, "gone", "a:b", ORIGIN),
    "deny": lambda roles, tx: roles.deny(tx, "gone", "a:b", ORIGIN),
    "inherit": lambda roles, tx: roles.inherit(tx, "gone", "role", ORIGIN),
    "inherit from": lambda roles, tx: roles.inherit(tx, "role", "gone", ORIGIN),
    "create": lambda roles, tx: roles.create(tx, "new", ORIGIN, inherits=["gone"]),
    "assign": lambda roles, tx: roles.assign(tx, "gone", "user", "person", ORIGIN),
    "assign to nobody": lambda roles, tx: roles.assign(tx, "role", "user", "nobody", ORIGIN),
    "assign to no client": lambda roles, tx: roles.assign(tx, "role", "client", "no", ORIGIN),
    "unassign": lambda roles, tx: roles.unassign(tx, "gone", "user", "person", ORIGIN),
}


@pytest.mark.parametrize("work", NOT_FOUND.values(), ids=NOT_FOUND.keys())
async def test_what_is_not_there_is_not_found_and_nothing_changes(
    sqlite_provider: Provider, work: Change
) -> None:
    await sqlite_provider.create_role("role")
    await sqlite_provider.create_user(username="person")

    with pytest.raises(NotFound):
        await change(sqlite_provider, work)

    roles = await change(sqlite_provider, lambda roles, tx: roles.list(tx))
    assert [role.name for role in roles] == ["role"]


async def test_a_role_never_inherits_from_itself_however_far_around(provider: Provider) -> None:
    names = [f"role-{number}" for number in range(6)]
    for number, name in enumerate(names):
        await provider.create_role(name, inherits=names[number - 1 : number])

    administration = provider.resources.role_administration
    for ancestor in names:
        with pytest.raises(Conflict):
            async with provider.resources.database.transaction() as tx:
                await administration.inherit(tx, names[0], ancestor, ORIGIN)
    # Two ways to one ancestor are no circle.
    await change(provider, lambda roles, tx: roles.inherit(tx, names[5], names[0], ORIGIN))
    role = await change(provider, lambda roles, tx: roles.get(tx, names[5]))
    assert role.inherits == (names[0], names[4])


async def test_every_change_can_be_repeated(provider: Provider) -> None:
    account, client = await provider.create_user(), await provider.create_client()
    await provider.create_role("parent")
    await provider.create_role("role")
    works: list[Change] = [
        lambda roles, tx: roles.allow(tx, "role", "a:b", ORIGIN),
        lambda roles, tx: roles.inherit(tx, "role", "parent", ORIGIN),
        lambda roles, tx: roles.assign(tx, "role", "user", account.id, ORIGIN),
        lambda roles, tx: roles.assign(tx, "role", "client", client.client_id, ORIGIN),
        lambda roles, tx: roles.unassign(tx, "role", "user", account.id, ORIGIN),
        lambda roles, tx: roles.unassign(tx, "role", "client", client.client_id, ORIGIN),
        lambda roles, tx: roles.deny(tx, "role", "a:b", ORIGIN),
    ]
    for work in works:
        first = await change(provider, work)
        assert first is not False
        events = len(await provider.audit_events())
        again = await change(provider, work)
        assert again is False or again == first
        # What changed nothing is no event.
        assert len(await provider.audit_events()) == events


async def _token(provider: Provider, client: TestClient, account: Account | None) -> str:
    if account is not None:
        return str((await provider.sign_in(client, account))["access_token"])
    response = await provider.token(client, grant_type="client_credentials")
    return str(response.json()["access_token"])


def _carried(token: str) -> tuple[list[str], set[str]]:
    claims = claims_of(token)
    return claims["roles"], set(claims["permissions"])


async def _holder(provider: Provider, kind: str) -> tuple[TestClient, Account | None]:
    """Make what holds a role that inherits from another."""
    await provider.create_role("parent", "orders:read")
    await provider.create_role("child", "orders:write", "audit:read", inherits=["parent"])
    if kind == "user":
        return await provider.create_client(), await provider.create_user(roles=["child"])
    return await provider.create_client(roles=["child"]), None


CHANGES: dict[str, tuple[Change, list[str], set[str]]] = {
    "a permission is denied": (
        lambda roles, tx: roles.deny(tx, "child", "orders:write", ORIGIN),
        ["child", "parent"],
        {"orders:read", "audit:read"},
    ),
    "a permission of the parent is denied": (
        lambda roles, tx: roles.deny(tx, "parent", "orders:read", ORIGIN),
        ["child", "parent"],
        {"orders:write", "audit:read"},
    ),
    "the parent is deleted": (
        lambda roles, tx: roles.delete(tx, "parent", ORIGIN),
        ["child"],
        {"orders:write", "audit:read"},
    ),
    "the role is deleted": (lambda roles, tx: roles.delete(tx, "child", ORIGIN), [], set()),
}


@pytest.mark.parametrize("kind", ["user", "client"])
@pytest.mark.parametrize(("work", "roles", "permissions"), CHANGES.values(), ids=CHANGES.keys())
async def test_what_is_taken_away_counts_no_more_where_a_token_is_introspected_and_in_the_next(
    sqlite_provider: Provider, kind: str, work: Change, roles: list[str], permissions: set[str]
) -> None:
    client, account = await _holder(sqlite_provider, kind)
    token = await _token(sqlite_provider, client, account)
    assert _carried(token) == (["child", "parent"], PERMISSIONS)

    await change(sqlite_provider, work)

    answer = await sqlite_provider.introspect(client, token)
    assert answer["active"] is True
    assert (answer["roles"], set(answer["permissions"])) == (roles, permissions)
    assert _carried(token) == (["child", "parent"], PERMISSIONS)
    assert _carried(await _token(sqlite_provider, client, account)) == (roles, permissions)


@pytest.mark.parametrize("kind", ["user", "client"])
async def test_unassigning_takes_effect_at_once_on_every_replica(
    backend: Backend, open_providers: OpenProvider, kind: str
) -> None:
    if backend.redis_url:
        providers = [await open_providers(backend)]
    else:
        providers = [await open_providers(backend) for _ in range(2)]
    client, account = await _holder(providers[0], kind)
    token = await _token(providers[0], client, account)
    holder = account.id if account else client.client_id
    for provider in providers:
        assert (await provider.introspect(client, token))["roles"] == ["child", "parent"]

    await change(
        providers[0],
        lambda roles, tx: roles.unassign(
            tx, "child", "user" if account else "client", holder, ORIGIN
        ),
    )

    for provider in providers:
        answer = await provider.introspect(client, token)
        assert (answer["active"], answer["roles"], answer["permissions"]) == (True, [], [])
        assert _carried(await _token(provider, client, account)) == ([], set())


async def test_what_is_given_later_is_not_in_a_token_from_before(
    sqlite_provider: Provider,
) -> None:
    client, account = await _holder(sqlite_provider, "user")
    token = await _token(sqlite_provider, client, account)

    await change(
        sqlite_provider, lambda roles, tx: roles.allow(tx, "child", "orders:delete", ORIGIN)
    )

    # Introspection narrows what the token carries; it never makes it worth more.
    assert set((await sqlite_provider.introspect(client, token))["permissions"]) == PERMISSIONS
    assert _carried(await _token(sqlite_provider, client, account))[1] == {
        *PERMISSIONS,
        "orders:delete",
    }


async def test_a_refreshed_token_carries_what_its_person_holds_by_then(
    sqlite_provider: Provider,
) -> None:
    client, account = await _holder(sqlite_provider, "user")
    assert account
    tokens = await sqlite_provider.sign_in(client, account)

    await change(
        sqlite_provider,
        lambda roles, tx: roles.unassign(tx, "child", "user", account.id, ORIGIN),
    )

    refreshed = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    assert _carried(refreshed["access_token"]) == ([], set())


async def test_a_token_for_a_declared_resource_carries_its_permissions_alone(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    declared = {"https://orders.example": ["orders"], "https://audit.example": ["audit"]}
    provider = await open_providers(sqlite_backend, resources=declared)
    _, account = await _holder(provider, "user")
    assert account
    client = await provider.create_client(resources=["https://orders.example"])

    tokens = await provider.sign_in(client, account, resource="https://orders.example")
    machine = await provider.token(
        client, grant_type="client_credentials", resource="https://nobody.example"
    )

    claims = claims_of(tokens["access_token"])
    assert "https://orders.example" in claims["aud"]
    assert set(claims["permissions"]) == {"orders:read", "orders:write"}
    assert machine.json()["error"] == "invalid_target"


async def test_deleting_a_role_says_how_many_held_it(sqlite_provider: Provider) -> None:
    await _holder(sqlite_provider, "user")
    await sqlite_provider.create_client(roles=["child", "parent"])

    await change(sqlite_provider, lambda roles, tx: roles.delete(tx, "child", ORIGIN))

    deleted = await sqlite_provider.audit_events("role.deleted")
    assert [(event.subject, event.details["holders"]) for event in deleted] == [("child", 2)]
