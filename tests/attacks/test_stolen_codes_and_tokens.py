"""Codes and tokens in the wrong hands: injection, mix-up, replay (RFC 9700 §4.4, §4.5, §4.14)."""

from typing import Any

import httpx
import pytest

from tests.provider import (
    REDIRECT_URI,
    Account,
    Provider,
    TestClient,
    random_verifier,
)

ELSEWHERE = "https://app.example/elsewhere"


@pytest.fixture
async def client(sqlite_provider: Provider) -> TestClient:
    """The client that is attacked."""
    return await sqlite_provider.create_client(redirect_uris=[REDIRECT_URI, ELSEWHERE])


@pytest.fixture
async def attacker(sqlite_provider: Provider) -> TestClient:
    """A client that is registered, too."""
    return await sqlite_provider.create_client(redirect_uris=[REDIRECT_URI, ELSEWHERE])


@pytest.fixture
async def account(sqlite_provider: Provider) -> Account:
    """The person that is attacked."""
    return await sqlite_provider.create_user()


def _assert_invalid_grant(response: httpx.Response) -> None:
    assert response.status_code == 400, response.text
    assert response.json()["error"] == "invalid_grant"
    assert response.headers["cache-control"] == "no-store"
    assert "access_token" not in response.text


async def test_a_code_of_one_client_is_nothing_to_another_and_is_not_spent_by_it(
    sqlite_provider: Provider, client: TestClient, attacker: TestClient, account: Account
) -> None:
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)

    for _ in range(3):
        _assert_invalid_grant(await sqlite_provider.redeem(attacker, answer["code"]))

    assert (await sqlite_provider.redeem(client, answer["code"])).status_code == 200


async def test_a_spent_code_in_the_hands_of_another_client_revokes_nothing(
    sqlite_provider: Provider, client: TestClient, attacker: TestClient, account: Account
) -> None:
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()

    _assert_invalid_grant(await sqlite_provider.redeem(attacker, answer["code"]))

    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": ELSEWHERE},
        {"redirect_uri": None},
        {"redirect_uri": REDIRECT_URI + "/"},
        {"redirect_uri": REDIRECT_URI.upper()},
        {"code_verifier": None},
        {"code_verifier": "another-verifier-of-at-least-43-characters-in-length"},
        {"code_verifier": "x"},
        {"code_verifier": "a" * 129},
    ],
    ids=str,
)
async def test_a_code_with_another_redirect_uri_or_verifier_is_refused_and_spent(
    sqlite_provider: Provider, client: TestClient, account: Account, wrong: dict[str, Any]
) -> None:
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)

    _assert_invalid_grant(await sqlite_provider.redeem(client, answer["code"], **wrong))

    _assert_invalid_grant(await sqlite_provider.redeem(client, answer["code"]))


async def test_a_code_injected_into_another_persons_flow_fails_by_pkce(
    sqlite_provider: Provider, account: Account
) -> None:
    """A public client: nothing but the verifier stands between (RFC 9700 §4.5.3.1)."""
    public = await sqlite_provider.create_client(token_endpoint_auth_method="none")
    victims_verifier, victims_challenge = random_verifier()
    attackers_verifier, _ = random_verifier()
    answer = await sqlite_provider.authorize(
        sqlite_provider.browser(), public, account, code_challenge=victims_challenge
    )

    injected = await sqlite_provider.redeem(
        public, answer["code"], code_verifier=attackers_verifier
    )

    _assert_invalid_grant(injected)
    again = await sqlite_provider.redeem(public, answer["code"], code_verifier=victims_verifier)
    _assert_invalid_grant(again)


async def test_a_challenge_that_was_taken_out_is_noticed(
    sqlite_provider: Provider, account: Account
) -> None:
    """PKCE downgrade (RFC 9700 §4.8.2): a verifier is sent for a request without challenge."""
    lenient = await sqlite_provider.create_client(require_pkce=False)
    answer = await sqlite_provider.authorize(
        sqlite_provider.browser(),
        lenient,
        account,
        code_challenge=None,
        code_challenge_method=None,
    )

    _assert_invalid_grant(await sqlite_provider.redeem(lenient, answer["code"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
    ],
    ids=str,
)
async def test_pkce_can_not_be_left_out_or_weakened(
    sqlite_provider: Provider, client: TestClient, changes: dict[str, Any]
) -> None:
    browser = sqlite_provider.browser()
    await browser.get("/authorize", sqlite_provider.authorization_parameters(client, **changes))

    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "invalid_request"


async def test_a_code_expires(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    answer = await sqlite_provider.authorize(sqlite_provider.browser(), client, account)
    sqlite_provider.clock.move(seconds=61)

    _assert_invalid_grant(await sqlite_provider.redeem(client, answer["code"]))


async def test_a_refresh_token_in_the_hands_of_another_client_ends_the_family(
    sqlite_provider: Provider, client: TestClient, attacker: TestClient, account: Account
) -> None:
    tokens = await sqlite_provider.sign_in(client, account)

    _assert_invalid_grant(await sqlite_provider.refresh(attacker, tokens["refresh_token"]))

    _assert_invalid_grant(await sqlite_provider.refresh(client, tokens["refresh_token"]))
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 401
    (event,) = await sqlite_provider.audit_events("refresh_token.reused")
    assert event.actor == f"client:{attacker.client_id}"
    assert event.client_id == client.client_id


async def test_a_refresh_token_without_client_authentication_spends_nothing(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    tokens = await sqlite_provider.sign_in(client, account)
    for attempt in (TestClient(client.client_id, None, {}), TestClient(client.client_id, "x", {})):
        response = await sqlite_provider.refresh(attempt, tokens["refresh_token"])
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")

    assert (await sqlite_provider.refresh(client, tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("moved", [11, 3600])
async def test_a_refresh_token_used_again_after_the_window_ends_the_family(
    sqlite_provider: Provider, client: TestClient, account: Account, moved: int
) -> None:
    tokens = await sqlite_provider.sign_in(client, account)
    successor = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    sqlite_provider.clock.move(seconds=moved)

    _assert_invalid_grant(await sqlite_provider.refresh(client, tokens["refresh_token"]))

    _assert_invalid_grant(await sqlite_provider.refresh(client, successor["refresh_token"]))
    assert (await sqlite_provider.userinfo(successor["access_token"])).status_code == 401


async def test_a_refresh_can_not_ask_for_more_than_was_granted(
    sqlite_provider: Provider, client: TestClient, account: Account
) -> None:
    tokens = await sqlite_provider.sign_in(client, account, scope="openid offline_access")

    more = await sqlite_provider.refresh(client, tokens["refresh_token"], scope="openid api:write")

    assert more.json()["error"] == "invalid_scope"
    assert (await sqlite_provider.refresh(client, tokens["refresh_token"])).status_code == 200


async def test_a_client_can_not_revoke_or_look_into_what_is_anothers(
    sqlite_provider: Provider, client: TestClient, attacker: TestClient, account: Account
) -> None:
    tokens = await sqlite_provider.sign_in(client, account)
    for token in (tokens["refresh_token"], tokens["access_token"]):
        _assert_invalid_grant(await sqlite_provider.revoke(attacker, token))

    about = await sqlite_provider.introspect(attacker, tokens["refresh_token"])

    assert about == {"active": False}
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200
    assert (await sqlite_provider.refresh(client, tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("parameter", "grant"), [("code", "authorization_code"), ("refresh_token", "refresh_token")]
)
async def test_no_value_of_one_kind_counts_as_another(
    sqlite_provider: Provider,
    client: TestClient,
    account: Account,
    parameter: str,
    grant: str,
) -> None:
    browser = sqlite_provider.browser()
    answer = await sqlite_provider.authorize(browser, client, account)
    tokens = await sqlite_provider.sign_in(client, account, browser)
    cookies = dict(browser.http.cookies)
    wrong = [tokens["access_token"], tokens["id_token"], *cookies.values(), client.secret]
    wrong.append(answer["code"] if parameter == "refresh_token" else tokens["refresh_token"])
    for value in wrong:
        response = await sqlite_provider.token(
            client,
            grant_type=grant,
            redirect_uri=REDIRECT_URI,
            code_verifier="a" * 43,
            **{parameter: value},
        )
        _assert_invalid_grant(response)
    for value in (answer["code"], tokens["refresh_token"], *cookies.values(), client.secret):
        assert (await sqlite_provider.userinfo(str(value))).status_code == 401
        stolen = sqlite_provider.browser()
        stolen.http.cookies.set("authsvc_session", "" if value is None else str(value))
        page = await stolen.get("/")
        assert (account.username in page.text) == (value == cookies["authsvc_session"])
