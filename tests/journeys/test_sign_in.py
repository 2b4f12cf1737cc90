"""Whole stories of a person who signs in to an app."""

from tests.provider import Provider, claims_of


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
