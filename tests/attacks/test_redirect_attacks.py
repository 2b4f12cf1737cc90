"""Where people are sent: registered addresses alone, with what we say and no more."""

import httpx
import pytest

from tests.provider import Provider


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "https://app.example/callback/../../evil",
        "https://app.example/callback?next=https://evil.example",
        "https://app.example/callback#fragment",
        "https://app.example:8443/callback",
        "http://app.example/callback",
        "https://APP.example/callback",
        "https://app.example/callback/",
        "https://app.example/Callback",
        "//evil.example/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example\\@evil.example/callback",
        "/relative",
    ],
)
async def test_nobody_is_redirected_to_an_address_that_is_not_registered(
    sqlite_provider: Provider, uri: str
) -> None:
    client = await sqlite_provider.create_client()
    for changes in ({}, {"response_type": "token"}, {"prompt": "none"}, {"scope": None}):
        browser = sqlite_provider.browser()
        parameters = sqlite_provider.authorization_parameters(
            client, **{"redirect_uri": uri, **changes}
        )
        page = await browser.get("/authorize", parameters)
        assert (page.status, browser.left_for) == (400, None)
        posted = await browser.post("/authorize", parameters)
        assert (posted.status, browser.left_for) == (400, None)
    page = await browser.get(
        "/logout", {"client_id": client.client_id, "post_logout_redirect_uri": uri}
    )
    assert (page.status, browser.left_for) == (400, None)


@pytest.mark.parametrize(
    "value", ["https://evil.example", "//evil.example", "", "x", "\u00e9", "A" * 60_500, "..", "=="]
)
async def test_continue_leads_only_where_we_have_sealed_it_to(
    sqlite_provider: Provider, value: str
) -> None:
    account = await sqlite_provider.create_user()
    for path in ("/login", "/authorize/resume"):
        browser = sqlite_provider.browser()
        page = await browser.get(path, {"continue": value})
        assert browser.left_for is None
        assert page.status in ({200} if path == "/login" and not value else {400})
    browser = sqlite_provider.browser()
    page = await browser.get("/login")
    form = {"username": account.username, "password": account.password, "continue": value}
    await browser.submit(page, form, button="#login-submit")
    assert browser.left_for is None
    browser = sqlite_provider.browser()
    await browser.post("/consent", {"continue": value, "decision": "approve"})
    assert browser.left_for is None


async def test_a_continuation_can_not_be_changed(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    sealed = page.forms[0].fields["continue"]
    for position in range(0, len(sealed), 29):
        changed = sealed[:position] + ("A" if sealed[position] != "A" else "B")
        changed += sealed[position + 1 :]
        assert (await browser.get("/login", {"continue": changed})).status == 400
    assert (await browser.get("/login", {"continue": sealed})).status == 200


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize(
    "state",
    [
        "'\"><script>alert(1)</script>",
        "&code=evil&iss=evil",
        "%0d%0aSet-Cookie: x=y",
        "#fragment",
        "\u00e9\u2028\U0001f600",
        " +%2B",
        "</form><form action=//evil.example>",
        "{{7*7}}",
    ],
)
async def test_state_comes_back_as_it_was_and_as_nothing_else(
    sqlite_provider: Provider, state: str, mode: str
) -> None:
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(
        client, state=state, prompt="none", response_mode=mode
    )
    page = await browser.get("/authorize", parameters)

    if mode == "query":
        assert browser.left_for is not None
        answer = sqlite_provider.answer_in(browser.left_for)
    else:
        (form,) = page.forms
        answer = form.fields
        assert form.action == parameters["redirect_uri"]
        assert "<script>alert" not in page.text
    assert answer["state"] == state
    assert answer["error"] == "login_required"
    assert "code" not in answer
    assert "x" not in browser.http.cookies


@pytest.mark.parametrize("name", ["state", "nonce", "redirect_uri", "scope", "login_hint", "junk"])
@pytest.mark.parametrize("escape", ["%0d%0a", "%0a", "%0d", "%00", "%7f", "%1b"])
async def test_control_characters_are_refused_in_every_parameter(
    sqlite_provider: Provider, name: str, escape: str
) -> None:
    client = await sqlite_provider.create_client()
    parameters = httpx.QueryParams(sqlite_provider.authorization_parameters(client))
    query = f"{parameters.remove(name)}&{name}=a{escape}Set-Cookie:%20x=y"

    response = await sqlite_provider.http.get(f"/authorize?{query}")

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "x=y" not in str(response.headers)


@pytest.mark.parametrize(
    "max_age", ["0" * 5_000, "000000000001" + "9" * 20, "9" * 5_000, "999999999999", "-1", "1.5"]
)
async def test_an_absurd_max_age_is_the_clients_error(
    sqlite_provider: Provider, max_age: str
) -> None:
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    await sqlite_provider.sign_in(client, await sqlite_provider.create_user(), browser)

    await browser.get(
        "/authorize", sqlite_provider.authorization_parameters(client, max_age=max_age)
    )

    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "invalid_request"
