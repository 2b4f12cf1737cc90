"""What lets a person govern this service goes to the apps they allow it, and to no other."""

import httpx
import pytest
from sqlalchemy import delete

from authsvc.storage.consents import find_consent
from authsvc.storage.schema import consents
from authsvc.web.admin.operations import PREFIX
from tests.answers import approve, check_error, log_in
from tests.browser import Browser, Page
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

ADMIN = "authsvc:admin"
MEANING = "Administer this sign-in service"
ORDERS = "https://orders.example"


@pytest.fixture
async def boss(sqlite_provider: Provider) -> Account:
    """A person who may administer this service, and delete orders."""
    await sqlite_provider.create_role("boss", ADMIN, "orders:delete")
    return await sqlite_provider.create_user(roles=["boss"])


async def _asked(
    provider: Provider, client: TestClient, account: Account, **parameters: str
) -> tuple[Browser, Page]:
    """Return a browser in which the person is asked for consent."""
    browser = provider.browser()
    parameters = provider.authorization_parameters(client, **parameters)
    page = await log_in(browser, await browser.get("/authorize", parameters), account)
    assert page.has("#consent-approve")
    return browser, page


async def _silently(
    provider: Provider, browser: Browser, client: TestClient, **parameters: str
) -> dict[str, str]:
    """Return what the client is answered to ``prompt=none``."""
    wanted = provider.authorization_parameters(client, prompt="none", **parameters)
    await browser.get("/authorize", wanted)
    assert browser.left_for is not None
    return provider.answer_in(browser.left_for)


async def _allowed(provider: Provider, account: Account, client: TestClient) -> frozenset[str]:
    async with provider.resources.database.reading() as tx:
        found = await find_consent(tx, account.id, client.client_id)
    return found[0] if found else frozenset()


async def _administer(provider: Provider, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return await provider.http.get(f"{PREFIX}/users", headers=headers)


async def _promote(provider: Provider, account: Account) -> None:
    """Make the person an administrator."""
    await provider.create_role("boss", ADMIN, "orders:delete")
    roles = provider.resources.role_administration
    async with provider.resources.database.transaction() as tx:
        await roles.assign(tx, "boss", "user", account.id, ORIGIN)


def _permissions(token: str) -> list[str]:
    permissions: list[str] = claims_of(token)["permissions"]
    return permissions


async def test_the_person_is_told_and_what_they_allow_is_kept_and_carried(
    sqlite_provider: Provider, boss: Account
) -> None:
    client = await sqlite_provider.create_client(scope="openid")
    browser, page = await _asked(sqlite_provider, client, boss, scope="openid")
    assert ADMIN in page.text
    assert MEANING in page.text
    assert page.has("#governs-warning")
    assert page.text.index(ADMIN) < page.text.index("Know who you are")
    assert "orders:delete" not in page.text

    await approve(browser, page)

    assert await _allowed(sqlite_provider, boss, client) == {"openid", ADMIN}
    (event,) = await sqlite_provider.audit_events("consent.granted")
    assert ADMIN in str(event.details)
    assert browser.left_for is not None
    code = sqlite_provider.answer_in(browser.left_for)["code"]
    token = (await sqlite_provider.redeem(client, code)).json()["access_token"]
    assert _permissions(token) == [ADMIN, "orders:delete"]
    assert (await _administer(sqlite_provider, token)).status_code == 200


async def test_who_says_no_gives_nothing(sqlite_provider: Provider, boss: Account) -> None:
    client = await sqlite_provider.create_client(scope="openid")
    browser, page = await _asked(sqlite_provider, client, boss, scope="openid")

    await browser.submit(page, {}, button="#consent-deny")

    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "access_denied"
    assert await _allowed(sqlite_provider, boss, client) == frozenset()


async def test_who_governs_nothing_is_not_asked_about_it(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    _, page = await _asked(sqlite_provider, client, account)
    assert ADMIN not in page.text
    assert MEANING not in page.text


async def test_an_app_from_before_the_person_was_an_administrator_asks_again(
    sqlite_provider: Provider,
) -> None:
    provider = sqlite_provider
    client, account, browser = (
        await provider.create_client(),
        await provider.create_user(),
        provider.browser(),
    )
    await provider.sign_in(client, account, browser)
    assert "code" in await _silently(provider, browser, client)
    await _promote(provider, account)

    assert (await _silently(provider, browser, client))["error"] == "consent_required"
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    assert page.has("#consent-approve")
    assert MEANING in page.text
    await approve(browser, page)

    answer = await _silently(provider, browser, client)
    token = (await provider.redeem(client, answer["code"])).json()["access_token"]
    assert ADMIN in _permissions(token)


async def test_a_code_from_before_gives_a_token_without_power_over_this_service(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)
    await _promote(sqlite_provider, account)

    token = (await sqlite_provider.redeem(client, answer["code"])).json()["access_token"]

    assert _permissions(token) == ["orders:delete"]
    refused = await _administer(sqlite_provider, token)
    check_error(refused, 403, "insufficient_scope")
    assert (await sqlite_provider.introspect(client, token))["permissions"] == ["orders:delete"]


async def test_a_refresh_carries_what_the_person_allows_by_then(sqlite_provider: Provider) -> None:
    provider = sqlite_provider
    client, account, browser = (
        await provider.create_client(),
        await provider.create_user(),
        provider.browser(),
    )
    tokens = await provider.sign_in(client, account, browser)
    await _promote(provider, account)

    tokens = (await provider.refresh(client, tokens["refresh_token"])).json()
    assert _permissions(tokens["access_token"]) == ["orders:delete"]
    check_error(await _administer(provider, tokens["access_token"]), 403, "insufficient_scope")

    await provider.authorize(browser, client, account)
    tokens = (await provider.refresh(client, tokens["refresh_token"])).json()
    assert _permissions(tokens["access_token"]) == [ADMIN, "orders:delete"]

    async with provider.resources.database.transaction() as tx:
        await tx.execute(delete(consents))
    tokens = (await provider.refresh(client, tokens["refresh_token"])).json()
    assert _permissions(tokens["access_token"]) == ["orders:delete"]


async def test_what_one_app_is_allowed_another_is_not(
    sqlite_provider: Provider, boss: Account
) -> None:
    console, quiz = [await sqlite_provider.create_client() for _ in range(2)]
    browser = sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(console, boss, browser)
    assert ADMIN in _permissions(tokens["access_token"])

    assert (await _silently(sqlite_provider, browser, quiz))["error"] == "consent_required"
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(quiz))
    assert MEANING in page.text


async def test_a_client_that_holds_the_role_itself_needs_nobodys_consent(
    sqlite_provider: Provider, boss: Account
) -> None:
    client = await sqlite_provider.create_client(roles=["boss"])

    response = await sqlite_provider.token(client, grant_type="client_credentials")

    token = response.json()["access_token"]
    assert _permissions(token) == [ADMIN, "orders:delete"]
    assert (await _administer(sqlite_provider, token)).status_code == 200


@pytest.fixture
async def of_orders(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that declares a resource server."""
    provider: Provider = await open_providers(
        sqlite_backend, resources={ORDERS: frozenset({"orders"})}
    )
    return provider


async def test_a_resource_that_is_declared_but_not_registered_for_the_client_is_refused(
    of_orders: Provider,
) -> None:
    client, account = await of_orders.create_client(), await of_orders.create_user()
    browser = of_orders.browser()
    await of_orders.sign_in(client, account, browser)

    answer = await _silently(of_orders, browser, client, resource=ORDERS)
    assert answer["error"] == "invalid_target"
    response = await of_orders.token(client, grant_type="client_credentials", resource=ORDERS)
    check_error(response, 400, "invalid_target")


async def test_a_resource_is_part_of_what_the_person_allows(of_orders: Provider) -> None:
    client = await of_orders.create_client(resources=[ORDERS])
    account, browser = await of_orders.create_user(), of_orders.browser()
    await of_orders.sign_in(client, account, browser)
    refused = await _silently(of_orders, browser, client, resource=ORDERS)
    assert refused["error"] == "consent_required"

    parameters = of_orders.authorization_parameters(client, resource=ORDERS)
    page = await browser.get("/authorize", parameters)
    assert ORDERS in page.text
    await approve(browser, page)

    assert ORDERS in await _allowed(of_orders, account, client)
    answer = await _silently(of_orders, browser, client, resource=ORDERS)
    token = (await of_orders.redeem(client, answer["code"])).json()["access_token"]
    assert ORDERS in claims_of(token)["aud"]
