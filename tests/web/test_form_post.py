"""Answers by form_post (OAuth 2.0 Form Post Response Mode §2)."""

import pytest

from authsvc.storage.schema import authorization_codes
from tests.answers import ODD_TEXTS, approve, check_error_page, log_in
from tests.browser import Form, Page
from tests.provider import REDIRECT_URI, Provider

ISSUER = "http://127.0.0.1:8000"


def form_in(page: Page) -> Form:
    """Return the form that goes back to the client; hold its page to what it must be."""
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] in ("no-referrer", "same-origin")
    policy = page.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "form-action 'self' https://app.example" in policy
    assert '<script src="/static/form_post.js" defer></script>' in page.text
    (form,) = page.forms
    assert (form.action, form.method) == (REDIRECT_URI, "post")
    assert page.has("#form-post-continue")
    return form


@pytest.mark.parametrize("state", ODD_TEXTS)
async def test_a_code_comes_as_fields_of_a_form(sqlite_provider: Provider, state: str) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, response_mode="form_post", state=state
    )
    page = await browser.get("/authorize", parameters)
    page = await approve(browser, await log_in(browser, page, account))
    form = form_in(page)
    assert browser.left_for is None
    assert form.fields.keys() == {"code", "state", "session_state", "iss"}
    assert (form.fields["state"], form.fields["iss"]) == (state, ISSUER)
    assert (await sqlite_provider.redeem(client, form.fields["code"])).status_code == 200


async def test_an_error_comes_as_fields_of_a_form(sqlite_provider: Provider) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, response_mode="form_post", prompt="none"
    )
    form = form_in(await browser.get("/authorize", parameters))
    assert form.fields.pop("error_description")
    assert form.fields == {"error": "login_required", "state": "the-state", "iss": ISSUER}


async def test_a_refusal_comes_as_fields_of_a_form(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, response_mode="form_post")
    page = await log_in(browser, await browser.get("/authorize", parameters), account)
    page = await browser.submit(page, {}, button="#consent-deny")
    assert form_in(page).fields["error"] == "access_denied"


async def test_the_script_submits_the_form_and_is_served(sqlite_provider: Provider) -> None:
    response = await sqlite_provider.http.get("/static/form_post.js")
    assert response.status_code == 200
    assert "javascript" in response.headers["content-type"]
    assert "submit.call(" in response.text


async def test_a_form_that_browsers_would_block_is_refused_before_anything_is_issued(
    sqlite_provider: Provider,
) -> None:
    """No Content-Security-Policy can name an IPv6 literal as where a form goes."""
    uri = "http://[::1]:8080/cb"
    client = await sqlite_provider.create_client(redirect_uris=[uri, REDIRECT_URI])
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    await sqlite_provider.sign_in(client, account, browser, scope="openid")

    async def codes() -> int:
        async with sqlite_provider.resources.database.reading() as tx:
            return len((await tx.execute(authorization_codes.select())).all())

    before = await codes()
    wanted = {"scope": "openid", "redirect_uri": uri, "response_mode": "form_post"}
    for prompt in (None, "none", "login"):
        parameters = sqlite_provider.authorization_parameters(client, prompt=prompt, **wanted)
        page = await browser.get("/authorize", parameters)
        check_error_page(browser, page, 400, "invalid_request")
        assert page.forms == []
    assert await codes() == before
