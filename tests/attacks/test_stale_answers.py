"""A sign-in or consent answers the request for which it was asked, and only for a while."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.answers import approve, log_in
from tests.browser import Browser, Page
from tests.provider import Account, Provider, TestClient, claims_of

ASKING = [{"prompt": "login"}, {"prompt": "login select_account"}, {"max_age": 1}, {"max_age": 0}]
with_each_way_to_ask = pytest.mark.parametrize("wanted", ASKING, ids=str)


@dataclass
class Answered:
    """A request that was answered by a sign-in, and the way back to it."""

    provider: Provider
    client: TestClient
    account: Account
    browser: Browser
    continuation: str

    async def replay(self) -> Page:
        """Come back to the request once more."""
        return await self.browser.get("/authorize/resume", {"continue": self.continuation})

    async def auth_time_age(self) -> int:
        """Return the seconds from the sign-in to the token, of the code just issued."""
        assert self.browser.left_for is not None
        code = self.provider.answer_in(self.browser.left_for)["code"]
        claims = claims_of((await self.provider.redeem(self.client, code)).json()["id_token"])
        age: int = claims["iat"] - claims["auth_time"]
        return age


async def _answer(provider: Provider, **wanted: Any) -> Answered:
    """Let a person sign in for a request, and consent; return the way back to it."""
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    await provider.authorize(browser, client, account)
    provider.clock.move(seconds=2)
    parameters = provider.authorization_parameters(client, **wanted)
    page = await browser.get("/authorize", parameters)
    assert page.has("#login-submit") or page.has("#consent-approve")
    continuation = page.forms[0].fields["continue"]
    if page.has("#login-submit"):
        page = await log_in(browser, page, account)
    if browser.left_for is None:
        await approve(browser, page)
    assert browser.left_for is not None
    return Answered(provider, client, account, browser, continuation)


@with_each_way_to_ask
async def test_within_ten_minutes_nobody_is_asked_twice(
    sqlite_provider: Provider, wanted: dict[str, Any]
) -> None:
    answered = await _answer(sqlite_provider, **wanted)
    sqlite_provider.clock.move(minutes=9, seconds=55)

    await answered.replay()

    assert 595 <= await answered.auth_time_age() <= 600


@pytest.mark.parametrize("later", [{"minutes": 10, "seconds": 1}, {"hours": 7}], ids=str)
@with_each_way_to_ask
async def test_later_the_person_is_asked_to_sign_in_again(
    sqlite_provider: Provider, wanted: dict[str, Any], later: dict[str, float]
) -> None:
    answered = await _answer(sqlite_provider, **wanted)
    sqlite_provider.clock.move(**later)

    page = await answered.replay()

    assert answered.browser.left_for is None
    assert page.has("#login-submit")
    await log_in(answered.browser, page, answered.account)
    assert await answered.auth_time_age() <= 1


@pytest.mark.parametrize(("minutes", "asked"), [(9, False), (11, True)])
async def test_a_sign_in_selects_an_account_for_as_long(
    sqlite_provider: Provider, minutes: int, asked: bool
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, prompt="select_account")
    page = await browser.get("/authorize", parameters)
    continuation = page.forms[0].fields["continue"]
    await approve(browser, await log_in(browser, page, account))
    sqlite_provider.clock.move(minutes=minutes)

    page = await browser.get("/authorize/resume", {"continue": continuation})

    assert page.has("#account-continue") is asked
    assert (browser.left_for is None) is asked


async def test_a_stale_sign_in_of_another_person_is_no_error_but_asks_again(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    other = await sqlite_provider.create_user()
    hint = (await sqlite_provider.sign_in(client, account))["id_token"]
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, id_token_hint=hint)
    page = await browser.get("/authorize", parameters)
    continuation = page.forms[0].fields["continue"]
    await log_in(browser, page, other)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "login_required"
    sqlite_provider.clock.move(minutes=11)

    page = await browser.get("/authorize/resume", {"continue": continuation})

    assert page.has("#login-submit")


@pytest.mark.parametrize(("later", "asked"), [({"minutes": 9}, False), ({"hours": 7}, True)])
async def test_a_consent_answers_the_request_for_as_long(
    sqlite_provider: Provider, later: dict[str, float], asked: bool
) -> None:
    answered = await _answer(sqlite_provider, prompt="consent")
    sqlite_provider.clock.move(**later)

    page = await answered.replay()

    assert page.has("#consent-approve") is asked
    assert (answered.browser.left_for is None) is asked
