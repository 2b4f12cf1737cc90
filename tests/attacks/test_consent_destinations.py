"""A person is told where they are sent, and a client that moves is asked about again."""

from html import unescape

import orjson
import pytest

from tests.answers import approve, log_in
from tests.browser import Browser, Page
from tests.conftest import Backend, OpenProvider
from tests.front_channel import query_in, visit
from tests.provider import ORIGIN, REDIRECT_URI, Account, Provider, TestClient
from tests.registration import WEB, client_of, manage, registered

ELSEWHERE = "https://other-owner.example/cb"


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


async def asked(
    provider: Provider, client: TestClient, account: Account, **parameters: object
) -> tuple[Browser, Page]:
    """Return a fresh browser at the consent page."""
    browser = provider.browser()
    page = await log_in(browser, await visit(provider, browser, client, **parameters), account)
    assert page.has("#consent-approve"), page.text
    return browser, page


def target_in(page: Page) -> str:
    """Return what the page says about where one goes on to."""
    return page.text.split('id="consent-target">')[1].split("<strong>")[1].split("</strong>")[0]


@pytest.mark.parametrize(
    ("redirect_uri", "shown"),
    [
        ("com.evil.app://online.bank.example/login", "com.evil.app:"),
        ("com.evil.app:/online.bank.example", "com.evil.app:"),
        ("http://127.0.0.1:8080/online.bank.example", "127.0.0.1:8080"),
    ],
)
async def test_a_host_that_decides_nothing_is_not_named_as_where_one_goes(
    opened: Provider, redirect_uri: str, shown: str
) -> None:
    metadata = {
        "client_name": "Your bank",
        "application_type": "native",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [redirect_uri],
    }
    client, account = client_of(await registered(opened, metadata)), await opened.create_user()

    _, page = await asked(opened, client, account, redirect_uri=redirect_uri, scope="openid")

    assert target_in(page) == shown
    assert "bank.example" not in page.text


async def test_a_client_that_moved_by_itself_is_asked_about_again(opened: Provider) -> None:
    made, account = await registered(opened), await opened.create_user()
    client, browser = client_of(made), opened.browser()
    await opened.authorize(browser, client, account, scope="openid")
    await visit(opened, browser, client, scope="openid", prompt="none")
    assert "code" in query_in(opened, browser)
    content = {**WEB, "client_id": client.client_id, "redirect_uris": [ELSEWHERE, REDIRECT_URI]}
    assert (await manage(opened, "PUT", made, content)).status_code == 200
    moved = {"scope": "openid", "redirect_uri": ELSEWHERE}

    await visit(opened, browser, client, prompt="none", **moved)
    assert query_in(opened, browser)["error"] == "consent_required"
    page = await visit(opened, browser, client, **moved)
    assert target_in(page) == "other-owner.example"
    await approve(browser, page)
    assert "code" in query_in(opened, browser)

    for redirect_uri in (ELSEWHERE, REDIRECT_URI):  # the consents add up
        wanted = {"scope": "openid", "redirect_uri": redirect_uri, "prompt": "none"}
        await visit(opened, browser, client, **wanted)
        assert "code" in query_in(opened, browser)


async def test_a_client_that_an_administrator_moved_is_not_asked_about_again(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser, administration = (
        sqlite_provider.browser(),
        sqlite_provider.server.client_administration,
    )
    await sqlite_provider.authorize(browser, client, account, scope="openid")
    change = await administration.check_change(client.client_id, {"redirect_uris": [ELSEWHERE]})
    async with sqlite_provider.resources.database.transaction() as tx:
        await administration.update(tx, client.client_id, change, ORIGIN)

    wanted = {"scope": "openid", "redirect_uri": ELSEWHERE, "prompt": "none"}
    await visit(sqlite_provider, browser, client, **wanted)

    assert "code" in query_in(sqlite_provider, browser)


async def test_another_account_is_asked_as_well_where_the_client_wants_consent(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    anna, ben = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    await sqlite_provider.authorize(sqlite_provider.browser(), client, ben)
    browser, page = await asked(sqlite_provider, client, anna, prompt="consent")
    href = page.text.split("Use another account")[0].rsplit('<a href="', 1)[1].split('"')[0]

    page = await log_in(browser, await browser.get(unescape(href)), ben)

    assert browser.left_for is None
    assert page.has("#consent-approve")
    assert f">{ben.username}<" in page.text
    await approve(browser, page)
    assert "code" in query_in(sqlite_provider, browser)


async def test_an_app_in_the_list_is_known_by_its_host_too(opened: Provider) -> None:
    metadata = {
        **WEB,
        "client_name": "Bank: confirm now",
        "initiate_login_uri": "https://phish.example/online.bank.example",
    }
    client, account = client_of(await registered(opened, metadata)), await opened.create_user()
    browser = opened.browser()
    await opened.authorize(browser, client, account, scope="openid")

    page = await browser.get("/")

    (app,) = page.text.split('id="apps">')[1].split("</ul>")[0].split("</li>")[:-1]
    assert "Bank: confirm now" in app
    assert ">phish.example<" in app


async def test_claims_that_no_scope_reaches_are_asked_for_in_words(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    names = ("phone_number", "given_name#de", "favourite_colour")
    claims = {"userinfo": dict.fromkeys(names)}

    _, page = await asked(sqlite_provider, client, account, scope="openid", claims=claims)

    for words in (
        "See your phone number",
        "See your given name (de)",
        "See what is known of you as favourite_colour",
    ):
        assert f"<span>{words}</span>" in page.text
    assert "\\" not in page.text.split("It asks to")[1].split("</ul>")[0]


@pytest.mark.parametrize(
    "scope", ["favourite_colour", "claim:favourite_colour", "claim/favourite_colour"]
)
async def test_a_scope_named_like_a_claim_is_no_consent_to_the_claim(
    sqlite_provider: Provider, scope: str
) -> None:
    client = await sqlite_provider.create_client(scope=f"openid {scope}")
    account = await sqlite_provider.create_user(claims={"favourite_colour": "green"})
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account, scope=f"openid {scope}")
    claims = {"userinfo": {"favourite_colour": None}}

    for wanted in ("openid", f"openid {scope}"):
        await visit(sqlite_provider, browser, client, scope=wanted, claims=claims, prompt="none")
        assert query_in(sqlite_provider, browser)["error"] == "consent_required"


async def test_no_scope_has_the_mark_of_a_claim_or_a_destination(opened: Provider) -> None:
    client, account = await opened.create_client(), await opened.create_user()
    browser = opened.browser()
    await opened.authorize(browser, client, account, scope="openid")
    for scope in ("claim\\ssn", "to\\other-owner.example"):
        await visit(opened, browser, client, scope=f"openid {scope}", prompt="none")
        assert query_in(opened, browser)["error"] == "invalid_scope"
        body = orjson.dumps({**WEB, "scope": f"openid {scope}"})
        response = await opened.http.post(
            "/register", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 400, response.text
