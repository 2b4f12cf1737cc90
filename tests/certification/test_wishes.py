"""What a client may wish for in a request: prompts, ages, hints and single claims.

OpenID Connect Core §3.1.2.1, §5.5, §5.5.1 and §11.
"""

from typing import Any

import orjson
import pytest

from tests.certification.suite import Suite
from tests.conftest import Backend, OpenProvider


def _claims(**places: Any) -> str:
    return orjson.dumps(places).decode()


async def test_prompt_consent_asks_for_it_although_it_was_given(suite: Suite) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    await client.sign_in(browser)
    again = await client.authorize(browser, prompt="consent")
    assert again.pages == ["consent"]
    both = await client.authorize(browser, prompt="login consent")
    assert both.pages == ["login", "consent"]


async def test_prompt_none_without_consent_is_consent_required(suite: Suite) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    await client.sign_in(browser)
    answer = await client.authorize(browser, prompt="none", scope="openid email")
    assert answer.error in ("consent_required", "interaction_required")


async def test_prompt_select_account_lets_the_person_choose(suite: Suite) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    await client.sign_in(browser)
    page = await client.visit(browser, prompt="select_account")
    assert (page.status, browser.left_for) == (200, None)
    assert suite.person.username in page.text


@pytest.mark.parametrize("wish", [{"max_age": 0}, {"prompt": "login"}])
async def test_who_has_just_signed_in_signs_in_again(suite: Suite, wish: dict[str, Any]) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    first = await client.sign_in(browser)
    suite.provider.clock.move(seconds=1)
    again = await client.sign_in(browser, **wish)
    assert again.answer.pages[0] == "login"
    assert again.claims["auth_time"] > first.claims["auth_time"]


async def test_max_age_and_prompt_none_is_login_required_when_it_was_long_ago(
    suite: Suite,
) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    await client.sign_in(browser)
    suite.provider.clock.move(seconds=60)
    answer = await client.authorize(browser, prompt="none", max_age=30)
    assert answer.error == "login_required"


async def test_the_default_max_age_that_a_client_registered_counts(suite: Suite) -> None:
    client, browser = await suite.register(default_max_age=30), suite.provider.browser()
    await client.sign_in(browser)
    suite.provider.clock.move(seconds=60)
    assert (await client.authorize(browser, prompt="none")).error == "login_required"
    within = await client.authorize(browser, prompt="none", max_age=3_600)
    assert within.error is None


async def test_single_claims_come_where_they_were_asked_for(suite: Suite) -> None:
    client = await suite.register("code")
    wanted = {"given_name": None, "nickname": {"essential": True}, "no_such_claim": None}
    signed_in = await client.sign_in(
        claims=_claims(userinfo=wanted, id_token={"email": {"essential": True}})
    )
    about = await suite.userinfo(str(signed_in.access_token))
    assert about == {"sub": signed_in.claims["sub"], "given_name": "Ada", "nickname": "ada"}
    assert signed_in.claims["email"] == suite.email


async def test_claims_for_the_id_token_are_in_each_one_of_a_hybrid_flow(suite: Suite) -> None:
    client = await suite.register("code id_token token")
    signed_in = await client.sign_in(claims=_claims(id_token={"nickname": None}))
    assert signed_in.front_claims is not None
    assert signed_in.front_claims["nickname"] == signed_in.claims["nickname"] == "ada"


async def test_a_voluntary_value_that_is_not_met_does_not_stop_the_sign_in(
    suite: Suite,
) -> None:
    client = await suite.register("code")
    await client.sign_in(
        claims=_claims(id_token={"acr": {"values": ["urn:example:gold"]}, "auth_time": None})
    )


async def test_an_essential_acr_that_is_not_met_fails(suite: Suite) -> None:
    client = await suite.register("code")
    wish = {"acr": {"essential": True, "values": ["urn:example:gold"]}}
    answer = await client.authorize(claims=_claims(id_token=wish))
    # Core §5.5.1.1: as a failed attempt; the code is that of Unmet Authentication
    # Requirements 1.0.
    assert answer.error in ("unmet_authentication_requirements", "access_denied")


async def test_a_sub_that_is_asked_for_is_the_only_one_that_may_answer(suite: Suite) -> None:
    client, browser = await suite.register("code"), suite.provider.browser()
    signed_in = await client.sign_in(browser)
    right = {"sub": {"value": signed_in.claims["sub"]}}
    answer = await client.authorize(browser, prompt="none", claims=_claims(id_token=right))
    assert answer.error is None
    wrong = {"sub": {"value": "somebody-else"}}
    answer = await client.authorize(browser, prompt="none", claims=_claims(id_token=wrong))
    assert answer.error == "login_required"


async def test_offline_access_without_a_code_is_ignored(suite: Suite) -> None:
    client = await suite.register("id_token token")
    signed_in = await client.sign_in(scope="openid offline_access")
    assert "refresh_token" not in signed_in.answer
    assert "offline_access" not in signed_in.answer["scope"].split()


async def test_a_code_may_come_in_the_fragment(suite: Suite) -> None:
    client = await suite.register("code")
    answer = await client.authorize(response_mode="fragment")
    assert answer.channel == "fragment"
    await client.collect(answer)


async def test_everything_works_below_the_path_of_an_issuer(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    issuer = "https://proxy.example/tenants/one"
    provider = await open_providers(sqlite_backend, issuer=issuer, registration="open")
    documents = [
        (await provider.http.get(f"https://proxy.example{path}")).json()
        for path in (
            "/tenants/one/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server/tenants/one",
        )
    ]
    assert documents[0] == documents[1]
    suite = Suite(provider, await provider.create_user(), documents[0])
    client, browser = await suite.register(), provider.browser()

    signed_in = await client.sign_in(browser)

    assert signed_in.answer.pages == ["login", "consent"]
    assert signed_in.claims["iss"] == issuer
    await browser.get(suite.metadata["end_session_endpoint"], {"id_token_hint": signed_in.id_token})
    assert (await client.authorize(browser, prompt="none")).error == "login_required"
