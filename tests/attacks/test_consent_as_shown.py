"""A consent is to what the page showed, and to no power that the token would not carry."""

from tests.browser import Browser, Page
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

ADMIN = "authsvc:admin"


async def _consent_page(
    provider: Provider, browser: Browser, client: TestClient, account: Account, scope: str
) -> Page:
    parameters = provider.authorization_parameters(client, scope=scope)
    page = await browser.get("/authorize", parameters)
    answers = {"username": account.username, "password": account.password}
    return await browser.submit(page, answers, button="#login-submit")


async def _make_administrator(provider: Provider, account: Account) -> None:
    await provider.create_role("operator", ADMIN)
    async with provider.resources.database.transaction() as tx:
        await provider.resources.role_administration.assign(
            tx, "operator", "user", account.id, ORIGIN
        )


async def test_who_became_administrator_while_the_page_was_open_is_asked_again(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    page = await _consent_page(sqlite_provider, browser, client, account, "openid")
    assert ADMIN not in page.text
    await _make_administrator(sqlite_provider, account)

    page = await browser.submit(page, {}, button="#consent-approve")

    assert browser.left_for is None
    assert ADMIN in page.text
    assert await sqlite_provider.audit_events("consent.granted") == []


async def test_an_administrator_is_not_asked_for_power_that_the_scope_keeps_out(
    sqlite_provider: Provider,
) -> None:
    await sqlite_provider.create_role("reader", "api:read")
    account = await sqlite_provider.create_user(roles=["reader"])
    await _make_administrator(sqlite_provider, account)
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()

    page = await _consent_page(sqlite_provider, browser, client, account, "openid api:read")
    assert ADMIN not in page.text
    await browser.submit(page, {}, button="#consent-approve")

    assert browser.left_for is not None
    code = sqlite_provider.answer_in(browser.left_for)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    assert claims_of(tokens["access_token"])["permissions"] == ["api:read"]
    # Nor was it stored: a request that would carry it asks.
    page = await browser.get(
        "/authorize", sqlite_provider.authorization_parameters(client, scope="openid")
    )
    assert ADMIN in page.text


async def test_a_code_that_was_voided_raises_no_alarm_of_a_replay(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.revoker.revoke_user(tx, account.id)

    response = await sqlite_provider.redeem(client, answer["code"])

    assert response.json()["error"] == "invalid_grant"
    assert await sqlite_provider.audit_events("code.replayed") == []
