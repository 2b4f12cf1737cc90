"""The device authorization grant on the wire (RFC 8628), and the pages of the person."""

from urllib.parse import parse_qs, urlsplit

import pytest

from authsvc.oauth.capabilities import DEVICE_CODE
from authsvc.protocol.user_code import ALPHABET, format_user_code, new_user_code, parse_user_code
from tests.answers import check_error, check_error_page
from tests.conftest import Backend, OpenProvider
from tests.devices import approve, ask, connect, create_device_client, enter, poll, start
from tests.provider import SECRET, Provider, claims_of

RESOURCE = "https://api.example"
OTHER_RESOURCE = "https://other.example"


async def test_the_answer_has_every_member_of_the_rfc(sqlite_provider: Provider) -> None:
    client = await create_device_client(sqlite_provider)

    response = await ask(sqlite_provider, client)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    codes = response.json()
    assert codes.keys() == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert len(codes["device_code"]) == 43
    complete = urlsplit(codes["verification_uri_complete"])
    assert parse_qs(complete.query) == {"user_code": [codes["user_code"]]}


async def test_lifetime_and_interval_are_settings(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, device_code_ttl=60, device_poll_interval=9
    )
    client = await create_device_client(provider)

    codes = await start(provider, client)

    assert (codes["expires_in"], codes["interval"]) == (60, 9)


async def test_nothing_is_stored_in_clear(sqlite_provider: Provider) -> None:
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    plain = codes["user_code"].replace("-", "")

    async with sqlite_provider.resources.database.reading() as tx:
        connection = await tx.connection()
        rows = (await connection.exec_driver_sql("SELECT * FROM device_codes")).all()

    assert len(rows) == 1
    stored = repr(rows)
    for secret in (codes["device_code"], codes["user_code"], plain):
        assert secret not in stored


@pytest.mark.parametrize(
    ("parameters", "status", "error"),
    [
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"client_secret": SECRET}, 401, "invalid_client"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"scope": "openid admin"}, 400, "invalid_scope"),
        ({"scope": 'open"id'}, 400, "invalid_scope"),
        ({"scope": ["openid", "openid"]}, 400, "invalid_request"),
        ({"resource": OTHER_RESOURCE}, 400, "invalid_target"),
        ({"resource": "no uri"}, 400, "invalid_target"),
    ],
)
async def test_a_request_that_is_wrong_is_refused(
    sqlite_provider: Provider, parameters: dict[str, object], status: int, error: str
) -> None:
    client = await create_device_client(sqlite_provider, resources=[RESOURCE])
    check_error(await ask(sqlite_provider, client, **parameters), status, error)


async def test_a_client_without_the_grant_gets_no_codes(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    check_error(await ask(sqlite_provider, client), 400, "unauthorized_client")
    codes = {"device_code": "whatever"}
    check_error(await poll(sqlite_provider, client, codes), 400, "unauthorized_client")


async def test_only_a_form_is_read_and_only_by_post(sqlite_provider: Provider) -> None:
    http = sqlite_provider.http
    check_error(await http.post("/device_authorization", json={}), 400, "invalid_request")
    check_error(await http.get("/device_authorization"), 405, "method_not_allowed")


async def test_offline_access_that_the_client_can_not_use_is_ignored(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider, grant_types=[DEVICE_CODE])

    tokens = await connect(sqlite_provider, client, account)

    assert tokens["scope"] == "openid"
    assert "refresh_token" not in tokens


async def test_without_openid_there_is_no_id_token(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)

    tokens = await connect(sqlite_provider, client, account, scope="api:read")

    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope"}


async def test_resources_are_narrowed_at_the_token_endpoint(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider, resources=[RESOURCE, OTHER_RESOURCE])
    codes = await start(
        sqlite_provider, client, scope="api:read", resource=[RESOURCE, OTHER_RESOURCE]
    )
    browser = sqlite_provider.browser()
    page = await enter(browser, codes["user_code"], account)
    assert RESOURCE in page.text
    await browser.submit(page, {}, button="#device-approve")

    tokens = (await poll(sqlite_provider, client, codes, resource=RESOURCE)).json()

    assert claims_of(tokens["access_token"])["aud"] in (RESOURCE, [RESOURCE])


async def test_a_resource_that_was_not_granted_is_refused(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider, resources=[RESOURCE, OTHER_RESOURCE])
    codes = await start(sqlite_provider, client, resource=RESOURCE)
    await approve(sqlite_provider, codes, account)

    refused = await poll(sqlite_provider, client, codes, resource=OTHER_RESOURCE)

    check_error(refused, 400, "invalid_target")


async def test_a_poll_that_comes_too_soon_makes_the_interval_longer_each_time(
    provider: Provider,
) -> None:
    client = await create_device_client(provider)
    codes = await start(provider, client)

    async def answer() -> str:
        response = await poll(provider, client, codes)
        error: str = response.json()["error"]
        check_error(response, 400, error)
        return error

    assert await answer() == "authorization_pending"
    provider.clock.move(seconds=4)
    assert await answer() == "slow_down"
    provider.clock.move(seconds=6)
    assert await answer() == "slow_down"  # 10 by now, 15 from here on
    provider.clock.move(seconds=15)
    assert await answer() == "authorization_pending"
    provider.clock.move(seconds=14)
    assert await answer() == "slow_down"
    provider.clock.move(seconds=20)
    assert await answer() == "authorization_pending"


async def test_an_approved_code_is_honoured_however_soon_it_is_asked_for(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    for _ in range(3):
        await poll(sqlite_provider, client, codes)
    await approve(sqlite_provider, codes, account)

    assert (await poll(sqlite_provider, client, codes)).status_code == 200


async def test_a_code_expires(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    unanswered, approved = [await start(sqlite_provider, client) for _ in range(2)]
    await approve(sqlite_provider, approved, account)

    sqlite_provider.clock.move(seconds=600)

    for codes in (unanswered, approved):
        check_error(await poll(sqlite_provider, client, codes), 400, "expired_token")
    page = await enter(sqlite_provider.browser(), unanswered["user_code"], account)
    assert page.status == 400
    assert page.alert is not None
    assert "expired" in page.alert


@pytest.mark.parametrize("device_code", ["wrong", "x" * 600, "é"])
async def test_an_unknown_code_is_an_invalid_grant(
    sqlite_provider: Provider, device_code: str
) -> None:
    client = await create_device_client(sqlite_provider)
    refused = await poll(sqlite_provider, client, {"device_code": device_code})
    check_error(refused, 400, "invalid_grant")


async def test_a_poll_without_a_code_is_an_invalid_request(sqlite_provider: Provider) -> None:
    client = await create_device_client(sqlite_provider)
    refused = await poll(sqlite_provider, client, {"device_code": None})
    check_error(refused, 400, "invalid_request")


async def test_a_user_code_that_is_taken_is_not_given_twice(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter(["BBBBBBBB", "BBBBBBBB", "BBBBBBBB", "CCCCCCCC"])
    monkeypatch.setattr("authsvc.oauth.device_authorization.new_user_code", lambda: next(codes))
    client = await create_device_client(provider)

    given = [(await start(provider, client))["user_code"] for _ in range(2)]

    assert given == ["BBBB-BBBB", "CCCC-CCCC"]


async def test_when_no_user_code_is_free_the_device_is_told_to_come_back(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authsvc.oauth.device_authorization.new_user_code", lambda: "BBBBBBBB")
    client = await create_device_client(sqlite_provider)
    await start(sqlite_provider, client)

    refused = await ask(sqlite_provider, client)

    check_error(refused, 503, "temporarily_unavailable")
    assert refused.headers["retry-after"] == "60"


async def test_what_is_typed_may_look_different(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    typed = f"  {codes['user_code'].lower().replace('-', ' . ')} "
    page = await enter(sqlite_provider.browser(), typed, account)
    assert page.has("#device-approve")


def test_a_user_code_survives_typing() -> None:
    code = new_user_code()
    assert set(code) <= set(ALPHABET)
    assert parse_user_code(format_user_code(code)) == code
    full_width = "".join(chr(ord(letter) + 0xFEE0) for letter in code)
    assert parse_user_code(full_width) == code
    assert parse_user_code("8256-1VU0") == "BZSGLVVQ"


@pytest.mark.parametrize("typed", ["", "BCDF", "BCDF-GHJKL", "BCDF-GHJA", "ẞẞẞẞẞẞẞẞ", "B" * 101])
def test_what_can_be_no_user_code_is_none(typed: str) -> None:
    assert parse_user_code(typed) is None


@pytest.mark.parametrize("typed", ["", "BCDF", "A" * 9, "x" * 5_000, "<script>"])
async def test_what_can_be_no_code_is_told_on_the_page(
    sqlite_provider: Provider, typed: str
) -> None:
    page = await enter(sqlite_provider.browser(), typed)
    assert page.status == 400
    assert page.alert is not None
    assert "eight letters" in page.alert
    assert "<script>" not in page.text


@pytest.mark.parametrize("typed", ["WRONGONE", "wron-gone", "A" * 8])
async def test_eight_letters_that_are_no_code_are_not_told_to_be_eight(
    sqlite_provider: Provider, typed: str
) -> None:
    page = await enter(sqlite_provider.browser(), typed)
    assert page.status == 400
    assert page.alert is not None
    assert page.alert.startswith("There is no such code.")


async def test_the_person_sees_the_power_that_they_would_hand_out(
    sqlite_provider: Provider,
) -> None:
    await sqlite_provider.create_role("boss", "authsvc:admin")
    account = await sqlite_provider.create_user(roles=["boss"])
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    browser = sqlite_provider.browser()

    page = await enter(browser, codes["user_code"], account)

    assert "Administer this sign-in service" in page.text
    await browser.submit(page, {}, button="#device-approve")
    tokens = (await poll(sqlite_provider, client, codes)).json()
    assert claims_of(tokens["access_token"])["permissions"] == ["authsvc:admin"]


async def test_the_question_warns_of_devices_that_others_hold(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    codes = await start(sqlite_provider, await create_device_client(sqlite_provider))
    page = await enter(sqlite_provider.browser(), codes["user_code"], account)
    assert page.has("#device-warning")
    assert "you hold the device" in page.text


async def test_the_pages_are_stored_by_nobody_and_framed_by_nobody(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    codes = await start(sqlite_provider, await create_device_client(sqlite_provider))
    browser = sqlite_provider.browser()
    pages = [await browser.get("/device"), await enter(browser, codes["user_code"], account)]
    pages.append(await browser.submit(pages[-1], {}, button="#device-approve"))
    for page in pages:
        assert page.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text


@pytest.mark.parametrize("sealed", [None, "x", "AAAA" * 20])
async def test_a_way_back_that_was_changed_is_refused(
    sqlite_provider: Provider, sealed: str | None
) -> None:
    browser = sqlite_provider.browser()
    page = await browser.get("/device/resume", {"continue": sealed} if sealed else {})
    check_error_page(browser, page, 400, "invalid_request")


async def test_a_way_back_to_an_authorization_request_leads_to_no_device_and_the_reverse(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    page = await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    authorization = page.forms[0].fields["continue"]
    codes = await start(sqlite_provider, await create_device_client(sqlite_provider))
    page = await enter(browser, codes["user_code"])
    device = page.forms[0].fields["continue"]

    for path, sealed in (("/device/resume", authorization), ("/authorize/resume", device)):
        page = await browser.get(path, {"continue": sealed})
        check_error_page(browser, page, 400, "invalid_request")


async def test_both_ways_in_are_limited_by_address(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend,
        rate_limits=True,
        rate_limit_device_address="3/minute",
        rate_limit_token_address="2/minute",
    )
    client = await create_device_client(provider)

    answers = [(await ask(provider, client)).status_code for _ in range(3)]
    browser = provider.browser()
    pages = [await browser.get("/device") for _ in range(4)]

    assert answers == [200, 200, 429]
    assert [page.status for page in pages] == [200, 200, 200, 429]
    check_error_page(browser, pages[-1], 429, "temporarily_unavailable")


async def test_discovery_names_the_endpoint_and_the_grant(sqlite_provider: Provider) -> None:
    metadata = (await sqlite_provider.http.get("/.well-known/openid-configuration")).json()
    issuer = sqlite_provider.settings.issuer
    assert metadata["device_authorization_endpoint"] == f"{issuer}/device_authorization"
    assert DEVICE_CODE in metadata["grant_types_supported"]
