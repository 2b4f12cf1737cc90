"""Whole stories of a person who signs in to an app."""

import pytest

from tests.answers import approve, log_in
from tests.provider import ORIGIN, Account, Provider, claims_of


async def test_a_person_signs_in_and_the_app_gets_tokens_that_work(provider: Provider) -> None:
    await provider.create_role("reader", "articles:read")
    account = await provider.create_user(
        roles=["reader"], email="a@example.com", email_verified=True, claims={"name": "Anna"}
    )
    client = await provider.create_client()

    tokens = await provider.sign_in(client, account, scope="openid profile email offline_access")

    assert tokens["token_type"] == "Bearer"
    access = claims_of(tokens["access_token"])
    assert access["sub"] == account.id
    assert access["permissions"] == ["articles:read"]
    assert claims_of(tokens["id_token"])["nonce"] == "the-nonce"
    userinfo = (await provider.userinfo(tokens["access_token"])).json()
    assert userinfo["name"] == "Anna"
    assert userinfo["email"] == "a@example.com"
    assert (await provider.introspect(client, tokens["access_token"]))["active"] is True


async def test_a_hundred_refreshes_in_a_row_each_yield_a_new_token(provider: Provider) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    seen = {tokens["refresh_token"]}

    for _ in range(100):
        response = await provider.refresh(client, tokens["refresh_token"])
        assert response.status_code == 200
        tokens = response.json()
        seen.add(tokens["refresh_token"])

    assert len(seen) == 101
    assert (await provider.userinfo(tokens["access_token"])).status_code == 200


async def test_one_sign_in_serves_every_app_of_a_browser(provider: Provider) -> None:
    account, browser = await provider.create_user(), provider.browser()
    first, second = await provider.create_client(), await provider.create_client()
    await provider.authorize(browser, first, account)
    page = await browser.get("/authorize", provider.authorization_parameters(second))
    assert page.has("#consent-approve")
    await approve(browser, page)
    assert browser.left_for is not None
    answer = provider.answer_in(browser.left_for)
    tokens = (await provider.redeem(second, answer["code"])).json()
    assert claims_of(tokens["id_token"])["aud"] == second.client_id


async def test_a_new_password_ends_all_that_the_old_one_began(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    tokens = await provider.sign_in(client, account, browser)
    people, new = provider.resources.people, "another good password"
    password_hash = await people.hash_new_password(new, names=())
    async with provider.resources.database.transaction() as tx:
        await people.set_password(tx, account.id, password_hash, ORIGIN)

    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert (await provider.refresh(client, tokens["refresh_token"])).status_code == 400
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    page = await log_in(browser, page, account)
    assert page.alert == "The username or password is wrong."
    provider.clock.move(seconds=1)
    await log_in(browser, page, Account(account.id, account.username, new))
    assert browser.left_for is not None


async def test_a_disabled_person_is_out_at_once_and_in_again_when_enabled(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser, people = provider.browser(), provider.resources.people
    tokens = await provider.sign_in(client, account, browser)
    async with provider.resources.database.transaction() as tx:
        await people.disable(tx, account.id, ORIGIN)
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    assert page.has("#login-submit")
    async with provider.resources.database.transaction() as tx:
        await people.enable(tx, account.id, ORIGIN)
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    await log_in(browser, page, account)
    assert browser.left_for is not None


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_every_kind_of_client_goes_the_whole_way(provider: Provider, method: str) -> None:
    client = await provider.create_client(token_endpoint_auth_method=method)
    account = await provider.create_user()
    answer = await provider.authorize(provider.browser(), client, account)
    secret = client.secret if method == "client_secret_post" else None
    credentials = {"client_id": client.client_id, "client_secret": secret}
    if method == "client_secret_basic":
        credentials, basic = {}, True
    else:
        basic = False
    response = await provider.redeem(client, answer["code"], authenticated=basic, **credentials)
    assert response.status_code == 200
    refreshed = await provider.refresh(
        client, response.json()["refresh_token"], authenticated=basic, **credentials
    )
    assert (await provider.userinfo(refreshed.json()["access_token"])).status_code == 200
