"""The authorization endpoint: what is answered, to whom, and in which way."""

from typing import Any

import pytest

from tests.answers import ODD_TEXTS, approve, check_error_page, log_in
from tests.provider import CHALLENGE, REDIRECT_URI, Provider

ISSUER = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_id": "unknown"}, 400, "invalid_client"),
        ({"client_id": "x" * 5_000}, 400, "invalid_client"),
        ({"client_id": "%"}, 400, "invalid_client"),
        ({"redirect_uri": None}, 400, "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI + "/"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI + "?"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI + "?a=b"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI + "#"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI + "%20"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": REDIRECT_URI.upper()}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "https://app.example:443/callback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "https://app.example/x/../callback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "https://app.example/%63allback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "https://app.example.evil.example/callback"}, 400, None),
        ({"redirect_uri": "https://user@app.example/callback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "http://app.example/callback"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, 400, "invalid_redirect_uri"),
        ({"redirect_uri": "/callback"}, 400, "invalid_redirect_uri"),
    ],
)
async def test_an_error_is_shown_while_it_is_not_certain_where_to_redirect(
    sqlite_provider: Provider, changes: dict[str, Any], status: int, code: str | None
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, **changes)
    page = await browser.get("/authorize", parameters)
    check_error_page(browser, page, status, code or "invalid_redirect_uri")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_the_parameters_that_say_where_to_answer_come_once(
    sqlite_provider: Provider, name: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client)
    query: Any = [*parameters.items(), (name, parameters[name])]
    page = await browser.get("/authorize", query)
    check_error_page(browser, page, 400, "invalid_request")


REDIRECTED = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "code code"}, "unsupported_response_type"),
    ({"response_type": "none"}, "unsupported_response_type"),
    ({"response_mode": "web_message"}, "invalid_request"),
    ({"response_mode": "jwt"}, "invalid_request"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "openid api:admin"}, "invalid_scope"),
    ({"scope": "openid  profile"}, "invalid_scope"),
    ({"scope": 'openid "'}, "invalid_scope"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": "s256"}, "invalid_request"),
    ({"code_challenge_method": "S512"}, "invalid_request"),
    ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
    ({"prompt": "create"}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "none none2"}, "invalid_request"),
    ({"prompt": "none"}, "login_required"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "1.5"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"max_age": "9" * 400}, "invalid_request"),
    ({"max_age": "٣"}, "invalid_request"),
    ({"id_token_hint": "garbage"}, "invalid_request"),
    ({"id_token_hint": "a.b.c"}, "invalid_request"),
    ({"request": "a.b.c"}, "invalid_request_object"),
    ({"request": "garbage"}, "invalid_request_object"),
    ({"request_uri": "https://app.example/request"}, "invalid_request_uri"),
    ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request_uri"),
    ({"request": "a.b.c", "request_uri": "https://app.example/request"}, "invalid_request"),
    ({"claims": "email"}, "invalid_request"),
    ({"claims": "[]"}, "invalid_request"),
    ({"registration": "{}"}, "registration_not_supported"),
    ({"resource": "https://unknown.example"}, "invalid_target"),
    ({"resource": "relative"}, "invalid_target"),
    ({"nonce": "x" * 4_097}, "invalid_request"),
]


@pytest.mark.parametrize(("changes", "code"), REDIRECTED)
async def test_an_error_is_told_the_client_with_state_and_issuer(
    sqlite_provider: Provider, changes: dict[str, Any], code: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, **changes)
    page = await browser.get("/authorize", parameters)
    assert page.status == 303
    assert page.headers["cache-control"] == "no-store"
    assert browser.left_for is not None
    assert browser.left_for.startswith(f"{REDIRECT_URI}?")
    answer = sqlite_provider.answer_in(browser.left_for)
    assert answer.pop("error_description")
    assert answer == {"error": code, "state": "the-state", "iss": ISSUER}


@pytest.mark.parametrize("name", ["scope", "state", "nonce", "code_challenge", "unknown"])
async def test_a_parameter_that_comes_twice_is_told_the_client(
    sqlite_provider: Provider, name: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    query: Any = [*sqlite_provider.authorization_parameters(client).items()]
    query += [(name, "a"), (name, "b")]
    await browser.get("/authorize", query)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "invalid_request"


async def test_a_client_without_the_response_type_is_told_so(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(grant_types=["client_credentials"])
    browser = sqlite_provider.browser()
    await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "unauthorized_client"


async def test_a_pkce_method_without_a_challenge_is_refused_of_every_client(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(require_pkce=False)
    for method in ("S256", "plain"):
        browser = sqlite_provider.browser()
        parameters = sqlite_provider.authorization_parameters(
            client, code_challenge=None, code_challenge_method=method
        )
        await browser.get("/authorize", parameters)
        assert browser.left_for is not None
        assert sqlite_provider.answer_in(browser.left_for)["error"] == "invalid_request"


@pytest.mark.parametrize("state", ODD_TEXTS)
async def test_state_comes_back_exactly(sqlite_provider: Provider, state: str) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    answer = await sqlite_provider.authorize(browser, client, account, state=state)
    assert answer.keys() == {"code", "state", "session_state", "iss"}
    assert (answer["state"], answer["iss"]) == (state, ISSUER)
    await browser.get(
        "/authorize",
        sqlite_provider.authorization_parameters(client, state=state, response_type="none"),
    )
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["state"] == state


async def test_no_state_is_answered_with_none(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    answer = await sqlite_provider.authorize(browser, client, account, state=None)
    assert answer.keys() == {"code", "session_state", "iss"}


@pytest.mark.parametrize(
    "more",
    [
        {"ui_locales": "fr-CA de x-klingon"},
        {"acr_values": "urn:unknown phr aal1"},
        {"display": "popup"},
        {"display": "hologram"},
        {"claims_locales": "fr"},
        {"claims": '{"id_token": {"email": null}}'},
        {"foo": "bar", "utm_source": "mail", "x.y[z]": "1"},
        {"login_hint": "somebody"},
        {"response_mode": "query"},
        {"request": "", "request_uri": "", "registration": "", "prompt": "", "max_age": ""},
        {"audience": "https://unknown.example"},
    ],
)
async def test_what_is_unknown_or_only_a_wish_is_no_error(
    sqlite_provider: Provider, more: dict[str, Any]
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account, **more)
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200


async def test_a_post_is_the_same_request_as_a_get(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, state=ODD_TEXTS[0])
    page = await browser.post("/authorize", parameters)
    assert browser.history[0].status_code == 303
    assert browser.history[0].headers["location"].startswith("/authorize?")
    await approve(browser, await log_in(browser, page, account))
    assert browser.left_for is not None
    answer = sqlite_provider.answer_in(browser.left_for)
    assert answer["state"] == ODD_TEXTS[0]
    assert (await sqlite_provider.redeem(client, answer["code"])).status_code == 200


async def test_a_post_to_a_stranger_is_not_redirected(sqlite_provider: Provider) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, redirect_uri="https://evil.example/"
    )
    page = await browser.post("/authorize", parameters)
    check_error_page(browser, page, 400, "invalid_redirect_uri")
    page = await browser.post("/authorize", {}, headers={"Content-Type": "application/json"})
    check_error_page(browser, page, 400, "invalid_request")


async def test_a_code_travels_with_a_303_and_is_stored_by_nobody(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    for response in browser.history:
        if response.has_redirect_location:
            assert response.status_code == 303
        assert response.headers["cache-control"] == "no-store"
