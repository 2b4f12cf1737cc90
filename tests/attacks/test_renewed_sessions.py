"""A session that goes on when its person signs in again makes nothing older look fresh."""

import pytest
from sqlalchemy import update

from authsvc.storage.schema import authorization_codes
from tests import devices
from tests.browser import Browser
from tests.provider import Account, Provider, TestClient, claims_of

HOUR = 3_600


async def _sign_in_again(
    provider: Provider, browser: Browser, client: TestClient, account: Account
) -> int:
    """Return the ``auth_time`` of who has just signed in again, on the same session."""
    tokens = await provider.sign_in(client, account, browser, prompt="login")
    auth_time: int = claims_of(tokens["id_token"])["auth_time"]
    return auth_time


async def test_a_code_from_before_tells_when_its_person_had_signed_in(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    before = claims_of((await provider.sign_in(client, account, browser))["id_token"])
    provider.clock.move(seconds=HOUR)
    code = (await provider.authorize(browser, client, account))["code"]

    again = await _sign_in_again(provider, browser, client, account)
    redeemed = await provider.redeem(client, code)
    refreshed = await provider.refresh(client, redeemed.json()["refresh_token"])

    assert again >= before["auth_time"] + HOUR
    for response in (redeemed, refreshed):
        assert response.status_code == 200, response.text
        tokens = response.json()
        for token in (tokens["id_token"], tokens["access_token"]):
            assert claims_of(token)["auth_time"] == before["auth_time"]
    assert claims_of(redeemed.json()["id_token"])["sid"] == before["sid"]


async def test_a_device_approved_before_is_told_when_its_person_had_signed_in(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    device, browser = await devices.create_device_client(provider), provider.browser()
    before = claims_of((await provider.sign_in(client, account, browser))["id_token"])
    provider.clock.move(seconds=HOUR)
    codes = await devices.start(provider, device)
    await devices.approve(provider, codes, account, browser)

    again = await _sign_in_again(provider, browser, client, account)
    response = await devices.poll(provider, device, codes)

    assert response.status_code == 200, response.text
    claims = claims_of(response.json()["id_token"])
    assert claims["auth_time"] == before["auth_time"] <= again - HOUR


@pytest.mark.parametrize("missing", ["auth_time", "acr", "amr"])
async def test_a_code_of_the_version_before_is_redeemed_as_the_session_says(
    sqlite_provider: Provider, missing: str
) -> None:
    provider = sqlite_provider
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    before = claims_of((await provider.sign_in(client, account, browser))["id_token"])
    code = (await provider.authorize(browser, client, account))["code"]
    async with provider.resources.database.transaction() as tx:
        await tx.execute(update(authorization_codes).values({missing: None}))

    response = await provider.redeem(client, code)

    assert response.status_code == 200, response.text
    assert claims_of(response.json()["id_token"])["auth_time"] == before["auth_time"]
