"""Whole stories of ``prompt``, ``max_age`` and hints (OpenID Connect Core §3.1.2.1)."""

import re
from html import unescape
from typing import Any

import pytest

from tests.answers import approve, log_in
from tests.browser import Browser, Page
from tests.provider import Account, Provider, TestClient, claims_of


async def visit(
    provider: Provider, browser: Browser, client: TestClient, **parameters: Any
) -> Page:
    """Send the browser to the authorization endpoint."""
    return await browser.get("/authorize", provider.authorization_parameters(client, **parameters))


def answered(provider: Provider, browser: Browser) -> dict[str, str]:
    """Return what the client was answered."""
    assert browser.left_for is not None
    return provider.answer_in(browser.left_for)


async def arrange(
    provider: Provider, **metadata: Any
) -> tuple[TestClient, Account, Browser, dict[str, Any]]:
    """Create a client and a person who has signed in and consented with a browser."""
    client, account = await provider.create_client(**metadata), await provider.create_user()
    browser = provider.browser()
    return client, account, browser, await provider.sign_in(client, account, browser)


async def test_prompt_none_answers_without_a_page(provider: Provider) -> None:
    client, account, browser, _ = await arrange(provider)
    await visit(provider, browser, client, prompt="none")
    tokens = (await provider.redeem(client, answered(provider, browser)["code"])).json()
    assert claims_of(tokens["id_token"])["sub"] == account.id


async def test_prompt_none_says_what_is_missing(sqlite_provider: Provider) -> None:
    client, _, browser, _ = await arrange(sqlite_provider)
    stranger = sqlite_provider.browser()
    await visit(sqlite_provider, stranger, client, prompt="none")
    assert answered(sqlite_provider, stranger)["error"] == "login_required"
    await visit(sqlite_provider, browser, client, prompt="none", scope="openid email")
    assert answered(sqlite_provider, browser)["error"] == "consent_required"
    other = await sqlite_provider.create_client()
    await visit(sqlite_provider, browser, other, prompt="none")
    assert answered(sqlite_provider, browser)["error"] == "consent_required"
    sqlite_provider.clock.move(seconds=5)
    await visit(sqlite_provider, browser, client, prompt="none", max_age=1)
    assert answered(sqlite_provider, browser)["error"] == "login_required"


@pytest.mark.parametrize("prompt", ["login", "login select_account"])
async def test_a_prompt_to_sign_in_asks_once_and_makes_a_new_auth_time(
    sqlite_provider: Provider, prompt: str
) -> None:
    client, account, browser, before = await arrange(sqlite_provider)
    sqlite_provider.clock.move(seconds=30)
    page = await visit(sqlite_provider, browser, client, prompt=prompt, state="s")
    assert page.has("#login-submit")
    sqlite_provider.clock.move(seconds=30)
    await log_in(browser, page, account)
    answer = answered(sqlite_provider, browser)
    assert answer["state"] == "s"
    after = (await sqlite_provider.redeem(client, answer["code"])).json()
    old, new = (claims_of(tokens["id_token"])["auth_time"] for tokens in (before, after))
    assert 59 <= new - old <= 62


def link(page: Page, element_id: str) -> str:
    """Return where the link with this id leads."""
    (href,) = re.findall(rf'href="([^"]+)" id="{element_id}"', page.text)
    return unescape(str(href))


async def test_a_person_chooses_to_go_on_as_who_they_are(sqlite_provider: Provider) -> None:
    client, account, browser, before = await arrange(sqlite_provider)
    sqlite_provider.clock.move(seconds=30)
    page = await visit(sqlite_provider, browser, client, prompt="select_account", state="s")
    assert browser.left_for is None
    assert not page.has("#login-submit")
    assert account.username in page.text
    await browser.get(link(page, "account-continue"))
    answer = answered(sqlite_provider, browser)
    assert answer["state"] == "s"
    after = (await sqlite_provider.redeem(client, answer["code"])).json()
    old, new = (claims_of(tokens["id_token"]) for tokens in (before, after))
    assert (old["sub"], old["auth_time"]) == (new["sub"], new["auth_time"])
    # It is asked each time, not once for all.
    page = await visit(sqlite_provider, browser, client, prompt="select_account")
    assert page.has("#account-continue")
    page = await visit(sqlite_provider, browser, client, prompt="select_account consent")
    page = await browser.get(link(page, "account-continue"))
    assert page.has("#consent-approve")


async def test_who_is_not_signed_in_has_no_account_to_choose(sqlite_provider: Provider) -> None:
    client, account, _, _ = await arrange(sqlite_provider)
    browser = sqlite_provider.browser()
    page = await visit(sqlite_provider, browser, client, prompt="select_account")
    assert page.has("#login-submit")
    await log_in(browser, page, account)
    assert "code" in answered(sqlite_provider, browser)


async def test_a_prompt_cannot_be_answered_by_going_around_the_form(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, _ = await arrange(sqlite_provider)
    page = await visit(sqlite_provider, browser, client, prompt="login")
    sealed = page.forms[0].fields["continue"]
    for _ in range(2):
        page = await browser.get("/authorize/resume", {"continue": sealed})
        assert page.has("#login-submit")
        assert browser.left_for is None


async def test_a_prompt_is_not_answered_by_a_sign_in_in_another_browser(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, _ = await arrange(sqlite_provider)
    other = sqlite_provider.browser()
    page = await visit(sqlite_provider, other, client, prompt="login")
    sealed = page.forms[0].fields["continue"]
    sqlite_provider.clock.move(seconds=1)
    await sqlite_provider.authorize(browser, client, account, prompt="login")
    page = await browser.get("/authorize/resume", {"continue": sealed})
    assert page.has("#login-submit")


async def test_a_sign_in_answers_its_prompt_for_ten_minutes_and_no_longer(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, _ = await arrange(sqlite_provider)
    page = await visit(sqlite_provider, browser, client, prompt="login")
    sealed = page.forms[0].fields["continue"]
    await log_in(browser, page, account)
    sqlite_provider.clock.move(minutes=9)
    await browser.get("/authorize/resume", {"continue": sealed})
    assert "code" in answered(sqlite_provider, browser)
    sqlite_provider.clock.move(minutes=2)
    page = await browser.get("/authorize/resume", {"continue": sealed})
    assert page.has("#login-submit")


async def test_prompt_login_lets_another_person_sign_in(sqlite_provider: Provider) -> None:
    client, _, browser, _ = await arrange(sqlite_provider)
    other = await sqlite_provider.create_user()
    for prompt in ("login", "select_account"):
        page = await visit(sqlite_provider, browser, client, prompt=prompt)
        if prompt == "select_account":
            page = await browser.get(link(page, "account-other"))
        page = await log_in(browser, page, other)
        if browser.left_for is None:
            await approve(browser, page)
        code = answered(sqlite_provider, browser)["code"]
        tokens = (await sqlite_provider.redeem(client, code)).json()
        assert claims_of(tokens["id_token"])["sub"] == other.id


async def test_prompt_consent_asks_though_it_was_answered_before(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, _ = await arrange(sqlite_provider)
    for _ in range(2):
        page = await visit(sqlite_provider, browser, client, prompt="consent")
        assert page.has("#consent-approve")
        await approve(browser, page)
        assert "code" in answered(sqlite_provider, browser)


async def test_both_prompts_are_answered_one_after_the_other(sqlite_provider: Provider) -> None:
    client, account, browser, _ = await arrange(sqlite_provider)
    page = await visit(sqlite_provider, browser, client, prompt="consent login")
    page = await log_in(browser, page, account)
    assert page.has("#consent-approve")
    await approve(browser, page)
    assert "code" in answered(sqlite_provider, browser)


@pytest.mark.parametrize(
    ("max_age", "passed", "asked"),
    [("0", 0, True), ("1", 3, True), ("60", 30, False), ("60", 61, True), ("00060", 30, False)],
)
async def test_max_age_asks_whoever_signed_in_too_long_ago(
    sqlite_provider: Provider, max_age: str, passed: int, asked: bool
) -> None:
    client, account, browser, _ = await arrange(sqlite_provider)
    sqlite_provider.clock.move(seconds=passed)
    page = await visit(sqlite_provider, browser, client, max_age=max_age)
    assert page.has("#login-submit") is asked
    if asked:
        await log_in(browser, page, account)
    code = answered(sqlite_provider, browser)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    age = sqlite_provider.clock.now().timestamp() - claims_of(tokens["id_token"])["auth_time"]
    assert age <= max(int(max_age), 2)


async def test_max_age_zero_is_answered_by_a_login_that_takes_its_time(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, _ = await arrange(sqlite_provider, scope="openid email")
    page = await visit(sqlite_provider, browser, client, max_age=0, scope="openid email")
    sqlite_provider.clock.move(minutes=5)
    page = await log_in(browser, page, account)
    sqlite_provider.clock.move(minutes=5)
    assert page.has("#consent-approve")
    await approve(browser, page)
    assert "code" in answered(sqlite_provider, browser)


async def test_the_registered_max_age_counts_where_none_is_sent(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, _ = await arrange(sqlite_provider, default_max_age=60)
    sqlite_provider.clock.move(seconds=61)
    assert (await visit(sqlite_provider, browser, client)).has("#login-submit")
    await visit(sqlite_provider, browser, client, max_age=3_600)
    assert "code" in answered(sqlite_provider, browser)


async def test_a_hint_of_the_person_who_is_there_changes_nothing(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, tokens = await arrange(sqlite_provider)
    for hours in (0, 2):
        sqlite_provider.clock.move(hours=hours)
        await visit(
            sqlite_provider, browser, client, id_token_hint=tokens["id_token"], prompt="none"
        )
        assert "code" in answered(sqlite_provider, browser)


async def test_a_hint_of_somebody_else_needs_a_sign_in(sqlite_provider: Provider) -> None:
    client, anna, browser, _ = await arrange(sqlite_provider)
    ben = await sqlite_provider.create_user()
    hint = (await sqlite_provider.sign_in(client, ben))["id_token"]
    await visit(sqlite_provider, browser, client, id_token_hint=hint, prompt="none")
    assert answered(sqlite_provider, browser)["error"] == "login_required"

    page = await visit(sqlite_provider, browser, client, id_token_hint=hint)
    assert page.has("#login-submit")
    await log_in(browser, page, anna)
    assert answered(sqlite_provider, browser)["error"] == "login_required"

    page = await visit(sqlite_provider, browser, client, id_token_hint=hint)
    await log_in(browser, page, ben)
    code = answered(sqlite_provider, browser)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    assert claims_of(tokens["id_token"])["sub"] == ben.id


async def test_a_hint_that_is_not_an_id_token_of_ours_is_refused(
    sqlite_provider: Provider, sqlite_backend: Any, open_providers: Any
) -> None:
    client, account, browser, tokens = await arrange(sqlite_provider)
    foreign: Provider = await open_providers(sqlite_backend, issuer="http://127.0.0.1:9000")
    elsewhere = await foreign.sign_in(client, account)
    header, claims, signature = tokens["id_token"].split(".")
    for hint in (
        elsewhere["id_token"],
        tokens["access_token"],
        tokens["refresh_token"],
        f"{header}.{claims}.{signature[:-8]}AAAAAAAA",
        f"{header}.{claims}.",
        f"eyJhbGciOiJub25lIn0.{claims}.",
    ):
        await visit(sqlite_provider, browser, client, id_token_hint=hint)
        assert answered(sqlite_provider, browser)["error"] == "invalid_request"
