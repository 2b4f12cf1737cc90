"""Consent: given by the person who was asked, in the browser that was asked, to what was shown."""

import pytest

from tests.browser import Browser, Form, Page
from tests.provider import Account, Provider, TestClient
from tests.storage.counting import count_rows


@pytest.fixture
async def client(sqlite_provider: Provider) -> TestClient:
    """The client that wants consent."""
    return await sqlite_provider.create_client()


@pytest.fixture
async def account(sqlite_provider: Provider) -> Account:
    """The person who is asked."""
    return await sqlite_provider.create_user()


async def _asked(
    provider: Provider, client: TestClient, account: Account, browser: Browser | None = None
) -> tuple[Browser, Page]:
    """Return a browser that shows the consent page to the person."""
    browser = browser or provider.browser()
    page = await browser.get(
        "/authorize", provider.authorization_parameters(client, prompt="login consent")
    )
    form = {"username": account.username, "password": account.password}
    page = await browser.submit(page, form, button="#login-submit")
    assert page.has("#consent-approve")
    return browser, page


def _form(page: Page) -> Form:
    return next(form for form in page.forms if "#consent-approve" in form.buttons)


async def _has_consented(provider: Provider) -> bool:
    return (await count_rows(provider))["consents"] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"csrf_token": ""},
        {"csrf_token": "A" * 43},
        {"csrf_token": "\u00e9"},
        {"decision": ""},
        {"decision": "yes"},
        {"decision": "APPROVE"},
    ],
    ids=str,
)
async def test_an_answer_that_is_not_from_our_page_grants_nothing_and_asks_again(
    sqlite_provider: Provider, client: TestClient, account: Account, change: dict[str, str]
) -> None:
    browser, page = await _asked(sqlite_provider, client, account)
    fields = {**_form(page).fields, "decision": "approve", **change}

    page = await browser.post("/consent", fields)

    assert browser.left_for is None
    assert page.has("#consent-approve")
    assert not await _has_consented(sqlite_provider)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_an_answer_from_another_site_grants_nothing(
    sqlite_provider: Provider, client: TestClient, account: Account, site: str
) -> None:
    browser, page = await _asked(sqlite_provider, client, account)
    browser.http.headers["Sec-Fetch-Site"] = site

    await browser.submit(page, {}, button="#consent-approve")

    assert browser.left_for is None
    assert not await _has_consented(sqlite_provider)


async def test_a_form_token_of_an_attackers_browser_is_nothing_in_the_victims(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    attacker = await sqlite_provider.create_user()
    _, attackers_page = await _asked(sqlite_provider, client, attacker)
    victims_browser, _ = await _asked(sqlite_provider, client, account)

    await victims_browser.post("/consent", {**_form(attackers_page).fields, "decision": "approve"})

    assert victims_browser.left_for is None
    assert not await _has_consented(sqlite_provider)


async def test_who_signs_in_meanwhile_does_not_answer_for_whom_the_page_was_shown_to(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    """Two tabs, two people: the page names one, the cookie is the other's."""
    other = await sqlite_provider.create_user()
    browser, shown_to_one = await _asked(sqlite_provider, client, account)
    assert account.username in shown_to_one.text
    await _asked(sqlite_provider, client, other, browser)

    page = await browser.submit(shown_to_one, {}, button="#consent-approve")

    assert browser.left_for is None
    assert not await _has_consented(sqlite_provider)
    assert page.has("#consent-approve") or page.has("input[name=password]")
    assert f">{account.username}<" not in page.text


async def test_a_consent_page_of_a_session_that_ended_grants_nothing(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    browser, page = await _asked(sqlite_provider, client, account)
    logout = await browser.get("/logout")
    await browser.submit(logout, {}, button="#logout-confirm")

    page = await browser.submit(page, {}, button="#consent-approve")

    assert browser.left_for is None
    assert page.has("input[name=password]")
    assert not await _has_consented(sqlite_provider)


async def test_consent_to_one_client_is_none_to_another_nor_to_more(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    other = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account, scope="openid")
    for wanted, scope in ((other, "openid"), (client, "openid email"), (client, "api:write")):
        parameters = sqlite_provider.authorization_parameters(wanted, scope=scope, prompt="none")
        await browser.get("/authorize", parameters)
        assert browser.left_for is not None
        assert sqlite_provider.answer_in(browser.left_for)["error"] == "consent_required"


async def test_who_denies_has_granted_nothing(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    browser, page = await _asked(sqlite_provider, client, account)

    await browser.submit(page, {}, button="#consent-deny")

    assert browser.left_for is not None
    answer = sqlite_provider.answer_in(browser.left_for)
    assert (answer["error"], answer["iss"]) == ("access_denied", sqlite_provider.settings.issuer)
    assert not await _has_consented(sqlite_provider)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "{{ 7*7 }}"]
)
async def test_a_clients_name_is_text_on_the_page(
    sqlite_provider: Provider, account: Account, name: str
) -> None:
    client = await sqlite_provider.create_client(client_name=name)
    _, page = await _asked(sqlite_provider, client, account)

    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert ">49<" not in page.text


async def test_nobody_is_signed_out_by_a_page_of_another_site(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    browser = sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, account, browser)
    other = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    for parameters in (
        {},
        {"client_id": client.client_id},
        {"id_token_hint": other["id_token"]},
        {"id_token_hint": other["id_token"], "client_id": client.client_id},
    ):
        page = await browser.get("/logout", parameters)
        assert page.has("#logout-confirm")
        await browser.post("/logout/confirm", {**parameters, "csrf_token": "A" * 43})
        await browser.post("/logout/confirm", parameters)
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200
    assert account.username in (await browser.get("/")).text

    await browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    assert account.username not in (await browser.get("/")).text
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 401
