"""Form Post OP: each response type by ``response_mode=form_post``, errors too.

OAuth 2.0 Form Post Response Mode §2.
"""

from typing import Any

import pytest

from tests.certification.suite import ALL_TYPES, Suite

MODE: dict[str, Any] = {"response_mode": "form_post"}
every_type = pytest.mark.parametrize("response_type", ALL_TYPES)


@every_type
async def test_the_browser_posts_what_the_client_is_answered(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type)

    signed_in = await client.sign_in(**MODE)

    assert signed_in.answer.channel == "form_post"
    assert signed_in.answer.uri == client.registration["redirect_uris"][0]


@pytest.mark.parametrize("response_type", ["code", "code id_token"])
async def test_the_page_that_posts_is_kept_by_nobody_and_goes_to_the_client_alone(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    await client.sign_in(browser, **MODE)

    page = await client.visit(browser, **MODE)

    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert page.forms[0].action.startswith("https://rp.example")
    assert len(page.forms) == 1


@every_type
async def test_an_error_is_posted_too(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(prompt="none", **MODE)
    assert (answer.channel, answer.error) == ("form_post", "login_required")


@pytest.mark.parametrize("response_type", ["id_token", "id_token token", "code id_token"])
async def test_a_missing_nonce_is_told_by_post(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(nonce=None, **MODE)
    assert (answer.channel, answer.error) == ("form_post", "invalid_request")


async def test_a_missing_response_type_is_told_by_post(suite: Suite) -> None:
    client = await suite.register()
    answer = await client.authorize(response_type=None, **MODE)
    assert answer.error == "invalid_request"
    assert answer.channel == "form_post"


async def test_a_redirect_uri_with_a_query_is_posted_to_as_it_is(suite: Suite) -> None:
    uri = "https://rp.example/callback?foo=bar&baz=%20x"
    client = await suite.register(redirect_uris=[uri])
    signed_in = await client.sign_in(**MODE)
    assert signed_in.answer.uri == uri


async def test_an_unknown_response_mode_is_an_invalid_request(suite: Suite) -> None:
    client = await suite.register()
    answer = await client.authorize(response_mode="pigeon")
    assert answer.error == "invalid_request"
