"""The login form: what it answers, and that it leads back to where the person was going."""

import re
from typing import Any

import pytest

from tests.answers import approve, check_error_page, log_in
from tests.browser import Browser, Page
from tests.provider import ORIGIN, PASSWORD, Account, Provider, TestClient

SESSION = "authsvc_session"
WRONG = "The username or password is wrong."


async def open_login(
    provider: Provider, client: TestClient, browser: Browser | None = None, **more: Any
) -> tuple[Browser, Page]:
    """Send a browser to the login page."""
    browser = browser or provider.browser()
    page = await browser.get("/authorize", provider.authorization_parameters(client, **more))
    assert page.has("#login-submit"), page.text
    return browser, page


async def finish(provider: Provider, browser: Browser, page: Page) -> dict[str, str]:
    """Consent where that is asked, and return what the client is answered."""
    if browser.left_for is None and page.has("#consent-approve"):
        await approve(browser, page)
    assert browser.left_for is not None, page.text
    return provider.answer_in(browser.left_for)


def without_names(page: Page) -> str:
    """Return the page without what the person typed."""
    return re.sub(r'id="username" name="username" value="[^"]*"', "", page.text)


async def test_unknown_wrong_and_disabled_are_the_same_page(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    account, disabled = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.people.disable(tx, disabled.id, ORIGIN)
    browser, page = await open_login(sqlite_provider, client)
    pages = []
    for username, password in (
        (account.username, "not the password"),
        ("nobody", PASSWORD),
        (disabled.username, disabled.password),
        (account.username, ""),
        (account.username, "x" * 1_025),
        ("nobody\u202e", PASSWORD),
        ("x" * 321, PASSWORD),
    ):
        answer = await browser.submit(
            page, {"username": username, "password": password}, button="#login-submit"
        )
        assert answer.status == 400
        assert answer.alert == WRONG
        pages.append(without_names(answer))
    assert len(set(pages)) == 1
    assert SESSION not in browser.http.cookies
    finished = await finish(sqlite_provider, browser, await log_in(browser, answer, account))
    assert "code" in finished


async def test_the_page_keeps_the_name_and_forgets_the_password(
    sqlite_provider: Provider,
) -> None:
    browser, page = await open_login(sqlite_provider, await sqlite_provider.create_client())
    values = {"username": '"><b>x', "password": "secret <words>"}
    page = await browser.submit(page, values, button="#login-submit")
    assert page.forms[0].fields["username"] == '"><b>x'
    assert page.forms[0].fields["password"] == ""
    assert "<b>x" not in page.text
    assert "secret" not in page.text


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("anna", "pässwörd grün"),
        ("ANNA", "pa\u0308sswo\u0308rd gru\u0308n"),
        ("  anna ", "pässwörd grün"),
        ("anna@example.com", "pässwörd grün"),
        ("Anna@EXAMPLE.com", "pässwörd grün"),
    ],
)
async def test_a_person_is_known_by_name_or_address_however_it_is_typed(
    provider: Provider, typed: str, password: str
) -> None:
    client = await provider.create_client()
    account = await provider.create_user(
        username="anna", email="anna@example.com", password="pässwörd grün"
    )
    browser, page = await open_login(provider, client)
    typing = Account(account.id, typed, password)
    assert "code" in await finish(provider, browser, await log_in(browser, page, typing))


async def test_sign_ins_are_in_the_audit_log(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client)
    wrong = Account(account.id, account.username, "not the password")
    page = await log_in(browser, page, wrong)
    await log_in(browser, page, account)
    (failed,) = await sqlite_provider.audit_events("login.failed")
    (succeeded,) = await sqlite_provider.audit_events("login.succeeded")
    assert failed.subject == succeeded.subject == account.id
    assert failed.details["reason"] == "password"
    assert failed.request_id
    assert failed.request_id != succeeded.request_id


async def test_a_page_whose_cookie_is_gone_can_be_sent_again(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client, state="kept")
    browser.http.cookies.clear()
    page = await log_in(browser, page, account)
    assert page.status == 400
    assert page.alert is not None
    assert "try again" in page.alert
    assert page.forms[0].fields["username"] == account.username
    assert SESSION not in browser.http.cookies
    answer = await finish(sqlite_provider, browser, await log_in(browser, page, account))
    assert answer["state"] == "kept"


@pytest.mark.parametrize(
    "change",
    [
        {"csrf_token": ""},
        {"csrf_token": "x"},
        {"csrf_token": "é"},
        {"csrf_token": "A" * 43},
        {"csrf_token": "A" * 60_000},
    ],
)
async def test_a_form_that_is_not_ours_signs_nobody_in(
    sqlite_provider: Provider, change: dict[str, str]
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client)
    page.forms[0].fields.update(change)
    page = await log_in(browser, page, account)
    assert page.status == 400
    assert SESSION not in browser.http.cookies
    assert await sqlite_provider.audit_events("login.succeeded") == []


async def test_a_form_from_another_browser_signs_nobody_in(sqlite_provider: Provider) -> None:
    client, attacker = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    _, page = await open_login(sqlite_provider, client)
    victim, _ = await open_login(sqlite_provider, client)
    answer = await log_in(victim, page, attacker)
    assert answer.status == 400
    assert SESSION not in victim.http.cookies


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 400), ("same-site", 400), ("same-origin", 303), ("none", 303)],
)
async def test_a_post_that_the_browser_calls_foreign_signs_nobody_in(
    sqlite_provider: Provider, site: str, status: int
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client)
    data = {**page.forms[0].fields, "username": account.username, "password": account.password}
    response = await browser.http.post("/login", data=data, headers={"Sec-Fetch-Site": site})
    assert response.status_code == status
    assert (SESSION in browser.http.cookies) == (status == 303)


async def test_two_tabs_each_come_to_where_they_were_going(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, first = await open_login(sqlite_provider, client, state="first tab")
    _, second = await open_login(sqlite_provider, client, browser, state="second tab")
    answer = await finish(sqlite_provider, browser, await log_in(browser, first, account))
    assert answer["state"] == "first tab"
    answer = await finish(sqlite_provider, browser, await log_in(browser, second, account))
    assert answer["state"] == "second tab"
    assert (await sqlite_provider.redeem(client, answer["code"])).status_code == 200


async def test_reloading_the_login_page_after_signing_in_elsewhere_still_works(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, first = await open_login(sqlite_provider, client)
    _, second = await open_login(sqlite_provider, client, browser, state="second tab")
    await log_in(browser, first, account)
    page = await browser.get(second.url)
    answer = await finish(sqlite_provider, browser, await log_in(browser, page, account))
    assert answer["state"] == "second tab"


@pytest.mark.parametrize("hours", [1, 12, 24 * 30])
async def test_a_login_that_took_long_comes_back_to_where_it_was(
    sqlite_provider: Provider, hours: int
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client, state="patient", prompt="login")
    sqlite_provider.clock.move(hours=hours)
    page = await log_in(browser, page, account)
    sqlite_provider.clock.move(minutes=9)
    answer = await finish(sqlite_provider, browser, page)
    assert answer["state"] == "patient"
    assert (await sqlite_provider.redeem(client, answer["code"])).status_code == 200


def tampered(sealed: str) -> list[str]:
    """Return variations of a continuation, none of which is ours."""
    middle = len(sealed) // 2
    flipped = "B" if sealed[middle] != "B" else "C"
    return [
        "x",
        "é",
        "A" * 50,
        "A" * 60_001,
        sealed[:-8],
        sealed + "AAAA",
        sealed[:middle] + flipped + sealed[middle + 1 :],
        ("B" if sealed[0] != "B" else "C") + sealed[1:],
        f"{sealed}.{sealed}",
    ]


async def test_a_continuation_that_was_tampered_with_leads_nowhere(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, page = await open_login(sqlite_provider, client)
    sealed = page.forms[0].fields["continue"]
    for value in tampered(sealed):
        for path in ("/login", "/authorize/resume"):
            answer = await browser.get(path, {"continue": value})
            check_error_page(browser, answer, 400, "invalid_request")
        page.forms[0].fields["continue"] = value
        check_error_page(browser, await log_in(browser, page, account), 400, "invalid_request")
    assert SESSION not in browser.http.cookies
    check_error_page(browser, await browser.get("/authorize/resume"), 400, "invalid_request")


async def test_who_is_signed_in_is_not_asked_again(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    browser.history.clear()
    await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert browser.left_for is not None
    assert len(browser.history) == 1


async def test_signing_in_without_a_destination_ends_on_the_start_page(
    sqlite_provider: Provider,
) -> None:
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    page = await log_in(browser, await browser.get("/login"), account)
    assert (page.status, page.url.endswith("/")) == (200, True)
    assert account.username in page.text
    page = await browser.get("/login")
    assert not page.has("#login-submit")
    assert "You are signed in" in page.text


async def test_the_login_hint_fills_in_the_name(sqlite_provider: Provider) -> None:
    hint = 'a"b<c>@example.com é'
    _, page = await open_login(
        sqlite_provider, await sqlite_provider.create_client(), login_hint=hint
    )
    assert page.forms[0].fields["username"] == hint


async def test_the_login_page_says_for_which_client(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(client_name="Bücher & <Co>")
    _, page = await open_login(sqlite_provider, client)
    assert "Bücher &amp; &lt;Co&gt;" in page.text
    # Chromium would hold the client's own redirects to it.
    assert "form-action" not in page.headers["content-security-policy"]


async def test_a_sign_in_that_leads_to_no_client_stays_here(sqlite_provider: Provider) -> None:
    page = await sqlite_provider.browser().get("/login")
    assert "form-action 'self'" in page.headers["content-security-policy"].split("; ")


async def test_a_form_that_names_a_field_twice_is_refused(sqlite_provider: Provider) -> None:
    browser, page = await open_login(sqlite_provider, await sqlite_provider.create_client())
    data: Any = {**page.forms[0].fields, "username": ["a", "b"], "password": "x"}
    check_error_page(browser, await browser.post("/login", data), 400, "invalid_request")
