"""The readable value of a session: a browser keeps it no longer than the session lives."""

from collections.abc import Mapping

import httpx
import pytest

from tests.browser import Browser
from tests.provider import Account, Provider, TestClient

STATE = "authsvc_browser_state"
SESSION = "authsvc_session"


async def _signed_in(provider: Provider) -> tuple[TestClient, Account, Browser]:
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    await provider.authorize(browser, client, account)
    assert STATE in browser.http.cookies
    return client, account, browser


async def _end_elsewhere(provider: Provider, account: Account) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.revoker.revoke_user(tx, account.id)


def _takes_it_back(response: httpx.Response) -> bool:
    found = [h for h in response.headers.get_list("set-cookie") if h.startswith(f"{STATE}=")]
    return any("max-age=0" in header.lower() for header in found)


@pytest.mark.parametrize("wishes", [{"prompt": "none"}, {}, {"prompt": "login"}])
async def test_it_is_taken_back_when_the_session_of_the_cookie_is_over(
    sqlite_provider: Provider, wishes: Mapping[str, str]
) -> None:
    client, account, browser = await _signed_in(sqlite_provider)
    await _end_elsewhere(sqlite_provider, account)

    parameters = sqlite_provider.authorization_parameters(client, **wishes)
    response = await browser.http.get("/authorize", params=parameters)

    assert response.status_code == 303
    if "none" in wishes.values():
        answer = sqlite_provider.answer_in(response.headers["location"])
        assert answer["error"] == "login_required"
    assert _takes_it_back(response)
    assert STATE not in browser.http.cookies


async def test_it_is_left_alone_where_the_session_s_cookie_was_not_sent(
    sqlite_provider: Provider,
) -> None:
    """Browsers send it to no frame of another site, and there the session may well live."""
    client, _, browser = await _signed_in(sqlite_provider)
    state = browser.http.cookies[STATE]
    parameters = sqlite_provider.authorization_parameters(client, prompt="none")

    response = await sqlite_provider.http.get(
        "/authorize", params=parameters, headers={"Cookie": f"{STATE}={state}"}
    )

    assert sqlite_provider.answer_in(response.headers["location"])["error"] == "login_required"
    assert STATE not in " ".join(response.headers.get_list("set-cookie"))


async def test_it_is_left_alone_while_the_session_lives(sqlite_provider: Provider) -> None:
    """Although it has to sign in again for this request: the session is not over."""
    client, _, browser = await _signed_in(sqlite_provider)
    sqlite_provider.clock.move(minutes=5)
    parameters = sqlite_provider.authorization_parameters(client, prompt="none", max_age=60)

    response = await browser.http.get("/authorize", params=parameters)

    assert sqlite_provider.answer_in(response.headers["location"])["error"] == "login_required"
    assert not _takes_it_back(response)
    assert STATE in browser.http.cookies
    assert SESSION in browser.http.cookies
