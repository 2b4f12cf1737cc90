"""Answers by form_post (OAuth 2.0 Form Post Response Mode §2)."""

import pytest

from tests.answers import ODD_TEXTS, approve, log_in
from tests.browser import Form, Page
from tests.provider import REDIRECT_URI, Provider

ISSUER = "http://127.0.0.1:8000"


def form_in(page: Page) -> Form:
    """Return the form that goes back to the client; hold its page to what it must be."""
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    # So that the client sees our origin in ``Origin``, and no path in ``Referer``.
    assert page.headers["referrer-policy"] == "origin"
    policy = page.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert not [directive for directive in policy if directive.startswith("form-action")]
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


async def test_a_form_goes_to_an_address_that_no_policy_can_name(
    sqlite_provider: Provider,
) -> None:
    uri = "http://[::1]:8080/cb"
    client = await sqlite_provider.create_client(redirect_uris=[uri])
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, redirect_uri=uri, response_mode="form_post", prompt="none"
    )
    (form,) = (await browser.get("/authorize", parameters)).forms
    assert (form.action, form.fields["error"]) == (uri, "login_required")
