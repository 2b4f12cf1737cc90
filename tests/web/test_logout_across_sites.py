"""Logout that comes from another site: it ends what it says it ends, and takes away nothing else.

Browsers send our cookies (SameSite=Lax) along with a GET that another site leads to, and
with no POST of another site's page.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.browser import Browser
from tests.provider import Account, Provider, TestClient

AFTER = "https://app.example/signed-out"
ODD_STATE = "a b+c%20d&e=f#g é"
SESSION = "authsvc_session"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
SIGNED_OUT = "You are signed out"


class Visit:
    """A person who is signed in to an app, and may be sent here by a page of another site."""

    def __init__(self, provider: Provider, client: TestClient, account: Account) -> None:
        self.provider, self.client, self.account = provider, client, account
        self.browser: Browser = provider.browser()
        self.tokens: dict[str, Any] = {}
        self.cookie = ""

    @property
    def hint(self) -> dict[str, str]:
        """What proves whom the app means."""
        return {"id_token_hint": self.tokens["id_token"]}

    async def post_elsewhere(
        self, path: str, form: dict[str, str], *, with_cookies: bool = False
    ) -> httpx.Response:
        """Post a form of another site's page: without our cookies, as browsers do."""
        http = self.browser.http if with_cookies else self.provider.http
        response = await http.post(path, data=form, headers=CROSS_SITE)
        assert not [c for c in response.headers.get_list("set-cookie") if c.startswith(SESSION)]
        return response

    async def lives(self) -> bool:
        """Tell whether the session lives; all that hangs on it must agree."""
        cookie = {"Cookie": f"{SESSION}={self.cookie}"}
        start = await self.provider.http.get("/", headers=cookie)
        alive = self.account.username in start.text
        token = self.tokens["access_token"]
        userinfo = await self.provider.userinfo(token)
        assert userinfo.status_code == (200 if alive else 401)
        assert (await self.provider.introspect(self.client, token))["active"] == alive
        return alive

    async def sign_in(self) -> None:
        """Sign in to the app."""
        self.tokens = await self.provider.sign_in(
            self.client, self.account, self.browser, scope="openid"
        )
        self.cookie = self.browser.http.cookies[SESSION]


@pytest.fixture
async def visit(sqlite_provider: Provider) -> Visit:
    """A person who has signed in."""
    client = await sqlite_provider.create_client(post_logout_redirect_uris=[AFTER])
    visit = Visit(sqlite_provider, client, await sqlite_provider.create_user())
    await visit.sign_in()
    return visit


async def test_a_post_becomes_a_get_and_then_the_session_really_ends(visit: Visit) -> None:
    form = {**visit.hint, "post_logout_redirect_uri": AFTER, "state": ODD_STATE, "unknown": "kept"}

    response = await visit.post_elsewhere("/logout", form)

    assert response.status_code == 303
    assert response.headers["cache-control"] == "no-store"
    location = urlsplit(response.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/logout")
    assert parse_qs(location.query, strict_parsing=True) == {k: [v] for k, v in form.items()}
    assert await visit.lives()

    await visit.browser.get(response.headers["location"])

    assert visit.browser.left_for is not None
    assert visit.browser.left_for.startswith(f"{AFTER}?")
    assert parse_qs(urlsplit(visit.browser.left_for).query) == {"state": [ODD_STATE]}
    assert SESSION not in visit.browser.http.cookies
    assert not await visit.lives()


async def test_a_post_that_proves_nothing_leads_to_the_question(visit: Visit) -> None:
    response = await visit.post_elsewhere("/logout", {"client_id": visit.client.client_id})
    assert response.status_code == 303

    page = await visit.browser.get(response.headers["location"])

    assert page.has("#logout-confirm")
    assert SIGNED_OUT not in page.text
    assert await visit.lives()
    page = await visit.browser.submit(page, {}, button="#logout-confirm")
    assert SIGNED_OUT in page.text
    assert SESSION not in visit.browser.http.cookies
    assert not await visit.lives()


async def test_a_wrong_post_is_refused_before_anybody_is_sent_anywhere(visit: Visit) -> None:
    for wrong in (
        {"id_token_hint": "garbage"},
        {**visit.hint, "post_logout_redirect_uri": "https://evil.example/"},
        {"client_id": "unknown"},
    ):
        response = await visit.post_elsewhere("/logout", wrong)
        assert response.status_code == 400
        assert "location" not in response.headers
    assert await visit.lives()


@pytest.mark.parametrize("with_hint", [True, False])
async def test_a_confirmation_without_the_cookie_takes_nothing_and_claims_nothing(
    visit: Visit, with_hint: bool
) -> None:
    page = await visit.browser.get("/logout")
    fields = {**page.forms[0].fields, **(visit.hint if with_hint else {})}

    response = await visit.post_elsewhere("/logout/confirm", fields)

    assert SIGNED_OUT not in response.text
    assert await visit.lives()
    location = urlsplit(response.headers["location"])
    assert (response.status_code, location.netloc, location.path) == (303, "", "/logout")
    assert "csrf_token" not in parse_qs(location.query)
    # The browser follows with its cookie: what it is told then is so.
    page = await visit.browser.get(response.headers["location"])
    assert (SIGNED_OUT in page.text) is with_hint
    assert await visit.lives() is not with_hint


async def test_a_confirmation_that_another_site_sends_is_none_whatever_comes_along(
    visit: Visit,
) -> None:
    page = await visit.browser.get("/logout")
    fields = page.forms[0].fields
    for form in ({}, fields, {**fields, **visit.hint}):
        response = await visit.post_elsewhere("/logout/confirm", form, with_cookies=True)
        assert response.status_code == 400
        assert SIGNED_OUT not in response.text
        assert SESSION in visit.browser.http.cookies
        assert await visit.lives()


async def test_who_confirms_after_the_session_ended_is_told_so_and_keeps_a_newer_one(
    visit: Visit,
) -> None:
    page = await visit.browser.get("/logout")
    await visit.browser.get("/logout", visit.hint)
    told = await visit.browser.submit(page, {}, button="#logout-confirm")
    assert SIGNED_OUT in told.text

    await visit.sign_in()
    page = await visit.browser.submit(page, {}, button="#logout-confirm")

    assert page.status == 400
    assert page.has("#logout-confirm")
    assert await visit.lives()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_request_without_the_cookie_can_take_it_away(visit: Visit, method: str) -> None:
    for path in ("/logout", "/logout/confirm"):
        for values in ({}, visit.hint, {**visit.hint, "post_logout_redirect_uri": AFTER}):
            send: dict[str, Any] = {"params" if method == "GET" else "data": values}
            response = await visit.provider.http.request(method, path, **send)
            given = response.headers.get_list("set-cookie")
            assert not [cookie for cookie in given if cookie.startswith(SESSION)]
    assert await visit.lives()
