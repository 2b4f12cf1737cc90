"""A person connects a television with a phone (RFC 8628)."""

import re

from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.devices import approve, connect, create_device_client, enter, poll, start
from tests.provider import Provider, claims_of


async def test_a_person_connects_a_device_with_a_phone(provider: Provider) -> None:
    account = await provider.create_user()
    client = await create_device_client(provider)

    codes = await start(provider, client)
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert codes["verification_uri"] == f"{provider.settings.issuer}/device"
    check_error(await poll(provider, client, codes), 400, "authorization_pending")

    phone = provider.browser()
    page = await phone.get("/device")
    assert page.has("input[name=user_code]")
    assert page.status == 200
    page = await phone.submit(page, {"user_code": codes["user_code"]}, button="#device-submit")
    assert page.has("input[name=password]")
    page = await phone.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    assert codes["user_code"] in page.text
    assert "Living room TV" in page.text
    assert "Know who you are" in page.text
    assert page.has("#device-approve")
    assert page.has("#device-deny")
    page = await phone.submit(page, {}, button="#device-approve")
    assert "connected" in page.text

    provider.clock.move(seconds=codes["interval"])
    response = await poll(provider, client, codes)
    assert response.status_code == 200, response.text
    tokens = response.json()
    claims = claims_of(tokens["id_token"])
    assert claims["sub"] == account.id
    assert claims["aud"] == client.client_id
    assert "nonce" not in claims
    assert tokens["scope"] == "openid offline_access"
    assert (await provider.userinfo(tokens["access_token"])).json()["sub"] == account.id
    refreshed = await provider.refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200
    events = [event.event for event in await provider.audit_events()]
    assert {"device_code.approved", "consent.granted"} <= set(events)


async def test_the_link_fills_the_code_in_and_still_asks(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    phone = sqlite_provider.browser()

    page = await phone.get(
        codes["verification_uri_complete"].removeprefix(sqlite_provider.settings.issuer)
    )

    assert page.forms[0].fields["user_code"] == codes["user_code"]
    page = await phone.submit(page, {}, button="#device-submit")
    page = await phone.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    assert page.has("#device-approve")
    assert codes["user_code"] in page.text


async def test_a_person_who_has_consented_before_is_asked_again(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    await connect(sqlite_provider, client, account)
    codes = await start(sqlite_provider, client)
    phone = sqlite_provider.browser()

    page = await enter(phone, codes["user_code"], account)

    assert page.has("#device-approve")
    check_error(await poll(sqlite_provider, client, codes), 400, "authorization_pending")


async def test_a_person_who_says_no_is_heard(provider: Provider) -> None:
    account = await provider.create_user()
    client = await create_device_client(provider)
    codes = await start(provider, client)
    phone = provider.browser()
    page = await enter(phone, codes["user_code"], account)

    page = await phone.submit(page, {}, button="#device-deny")

    assert "not connected" in page.text
    check_error(await poll(provider, client, codes), 400, "access_denied")
    check_error(await poll(provider, client, codes), 400, "access_denied")
    assert len(await provider.audit_events("device_code.denied")) == 1
    assert not await provider.audit_events("consent.granted")


async def test_a_person_may_connect_the_device_to_another_account(
    sqlite_provider: Provider,
) -> None:
    first, second = await sqlite_provider.create_user(), await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    phone = sqlite_provider.browser()
    page = await enter(phone, codes["user_code"], first)
    switch = re.search('href="(/login[?][^"]+)"', page.text)
    assert switch is not None

    page = await phone.get(switch[1].replace("&amp;", "&"))
    assert "connect your device" in page.text
    page = await phone.submit(
        page, {"username": second.username, "password": second.password}, button="#login-submit"
    )
    page = await phone.submit(page, {}, button="#device-approve")

    assert page.status == 200
    tokens = (await poll(sqlite_provider, client, codes)).json()
    assert claims_of(tokens["id_token"])["sub"] == second.id


async def test_it_works_below_an_issuer_with_a_path(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, issuer="http://127.0.0.1:8000/tenant")
    account = await provider.create_user()
    client = await create_device_client(provider)
    response = await provider.http.post(
        "/device_authorization", data={"client_id": client.client_id, "scope": "openid"}
    )
    codes = response.json()
    assert codes["verification_uri"] == "http://127.0.0.1:8000/tenant/device"
    phone = provider.browser()
    page = await phone.get("/device", {"user_code": codes["user_code"]})
    page = await phone.submit(page, {}, button="#device-submit")
    page = await phone.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    page = await phone.submit(page, {}, button="#device-approve")
    assert "connected" in page.text


async def test_a_confidential_client_authenticates_at_both_endpoints(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(
        sqlite_provider, token_endpoint_auth_method="client_secret_basic"
    )
    codes = await start(sqlite_provider, client)
    await approve(sqlite_provider, codes, account)
    unauthenticated = await poll(
        sqlite_provider, client, codes, authenticated=False, client_id=client.client_id
    )
    check_error(unauthenticated, 401, "invalid_client")
    assert (await poll(sqlite_provider, client, codes)).status_code == 200
