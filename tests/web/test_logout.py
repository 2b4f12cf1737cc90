"""Logout (OpenID Connect RP-Initiated Logout §2): who is signed out, and where they go."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from authsvc.tokens.access_token import Authentication
from authsvc.tokens.id_token import mint_id_token
from tests.answers import check_error, check_error_page
from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

AFTER = "https://app.example/signed-out"
ODD_STATE = "a b+c%20d&e=f#g é🙂"


async def signed_in(
    provider: Provider, **metadata: Any
) -> tuple[TestClient, Account, Browser, dict[str, Any]]:
    """Create a client and a person who has signed in to it."""
    client = await provider.create_client(post_logout_redirect_uris=[AFTER], **metadata)
    account, browser = await provider.create_user(), provider.browser()
    return client, account, browser, await provider.sign_in(client, account, browser)


async def is_signed_in(browser: Browser) -> bool:
    """Tell whether the browser is signed in."""
    return "You are signed in" in (await browser.get("/")).text


async def test_a_client_that_proves_whom_it_means_signs_out_at_once(provider: Provider) -> None:
    client, account, browser, tokens = await signed_in(provider)

    page = await browser.get(
        "/logout",
        {
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": AFTER,
            "state": ODD_STATE,
        },
    )

    assert page.status == 303
    assert page.headers["cache-control"] == "no-store"
    assert browser.left_for is not None
    assert browser.left_for.startswith(f"{AFTER}?")
    assert parse_qs(urlsplit(browser.left_for).query) == {"state": [ODD_STATE]}
    assert "authsvc_session" not in browser.http.cookies
    (event,) = await provider.audit_events("session.ended")
    assert (event.subject, event.client_id) == (account.id, client.client_id)


async def test_the_tokens_of_the_session_die_and_offline_access_lives(
    provider: Provider,
) -> None:
    client, account, browser, tokens = await signed_in(provider)
    online = await provider.sign_in(client, account, browser, scope="openid profile")
    elsewhere = await provider.sign_in(client, account)
    refreshed = (await provider.refresh(client, tokens["refresh_token"])).json()
    cookie = browser.http.cookies["authsvc_session"]

    await browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    for access_token in (tokens["access_token"], online["access_token"]):
        check_error(await provider.userinfo(access_token), 401, "invalid_token")
        assert await provider.introspect(client, access_token) == {"active": False}
    for access_token in (elsewhere["access_token"], refreshed["access_token"]):
        assert (await provider.userinfo(access_token)).status_code == 200
    again = await provider.refresh(client, refreshed["refresh_token"])
    assert again.status_code == 200
    assert (await provider.userinfo(again.json()["access_token"])).status_code == 200
    header = {"Cookie": f"authsvc_session={cookie}"}
    assert "You are signed in" not in (await provider.http.get("/", headers=header)).text


async def test_a_code_that_was_not_redeemed_dies_with_the_session(provider: Provider) -> None:
    client, account, browser, tokens = await signed_in(provider)
    answer = await provider.authorize(browser, client, account)
    await browser.get("/logout", {"id_token_hint": tokens["id_token"]})
    check_error(await provider.redeem(client, answer["code"]), 400, "invalid_grant")


async def test_without_a_hint_the_person_is_asked(sqlite_provider: Provider) -> None:
    client, account, browser, _ = await signed_in(sqlite_provider, client_name="The <App>")
    page = await browser.get(
        "/logout",
        {
            "client_id": client.client_id,
            "post_logout_redirect_uri": AFTER,
            "state": ODD_STATE,
            "unknown": "ignored",
        },
    )
    assert page.status == 200
    assert page.has("#logout-confirm")
    assert account.username in page.text
    assert "The &lt;App&gt;" in page.text
    assert await is_signed_in(browser)
    await browser.submit(page, {}, button="#logout-confirm")
    assert browser.left_for is not None
    assert parse_qs(urlsplit(browser.left_for).query) == {"state": [ODD_STATE]}
    assert not await is_signed_in(browser)


async def test_without_any_parameter_the_person_is_asked_and_told(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, tokens = await signed_in(sqlite_provider)
    page = await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")
    assert page.status == 200
    assert "You are signed out" in page.text
    assert browser.left_for is None
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 401
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert page.has("#login-submit")


async def test_a_post_is_answered_like_a_get(sqlite_provider: Provider) -> None:
    _, _, browser, tokens = await signed_in(sqlite_provider)
    parameters = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    await browser.post("/logout", parameters)
    assert browser.left_for == AFTER
    assert not await is_signed_in(browser)


async def test_an_expired_hint_is_still_a_hint(sqlite_provider: Provider) -> None:
    _, _, browser, tokens = await signed_in(sqlite_provider)
    sqlite_provider.clock.move(hours=2)
    await browser.get(
        "/logout",
        {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER},
    )
    assert browser.left_for == AFTER
    assert not await is_signed_in(browser)


async def test_a_hint_from_a_refresh_still_names_the_session(sqlite_provider: Provider) -> None:
    client, _, browser, tokens = await signed_in(sqlite_provider)
    refreshed = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    assert claims_of(refreshed["id_token"])["sid"] == claims_of(tokens["id_token"])["sid"]
    await browser.get("/logout", {"id_token_hint": refreshed["id_token"]})
    assert not await is_signed_in(browser)


async def test_a_hint_about_a_person_alone_signs_nobody_out_unasked(
    sqlite_provider: Provider,
) -> None:
    """Whoever once had somebody's ID token must not be able to sign them out everywhere."""
    client, account, browser, _ = await signed_in(sqlite_provider)
    keyring, now = await sqlite_provider.resources.keyring.get(), sqlite_provider.clock.now()
    hint = mint_id_token(
        keyring.active("RS256"),
        issuer=sqlite_provider.settings.issuer,
        subject=account.id,
        client_id=client.client_id,
        authentication=Authentication(auth_time=now, acr="aal1", amr=["pwd"]),
        now=now,
        ttl=timedelta(minutes=5),
    )

    page = await browser.get("/logout", {"id_token_hint": hint, "post_logout_redirect_uri": AFTER})

    assert page.has("#logout-confirm")
    assert await is_signed_in(browser)


async def test_a_refreshed_hint_signs_out_its_own_session_alone(sqlite_provider: Provider) -> None:
    client, account, browser, _ = await signed_in(sqlite_provider)
    elsewhere = await sqlite_provider.sign_in(client, account)
    refreshed = (await sqlite_provider.refresh(client, elsewhere["refresh_token"])).json()

    page = await browser.get("/logout", {"id_token_hint": refreshed["id_token"]})

    assert page.has("#logout-confirm")
    assert await is_signed_in(browser)


async def test_the_hint_of_a_client_that_is_gone_still_names_the_session(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, tokens = await signed_in(sqlite_provider)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.server.client_administration.delete(tx, client.client_id, ORIGIN)

    page = await browser.get(
        "/logout", {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    )

    assert "You are signed out" in page.text
    assert browser.left_for is None


async def test_a_hint_of_a_client_with_pairwise_subjects_names_the_person(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, tokens = await signed_in(sqlite_provider, subject_type="pairwise")
    refreshed = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    hint = refreshed["id_token"]
    assert claims_of(hint)["sub"] != account.id

    await browser.get("/logout", {"id_token_hint": hint, "post_logout_redirect_uri": AFTER})

    assert browser.left_for == AFTER
    assert not await is_signed_in(browser)


async def test_a_hint_of_a_session_that_has_ended_still_leads_on(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, tokens = await signed_in(sqlite_provider)
    parameters = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    await browser.get("/logout", parameters)
    await browser.get("/logout", parameters)
    assert browser.left_for == AFTER
    # Of a newer session it proves nothing: that person is asked.
    await sqlite_provider.sign_in(client, account, browser)
    page = await browser.get("/logout", parameters)
    assert page.has("#logout-confirm")


async def test_a_hint_that_is_encrypted_is_refused(sqlite_provider: Provider) -> None:
    key = RSAKey.generate_key(2048, {"use": "enc", "alg": "RSA-OAEP-256"}, auto_kid=True)
    _, _, browser, tokens = await signed_in(
        sqlite_provider,
        id_token_encrypted_response_alg="RSA-OAEP-256",
        jwks={"keys": [key.as_dict(private=False)]},
    )
    page = await browser.get(
        "/logout", {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    )
    check_error_page(browser, page, 400, "invalid_request")
    assert await is_signed_in(browser)


async def test_all_that_was_asked_for_survives_the_question(sqlite_provider: Provider) -> None:
    client, account, browser, _ = await signed_in(sqlite_provider)
    asked = {
        "client_id": client.client_id,
        "logout_hint": account.username,
        "post_logout_redirect_uri": AFTER,
        "state": ODD_STATE,
        "ui_locales": "de fr",
    }
    (form,) = (await browser.get("/logout", asked)).forms
    assert asked.items() <= form.fields.items()


async def test_a_hint_about_another_session_signs_nobody_out(
    sqlite_provider: Provider,
) -> None:
    client, account, browser, _ = await signed_in(sqlite_provider)
    other = await sqlite_provider.create_user()
    for somebody in (other, account):
        tokens = await sqlite_provider.sign_in(client, somebody)
        page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})
        assert page.has("#logout-confirm")
        assert await is_signed_in(browser)


async def test_who_is_not_signed_in_is_just_sent_on(sqlite_provider: Provider) -> None:
    client, _, _, tokens = await signed_in(sqlite_provider)
    stranger = sqlite_provider.browser()
    page = await stranger.get("/logout")
    assert (page.status, "You are signed out" in page.text) == (200, True)
    for parameters in ({"id_token_hint": tokens["id_token"]}, {"client_id": client.client_id}):
        await stranger.get("/logout", {**parameters, "post_logout_redirect_uri": AFTER})
        assert stranger.left_for == AFTER
    assert (await sqlite_provider.userinfo(tokens["access_token"])).status_code == 200


@pytest.mark.parametrize("uri", [AFTER, "https://evil.example/"])
async def test_without_a_client_the_person_is_asked_and_sent_nowhere(
    sqlite_provider: Provider, uri: str
) -> None:
    _, _, browser, _ = await signed_in(sqlite_provider)
    page = await browser.get("/logout", {"post_logout_redirect_uri": uri, "state": "s"})
    assert page.has("#logout-confirm")
    assert await is_signed_in(browser)
    page = await browser.submit(page, {}, button="#logout-confirm")
    assert (page.status, browser.left_for) == (200, None)
    assert "You are signed out" in page.text
    assert not await is_signed_in(browser)


@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": AFTER + "/"},
        {"post_logout_redirect_uri": AFTER + "?a=b"},
        {"post_logout_redirect_uri": AFTER.upper()},
        {"post_logout_redirect_uri": "https://app.example/callback"},
        {"post_logout_redirect_uri": "javascript:alert(1)"},
        {"id_token_hint": "garbage"},
        {"id_token_hint": "a.b.c"},
        {"id_token_hint": "access_token"},
        {"client_id": "unknown"},
        {"client_id": "other"},
        {"client_id": "unknown", "id_token_hint": None},
        {"client_id": "other", "id_token_hint": None},
        {"state": ["a", "b"]},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wrong_request_never_redirects_and_signs_nobody_out(
    sqlite_provider: Provider, method: str, changes: dict[str, Any]
) -> None:
    _, _, browser, tokens = await signed_in(sqlite_provider)
    other = await sqlite_provider.create_client()
    if changes.get("client_id") == "other":
        changes = {**changes, "client_id": other.client_id}
    if changes.get("id_token_hint") == "access_token":
        changes = {"id_token_hint": tokens["access_token"]}
    parameters = {
        "id_token_hint": tokens["id_token"],
        "post_logout_redirect_uri": AFTER,
        "state": "s",
        **changes,
    }
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if method == "GET":
        page = await browser.get("/logout", parameters)
    else:
        page = await browser.post("/logout", parameters)
    check_error_page(browser, page, 400, "invalid_request")
    assert await is_signed_in(browser)


async def test_a_confirmation_that_is_not_ours_signs_nobody_out(
    sqlite_provider: Provider,
) -> None:
    _, _, browser, _ = await signed_in(sqlite_provider)
    for token in ("", "x", "A" * 43):
        page = await browser.post("/logout/confirm", {"csrf_token": token})
        assert page.status == 400
        assert page.alert is not None
        assert page.has("#logout-confirm")
        assert await is_signed_in(browser)
    form = (await browser.get("/logout")).forms[0].fields
    page = await browser.post("/logout/confirm", form, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status == 400
    assert await is_signed_in(browser)
    await browser.submit(page, {}, button="#logout-confirm")
    assert not await is_signed_in(browser)


async def test_a_confirmation_is_for_the_session_it_was_asked_about(
    sqlite_provider: Provider,
) -> None:
    client, _, browser, _ = await signed_in(sqlite_provider)
    page = await browser.get("/logout")
    other = await sqlite_provider.create_user()
    await sqlite_provider.authorize(browser, client, other, prompt="login")
    page = await browser.submit(page, {}, button="#logout-confirm")
    assert page.status == 400
    assert await is_signed_in(browser)


async def test_the_confirmation_checks_where_it_leads(sqlite_provider: Provider) -> None:
    client, _, browser, _ = await signed_in(sqlite_provider)
    parameters = {"client_id": client.client_id, "post_logout_redirect_uri": AFTER}
    page = await browser.get("/logout", parameters)
    page.forms[0].fields["post_logout_redirect_uri"] = "https://evil.example/"
    page = await browser.submit(page, {}, button="#logout-confirm")
    check_error_page(browser, page, 400, "invalid_request")
    assert await is_signed_in(browser)


async def test_a_hint_of_another_issuer_is_refused(
    sqlite_provider: Provider, sqlite_backend: Any, open_providers: Any
) -> None:
    other: Provider = await open_providers(sqlite_backend, issuer="http://127.0.0.1:9000")
    _, _, _, tokens = await signed_in(other)
    browser = sqlite_provider.browser()
    page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})
    check_error_page(browser, page, 400, "invalid_request")


async def test_a_hint_signed_by_a_key_that_was_retired_during_the_session_still_counts(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, session_ttl=10 * 86_400, session_idle_ttl=10 * 86_400, key_retired_ttl=3_600
    )
    _, _, browser, tokens = await signed_in(provider)
    rotation = provider.resources.key_rotation
    for days in (1, 1, 1):
        provider.clock.move(days=days)
        async with provider.resources.database.transaction() as tx:
            await rotation.rotate(tx, ORIGIN, older_than=timedelta(hours=1))
            await rotation.remove_expired(tx, ORIGIN)

    page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    assert page.status == 200
    assert not await is_signed_in(browser)


async def test_what_a_confirmation_holds_besides_goes_into_no_url(
    sqlite_provider: Provider,
) -> None:
    response = await sqlite_provider.http.post(
        "/logout/confirm", data={"state": "s", "client_secret": "told"}
    )
    assert response.status_code == 303
    assert response.headers["location"] == "/logout?state=s"
