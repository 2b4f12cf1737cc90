"""Basic, Implicit and Hybrid OP: what every response type must do.

OpenID Connect Core §3.1, §3.2 and §3.3.
"""

from typing import Any

import pytest

from tests.certification.suite import ALL_TYPES, HYBRID_TYPES, IMPLICIT_TYPES, Suite
from tests.provider import CHALLENGE, VERIFIER

every_type = pytest.mark.parametrize("response_type", ALL_TYPES)
each_flow = pytest.mark.parametrize("response_type", ["code", "id_token token", "code id_token"])


@every_type
async def test_a_client_that_registered_itself_signs_a_person_in(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type)

    signed_in = await client.sign_in()

    assert signed_in.answer.channel == ("query" if response_type == "code" else "fragment")
    assert signed_in.answer.pages == ["login", "consent"]
    if signed_in.access_token is not None:
        about = await suite.userinfo(signed_in.access_token)
        assert about == {"sub": signed_in.claims["sub"]}


@every_type
async def test_without_a_response_type_nobody_signs_in(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(response_type=None)
    assert answer.error == "invalid_request"
    assert "error_description" in answer
    assert "code" not in answer


@each_flow
async def test_the_words_of_a_response_type_may_come_in_any_order(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type)
    backwards = " ".join(reversed(response_type.split()))
    answer = await client.authorize(response_type=backwards)
    await client.collect(answer)


async def test_a_response_type_that_was_not_registered_is_not_for_the_client(
    suite: Suite,
) -> None:
    client = await suite.register("code")
    answer = await client.authorize(response_type="code id_token")
    assert answer.error in ("unauthorized_client", "unsupported_response_type")
    assert answer.channel == "fragment"


async def test_a_response_type_that_nobody_knows_is_unsupported(suite: Suite) -> None:
    client = await suite.register("code")
    answer = await client.authorize(response_type="ticket")
    assert answer.error == "unsupported_response_type"
    assert answer.channel == "query"


async def test_the_code_flow_needs_no_nonce(suite: Suite) -> None:
    client = await suite.register("code")
    signed_in = await client.sign_in(nonce=None)
    assert "nonce" not in signed_in.claims


async def test_code_token_needs_no_nonce_for_no_id_token_comes_by_the_browser(
    suite: Suite,
) -> None:
    client = await suite.register("code token")
    await client.sign_in(nonce=None)


@pytest.mark.parametrize("response_type", [*IMPLICIT_TYPES, "code id_token", "code id_token token"])
async def test_an_id_token_by_the_browser_needs_a_nonce(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(nonce=None)
    assert answer.error == "invalid_request"
    assert answer.channel == "fragment"


@pytest.mark.parametrize("response_type", [*IMPLICIT_TYPES, *HYBRID_TYPES])
async def test_what_holds_tokens_never_goes_into_a_query(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(response_mode="query")
    assert answer.error == "invalid_request"
    assert answer.channel == "fragment"


@each_flow
async def test_a_request_may_be_posted(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(post=True)
    await client.collect(answer)


@every_type
async def test_prompt_none_without_a_session_is_login_required(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type)
    answer = await client.authorize(prompt="none")
    assert answer.error == "login_required"
    assert answer.pages == []
    assert answer.channel == ("query" if response_type == "code" else "fragment")


@each_flow
async def test_prompt_none_with_a_session_asks_nothing_and_is_the_same_sign_in(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    first = await client.sign_in(browser)
    suite.provider.clock.move(seconds=2)

    again = await client.sign_in(browser, prompt="none")

    assert again.answer.pages == []
    assert again.claims["sub"] == first.claims["sub"]
    assert again.claims["auth_time"] == first.claims["auth_time"]


@each_flow
async def test_prompt_login_asks_again_and_is_a_new_sign_in(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    first = await client.sign_in(browser)
    suite.provider.clock.move(seconds=2)

    again = await client.sign_in(browser, prompt="login")

    assert "login" in again.answer.pages
    assert again.claims["sub"] == first.claims["sub"]
    assert again.claims["auth_time"] > first.claims["auth_time"]


@each_flow
async def test_max_age_asks_again_when_the_sign_in_is_older(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    first = await client.sign_in(browser)
    suite.provider.clock.move(seconds=2)

    again = await client.sign_in(browser, max_age=1)

    assert "login" in again.answer.pages
    assert isinstance(again.claims["auth_time"], int)
    assert again.claims["auth_time"] > first.claims["auth_time"]
    assert suite.now() - again.claims["auth_time"] <= 2


@each_flow
async def test_max_age_asks_nothing_when_the_sign_in_is_younger(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    first = await client.sign_in(browser, max_age=15_000)
    again = await client.sign_in(browser, max_age=10_000)
    assert again.answer.pages == []
    assert again.claims["auth_time"] == first.claims["auth_time"]
    assert again.claims["sub"] == first.claims["sub"]


@each_flow
async def test_an_id_token_hint_of_who_is_signed_in_lets_prompt_none_succeed(
    suite: Suite, response_type: str
) -> None:
    client, browser = await suite.register(response_type), suite.provider.browser()
    first = await client.sign_in(browser)
    again = await client.sign_in(browser, prompt="none", id_token_hint=first.id_token)
    assert again.claims["sub"] == first.claims["sub"]


TOLERATED: dict[str, dict[str, Any]] = {
    "display-page": {"display": "page"},
    "display-popup": {"display": "popup"},
    "login-hint": {"login_hint": "buffy@sunnydale.example"},
    "ui-locales": {"ui_locales": "se"},
    "claims-locales": {"claims_locales": "se"},
    "unknown-parameter": {"extra": "foobar"},
    "acr-values": {"acr_values": "1 2"},
}


@pytest.mark.parametrize("module", TOLERATED)
async def test_what_is_a_wish_or_is_unknown_does_not_stop_a_sign_in(
    suite: Suite, module: str
) -> None:
    client = await suite.register("code id_token")
    await client.sign_in(**TOLERATED[module])


async def test_acr_values_that_the_server_names_are_answered_with_acr(suite: Suite) -> None:
    client = await suite.register("code")
    wanted = suite.metadata["acr_values_supported"][0]
    signed_in = await client.sign_in(acr_values=wanted)
    assert signed_in.claims["acr"] == wanted


@pytest.mark.parametrize("response_type", ["code", *HYBRID_TYPES])
async def test_pkce_is_honoured_where_it_is_used(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    pkce: dict[str, Any] = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}

    refused = await client.redeem(await client.authorize(**pkce))
    answer = await client.authorize(**pkce)
    tokens = await client.tokens(answer, code_verifier=VERIFIER)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert "id_token" in tokens


async def test_another_person_than_the_hint_names_is_not_signed_in_silently(
    suite: Suite,
) -> None:
    client, browser = await suite.register("code"), suite.provider.browser()
    hint = (await client.sign_in()).id_token
    suite.person = await suite.provider.create_user()
    await client.sign_in(browser)

    answer = await client.authorize(browser, prompt="none", id_token_hint=hint)

    assert answer.error == "login_required"
