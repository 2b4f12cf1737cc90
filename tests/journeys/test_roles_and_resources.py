"""Whole stories of what a token may be used for: roles, permissions and resources."""

from typing import Any

import pytest

from tests.answers import approve, check_error, log_in
from tests.provider import ORIGIN, Provider, claims_of

ORDERS, MAILS, NOBODYS = (
    "https://orders.example",
    "https://mails.example/api",
    "https://nobody.example",
)
RESOURCES = {ORDERS: frozenset({"orders"}), MAILS: frozenset({"mails", "orders"})}


@pytest.fixture
async def provider_of_resources(sqlite_backend: Any, open_providers: Any) -> Provider:
    """A provider that knows two resource servers."""
    running: Provider = await open_providers(sqlite_backend, resources=RESOURCES)
    return running


async def create_roles(provider: Provider) -> None:
    """Create roles that inherit from each other."""
    await provider.create_role("reader", "orders:read", "mails:read")
    await provider.create_role("clerk", "orders:write", inherits=["reader"])
    await provider.create_role("auditor", "audit:read")
    await provider.create_role("chief", inherits=["clerk", "auditor"])


async def test_roles_and_permissions_are_inherited(provider: Provider) -> None:
    await create_roles(provider)
    client = await provider.create_client(roles=["clerk"])
    account = await provider.create_user(roles=["chief"])
    person = await provider.sign_in(client, account)
    own = (await provider.token(client, grant_type="client_credentials")).json()
    claims = claims_of(person["access_token"])
    assert claims["roles"] == ["auditor", "chief", "clerk", "reader"]
    assert claims["permissions"] == ["audit:read", "mails:read", "orders:read", "orders:write"]
    claims = claims_of(own["access_token"])
    assert claims["roles"] == ["clerk", "reader"]
    assert claims["permissions"] == ["mails:read", "orders:read", "orders:write"]


async def test_a_role_taken_away_is_gone_at_once_where_a_token_is_introspected(
    provider: Provider,
) -> None:
    await create_roles(provider)
    client = await provider.create_client(roles=["reader"])
    account = await provider.create_user(roles=["clerk", "auditor"])
    person = await provider.sign_in(client, account)
    own = (await provider.token(client, grant_type="client_credentials")).json()
    administration = provider.resources.role_administration
    async with provider.resources.database.transaction() as tx:
        await administration.unassign(tx, "clerk", "user", account.id, ORIGIN)
        await administration.unassign(tx, "reader", "client", client.client_id, ORIGIN)
    answer = await provider.introspect(client, person["access_token"])
    assert answer["active"] is True
    assert (answer["roles"], answer["permissions"]) == (["auditor"], ["audit:read"])
    answer = await provider.introspect(client, own["access_token"])
    assert (answer["roles"], answer["permissions"]) == ([], [])
    refreshed = (await provider.refresh(client, person["refresh_token"])).json()
    assert claims_of(refreshed["access_token"])["permissions"] == ["audit:read"]


async def test_a_permission_denied_to_a_role_is_gone_at_once(provider: Provider) -> None:
    await create_roles(provider)
    client, account = await provider.create_client(), await provider.create_user(roles=["clerk"])
    tokens = await provider.sign_in(client, account)
    async with provider.resources.database.transaction() as tx:
        await provider.resources.role_administration.deny(tx, "reader", "mails:read", ORIGIN)
    answer = await provider.introspect(client, tokens["access_token"])
    assert answer["permissions"] == ["orders:read", "orders:write"]
    async with provider.resources.database.transaction() as tx:
        await provider.resources.role_administration.delete(tx, "reader", ORIGIN)
    answer = await provider.introspect(client, tokens["access_token"])
    assert (answer["roles"], answer["permissions"]) == (["clerk"], ["orders:write"])


async def test_a_role_given_later_shows_in_the_next_token_alone(
    sqlite_provider: Provider,
) -> None:
    await create_roles(sqlite_provider)
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.role_administration.assign(
            tx, "auditor", "user", account.id, ORIGIN
        )
    answer = await sqlite_provider.introspect(client, tokens["access_token"])
    assert answer["permissions"] == []
    refreshed = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    assert claims_of(refreshed["access_token"])["permissions"] == ["audit:read"]


async def test_a_scope_that_names_permissions_narrows_to_them(
    sqlite_provider: Provider,
) -> None:
    await create_roles(sqlite_provider)
    account = await sqlite_provider.create_user(roles=["chief"])
    client = await sqlite_provider.create_client(scope="openid orders:read audit:write")
    tokens = await sqlite_provider.sign_in(client, account, scope="openid orders:read")
    assert claims_of(tokens["access_token"])["permissions"] == ["orders:read"]
    nothing = await sqlite_provider.create_user(roles=["auditor"])
    tokens = await sqlite_provider.sign_in(client, nothing, scope="openid orders:read")
    assert claims_of(tokens["access_token"])["permissions"] == []


@pytest.mark.parametrize(
    ("resource", "audience", "permissions"),
    [
        (ORDERS, ORDERS, ["orders:read", "orders:write"]),
        (MAILS, MAILS, ["mails:read", "orders:read", "orders:write"]),
        ([ORDERS, MAILS], [ORDERS, MAILS], ["mails:read", "orders:read", "orders:write"]),
    ],
)
async def test_a_resource_narrows_audience_and_permissions(
    provider_of_resources: Provider,
    resource: str | list[str],
    audience: str | list[str],
    permissions: list[str],
) -> None:
    provider = provider_of_resources
    await create_roles(provider)
    client = await provider.create_client(roles=["chief"], resources=[ORDERS, MAILS])
    response = await provider.token(client, grant_type="client_credentials", resource=resource)
    claims = claims_of(response.json()["access_token"])
    assert (claims["aud"], claims["permissions"]) == (audience, permissions)


async def test_a_person_grants_resources_and_the_client_narrows_them(
    provider_of_resources: Provider,
) -> None:
    provider = provider_of_resources
    await create_roles(provider)
    client = await provider.create_client(resources=[ORDERS, MAILS])
    account, browser = await provider.create_user(roles=["chief"]), provider.browser()
    parameters = provider.authorization_parameters(client, scope="offline_access")
    query: Any = [*parameters.items(), ("resource", ORDERS), ("resource", MAILS)]
    page = await log_in(browser, await browser.get("/authorize", query), account)
    assert ORDERS in page.text
    assert MAILS in page.text
    await approve(browser, page)
    assert browser.left_for is not None
    code = provider.answer_in(browser.left_for)["code"]

    tokens = (await provider.redeem(client, code, resource=ORDERS)).json()
    assert claims_of(tokens["access_token"])["aud"] == ORDERS
    refreshed = (await provider.refresh(client, tokens["refresh_token"], resource=MAILS)).json()
    assert claims_of(refreshed["access_token"])["aud"] == MAILS
    everything = (await provider.refresh(client, refreshed["refresh_token"])).json()
    assert claims_of(everything["access_token"])["aud"] == [ORDERS, MAILS]
    check_error(
        await provider.refresh(client, everything["refresh_token"], resource=NOBODYS),
        400,
        "invalid_target",
    )
    assert (await provider.refresh(client, everything["refresh_token"])).status_code == 200


async def test_what_was_not_granted_is_not_had_at_the_token_endpoint(
    provider_of_resources: Provider,
) -> None:
    provider = provider_of_resources
    client = await provider.create_client(resources=[ORDERS, MAILS])
    account = await provider.create_user()
    for granted in (None, ORDERS):
        answer = await provider.authorize(provider.browser(), client, account, resource=granted)
        response = await provider.redeem(client, answer["code"], resource=MAILS)
        check_error(response, 400, "invalid_target")


async def test_with_openid_a_token_for_a_resource_is_good_for_userinfo_too(
    provider_of_resources: Provider,
) -> None:
    provider = provider_of_resources
    client = await provider.create_client(resources=[ORDERS])
    tokens = await provider.sign_in(client, await provider.create_user(), resource=ORDERS)
    claims = claims_of(tokens["access_token"])
    assert claims["aud"] == [ORDERS, "http://127.0.0.1:8000"]
    assert (await provider.userinfo(tokens["access_token"])).status_code == 200


async def test_a_resource_that_is_only_new_to_a_consent_is_asked_for(
    provider_of_resources: Provider,
) -> None:
    provider = provider_of_resources
    client = await provider.create_client(resources=[ORDERS, MAILS])
    account, browser = await provider.create_user(), provider.browser()
    await provider.sign_in(client, account, browser, resource=ORDERS)
    for resource, asked in ((ORDERS, False), (MAILS, True)):
        parameters = provider.authorization_parameters(client, resource=resource)
        page = await browser.get("/authorize", parameters)
        assert page.has("#consent-approve") is asked


@pytest.mark.parametrize(
    "resource",
    [NOBODYS, MAILS, "orders", f"{ORDERS}#part", f"{ORDERS}/", "https://", ORDERS.upper(), "x:"],
)
async def test_a_resource_that_is_not_registered_is_an_invalid_target(
    provider_of_resources: Provider, resource: str
) -> None:
    provider = provider_of_resources
    client, browser = await provider.create_client(resources=[ORDERS]), provider.browser()
    response = await provider.token(client, grant_type="client_credentials", resource=resource)
    check_error(response, 400, "invalid_target")
    parameters = provider.authorization_parameters(client, resource=resource)
    await browser.get("/authorize", parameters)
    assert browser.left_for is not None
    assert provider.answer_in(browser.left_for)["error"] == "invalid_target"
