"""The consent page: asked when needed, remembered, and answered by nobody else."""

from html import unescape
from typing import Any

import pytest

from tests.answers import approve, check_error_page, log_in
from tests.browser import Browser, Page
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

ISSUER = "http://127.0.0.1:8000"


async def open_consent(
    provider: Provider, client: TestClient, account: Account, **parameters: str
) -> tuple[Browser, Page]:
    """Sign a browser in and stop at the consent page."""
    browser = provider.browser()
    page = await browser.get("/authorize", provider.authorization_parameters(client, **parameters))
    page = await log_in(browser, page, account)
    assert page.has("#consent-approve"), page.text
    return browser, page


async def asks(provider: Provider, browser: Browser, client: TestClient, **parameters: str) -> bool:
    """Send a signed-in browser to the authorization endpoint; tell whether it is asked."""
    page = await browser.get("/authorize", provider.authorization_parameters(client, **parameters))
    assert not page.has("#login-submit")
    assert page.has("#consent-approve") == (browser.left_for is None)
    return page.has("#consent-approve")


async def test_consent_is_remembered_until_more_is_asked_for(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser, page = await open_consent(provider, client, account, scope="openid profile")
    await approve(browser, page)
    assert not await asks(provider, browser, client, scope="openid profile")
    assert not await asks(provider, browser, client, scope="openid")
    assert await asks(provider, browser, client, scope="openid email")
    assert await asks(provider, browser, client, scope="openid offline_access")
    page = await browser.get(
        "/authorize", provider.authorization_parameters(client, scope="openid email")
    )
    await approve(browser, page)
    assert not await asks(provider, browser, client, scope="openid profile email")


async def test_consent_is_that_of_one_person_for_one_client(sqlite_provider: Provider) -> None:
    client, other = await sqlite_provider.create_client(), await sqlite_provider.create_client()
    anna, ben = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, anna)
    await approve(browser, page)
    assert await asks(sqlite_provider, browser, other)
    await open_consent(sqlite_provider, client, ben)


async def test_consent_outlives_the_session(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account)
    await approve(browser, page)
    again = sqlite_provider.browser()
    page = await again.get("/authorize", sqlite_provider.authorization_parameters(client))
    await log_in(again, page, account)
    assert again.left_for is not None


async def test_the_page_names_the_client_the_scopes_and_the_person(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(
        client_name="Bücher & <Co>", policy_uri="https://app.example/privacy"
    )
    account = await sqlite_provider.create_user()
    _, page = await open_consent(sqlite_provider, client, account, scope="openid email api:read")
    for text in ("Bücher &amp; &lt;Co&gt;", account.username, "email address", "api:read"):
        assert text in page.text
    assert "app.example" in page.text
    assert "https://app.example/privacy" in page.text
    # Chromium would hold the client's own redirects to it.
    assert "form-action" not in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"


async def test_saying_no_is_told_the_client_and_not_remembered(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser, page = await open_consent(provider, client, account)
    await browser.submit(page, {}, button="#consent-deny")
    assert browser.left_for is not None
    answer = provider.answer_in(browser.left_for)
    assert answer.pop("error_description")
    assert answer == {"error": "access_denied", "state": "the-state", "iss": ISSUER}
    assert await provider.audit_events("consent.granted") == []
    assert await asks(provider, browser, client)


async def test_consent_is_in_the_audit_log(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account, scope="openid email")
    await approve(browser, page)
    (event,) = await sqlite_provider.audit_events("consent.granted")
    assert (event.subject, event.client_id) == (account.id, client.client_id)
    assert event.actor == f"user:{account.id}"
    assert event.details["scope"] == "openid email"


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:4001/cb", "http://[::1]/cb", "com.example.app:/cb"]
)
async def test_what_any_program_could_have_sent_is_asked_each_time(
    sqlite_provider: Provider, uri: str
) -> None:
    """RFC 8252 §8.6: PKCE proves that the sender of a request redeems it, not who that is."""
    client = await sqlite_provider.create_client(
        application_type="native", token_endpoint_auth_method="none", redirect_uris=[uri]
    )
    account = await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account, redirect_uri=uri)
    await approve(browser, page)
    assert (browser.left_for or "").startswith(f"{uri}?code=")

    wanted = sqlite_provider.authorization_parameters(client, redirect_uri=uri)
    page = await browser.get("/authorize", wanted)
    assert page.has("#consent-approve")
    await browser.get("/authorize", wanted | {"prompt": "none"})
    assert "error=consent_required" in (browser.left_for or "")


@pytest.mark.parametrize(
    "metadata",
    [
        {"application_type": "web", "token_endpoint_auth_method": "none"},
        {"application_type": "native", "token_endpoint_auth_method": "client_secret_basic"},
        {
            "application_type": "native",
            "token_endpoint_auth_method": "none",
            "redirect_uris": ["https://app.example/cb"],
        },
    ],
)
async def test_a_client_that_can_be_told_from_others_is_allowed_once(
    sqlite_provider: Provider, metadata: dict[str, Any]
) -> None:
    metadata = {"redirect_uris": ["http://127.0.0.1:4001/cb"], **metadata}
    (uri,) = metadata["redirect_uris"]
    client = await sqlite_provider.create_client(**metadata)
    account = await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account, redirect_uri=uri)
    await approve(browser, page)

    wanted = sqlite_provider.authorization_parameters(client, redirect_uri=uri, prompt="none")
    await browser.get("/authorize", wanted)

    assert (browser.left_for or "").startswith(f"{uri}?code=")


@pytest.mark.parametrize(
    "change",
    [
        {"csrf_token": ""},
        {"csrf_token": "A" * 43},
        {"csrf_token": "é"},
        {"decision": ""},
        {"decision": "yes"},
    ],
)
async def test_an_answer_that_is_not_valid_asks_again(
    sqlite_provider: Provider, change: dict[str, str]
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account, state="kept")
    form = {**page.forms[0].fields, "decision": "approve", **change}
    page = await browser.post("/consent", form)
    assert page.has("#consent-approve")
    assert "location" not in page.headers
    assert await sqlite_provider.audit_events("consent.granted") == []
    await approve(browser, page)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["state"] == "kept"


async def test_a_post_that_the_browser_calls_foreign_grants_nothing(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account)
    form = {**page.forms[0].fields, "decision": "approve"}
    page = await browser.post("/consent", form, headers={"Sec-Fetch-Site": "cross-site"})
    assert browser.left_for is None
    assert await sqlite_provider.audit_events("consent.granted") == []


async def test_who_was_not_shown_the_page_cannot_answer_it(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    anna, ben = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, anna)
    # Ben signs in with the same browser, in another tab, while Anna's page is open.
    await log_in(browser, await _login_again(sqlite_provider, browser, client), ben)
    answer = await approve(browser, page)
    assert browser.left_for is None
    assert ben.username in answer.text
    assert await sqlite_provider.audit_events("consent.granted") == []


async def _login_again(provider: Provider, browser: Browser, client: TestClient) -> Page:
    parameters = provider.authorization_parameters(client, prompt="login")
    return await browser.get("/authorize", parameters)


async def test_who_has_signed_out_meanwhile_signs_in_and_is_asked_again(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account, state="kept")
    del browser.http.cookies["authsvc_session"]
    page = await approve(browser, page)
    assert page.has("#login-submit")
    page = await log_in(browser, page, account)
    await approve(browser, page)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["state"] == "kept"


async def test_a_tampered_continuation_grants_nothing(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account)
    sealed = page.forms[0].fields["continue"]
    for value in ("", "x", sealed[:-4], "A" * len(sealed)):
        page.forms[0].fields["continue"] = value
        answer = await approve(browser, page)
        check_error_page(browser, answer, 400, "invalid_request")
    assert await sqlite_provider.audit_events("consent.granted") == []


async def test_a_redirect_uri_that_was_taken_away_meanwhile_is_not_used(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_consent(sqlite_provider, client, account)
    administration = sqlite_provider.server.client_administration
    change = await administration.check_change(
        client.client_id, {"redirect_uris": ["https://new.example/cb"]}
    )
    async with sqlite_provider.resources.database.transaction() as tx:
        await administration.update(tx, client.client_id, change, ORIGIN)
    answer = await approve(browser, page)
    check_error_page(browser, answer, 400, "invalid_redirect_uri")


async def test_another_account_can_be_used_from_the_consent_page(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    anna, ben = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    browser, page = await open_consent(
        sqlite_provider, client, anna, state="a b&c", prompt="consent"
    )
    href = page.text.split("Use another account")[0].rsplit('<a href="', 1)[1].split('"')[0]
    page = await browser.get(unescape(href))
    page = await approve(browser, await log_in(browser, page, ben))
    assert browser.left_for is not None
    answer = sqlite_provider.answer_in(browser.left_for)
    assert answer["state"] == "a b&c"
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()
    assert claims_of(tokens["access_token"])["sub"] == ben.id
