"""Attacks on the device authorization grant (RFC 8628 §5)."""

import asyncio
from collections import Counter

import httpx

from authsvc.protocol.user_code import format_user_code, new_user_code
from tests.answers import check_error
from tests.browser import Browser, Page
from tests.conftest import Backend, OpenProvider
from tests.devices import approve, connect, create_device_client, enter, poll, start
from tests.provider import ORIGIN, Account, Provider

AT_ONCE = 20


def _statuses(responses: list[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((r.status_code, r.json().get("error", "")) for r in responses)


async def _signed_in(provider: Provider, account: Account) -> Browser:
    """Return a browser in which the person is signed in."""
    browser = provider.browser()
    page = await browser.get("/login")
    values = {"username": account.username, "password": account.password}
    await browser.submit(page, values, button="#login-submit")
    return browser


async def _guess(browser: Browser, count: int) -> list[Page]:
    """Try wrong codes one after the other."""
    return [await enter(browser, new_user_code()) for _ in range(count)]


# Guessing


async def test_a_stranger_learns_nothing_about_codes(sqlite_provider: Provider) -> None:
    codes = await start(sqlite_provider, await create_device_client(sqlite_provider))
    browser = sqlite_provider.browser()

    right = await enter(browser, codes["user_code"])
    wrong = await enter(browser, new_user_code())

    for page in (right, wrong):
        assert page.has("input[name=password]")
        assert page.alert is None
    assert len(right.text) == len(wrong.text)


async def test_wrong_codes_are_throttled_for_the_person_also_from_elsewhere(
    provider: Provider,
) -> None:
    account = await provider.create_user()
    codes = await start(provider, await create_device_client(provider))
    free = provider.settings.login_account_attempts

    pages = await _guess(await _signed_in(provider, account), free)
    assert {page.status for page in pages} == {400}
    other_browser = await _signed_in(provider, account)
    page = await enter(other_browser, codes["user_code"])

    assert page.status == 429
    assert page.alert is not None
    assert "Too many wrong codes" in page.alert
    wait = int(page.headers["retry-after"])
    assert wait > 0
    provider.clock.move(seconds=wait)
    page = await enter(other_browser, codes["user_code"])
    assert page.has("#device-approve")
    assert len(await provider.audit_events("user_code.wrong")) == free


async def test_wrong_codes_are_throttled_for_an_address_over_all_people(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, login_address_attempts=6)
    first, second = await provider.create_user(), await provider.create_user()
    third = await provider.create_user()
    browsers = [await _signed_in(provider, account) for account in (first, second, third)]

    for browser in browsers[:2]:
        assert {page.status for page in await _guess(browser, 3)} == {400}

    assert [page.status for page in await _guess(browsers[2], 1)] == [429]


async def test_codes_of_ones_own_buy_no_further_guesses(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    browser = await _signed_in(sqlite_provider, account)
    free = sqlite_provider.settings.login_account_attempts

    wrong = 0
    for _ in range(2 * free):
        own = await start(sqlite_provider, client)
        if (await enter(browser, own["user_code"])).status == 429:
            break
        (page,) = await _guess(browser, 1)
        wrong += page.status == 400

    assert wrong == free


async def test_codes_of_ones_own_do_not_clear_the_address(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, login_address_attempts=6)
    client = await create_device_client(provider)
    wrong = 0
    for _ in range(4):
        browser = await _signed_in(provider, await provider.create_user())
        own = await start(provider, client)
        await enter(browser, own["user_code"])
        pages = await _guess(browser, 2)
        wrong += sum(page.status == 400 for page in pages)
    assert wrong == 6


async def test_twenty_guesses_at_once_get_no_further(provider: Provider) -> None:
    account = await provider.create_user()
    browser = await _signed_in(provider, account)
    page = await browser.get("/device")
    form = page.forms[0].fields

    async def guess() -> int:
        data = {**form, "user_code": format_user_code(new_user_code())}
        return (await browser.http.post("/device", data=data)).status_code

    statuses = Counter(await asyncio.gather(*(guess() for _ in range(AT_ONCE))))

    free = provider.settings.login_account_attempts
    assert statuses == {400: free, 429: AT_ONCE - free}


async def test_a_link_from_another_browser_spends_no_attempts(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    attacker, victim = sqlite_provider.browser(), await _signed_in(sqlite_provider, account)
    page = await enter(attacker, new_user_code())
    sealed = page.forms[0].fields["continue"]

    page = await victim.get("/device/resume", {"continue": sealed})

    assert page.has("#device-submit")
    assert not page.has("#device-approve")
    assert not await sqlite_provider.audit_events("user_code.wrong")


async def test_a_link_puts_no_words_on_the_page(sqlite_provider: Provider) -> None:
    words = "Call 555-0100 to have your account back"
    page = await sqlite_provider.browser().get("/device", {"user_code": words})
    assert page.forms[0].fields["user_code"] == ""
    assert "555" not in page.text


# Forged forms


async def test_no_form_works_without_its_token(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    browser = await _signed_in(sqlite_provider, account)
    question = await enter(browser, codes["user_code"])
    form = {**question.forms[0].fields, "decision": "approve"}
    entry = (await browser.get("/device")).forms[0].fields

    stranger = await _signed_in(sqlite_provider, await sqlite_provider.create_user())
    forged = [
        await browser.post("/device", {"user_code": codes["user_code"]}),
        await browser.post("/device/confirm", {**form, "csrf_token": "forged"}),
        await browser.post("/device/confirm", {**form, "csrf_token": entry["csrf_token"]}),
        await browser.post("/device/confirm", {**form, "decision": "maybe"}),
        await browser.post("/device/confirm", form, headers={"Sec-Fetch-Site": "cross-site"}),
        await stranger.post("/device/confirm", form),
        await sqlite_provider.browser().post("/device/confirm", form),
    ]

    for page in forged:
        assert page.status == 400
        assert page.alert
    check_error(await poll(sqlite_provider, client, codes), 400, "authorization_pending")
    assert not await sqlite_provider.audit_events("device_code.approved")


async def test_the_answer_counts_for_what_was_shown_alone(sqlite_provider: Provider) -> None:
    """The person has become an administrator since the page was made."""
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    browser = await _signed_in(sqlite_provider, account)
    question = await enter(browser, codes["user_code"])
    await sqlite_provider.create_role("boss", "authsvc:admin")
    resources = sqlite_provider.resources
    async with resources.database.transaction() as tx:
        await resources.role_administration.assign(tx, "boss", "user", account.id, ORIGIN)

    page = await browser.submit(question, {}, button="#device-approve")

    assert page.status == 400
    check_error(await poll(sqlite_provider, client, codes), 400, "authorization_pending")


async def test_another_device_can_not_be_put_into_the_form(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    mine, other = [await start(sqlite_provider, client) for _ in range(2)]
    browser = await _signed_in(sqlite_provider, account)
    shown = await enter(browser, mine["user_code"])
    hidden = await enter(browser, other["user_code"])

    form = {**shown.forms[0].fields, "device": hidden.forms[0].fields["device"]}
    page = await browser.post("/device/confirm", {**form, "decision": "approve"})

    assert page.status == 400
    check_error(await poll(sqlite_provider, client, other), 400, "authorization_pending")


# Stolen and spent codes


async def test_a_code_of_another_client_yields_nothing_and_stays_good(provider: Provider) -> None:
    account = await provider.create_user()
    client, thief = await create_device_client(provider), await create_device_client(provider)
    codes = await start(provider, client)
    check_error(await poll(provider, thief, codes), 400, "invalid_grant")
    await approve(provider, codes, account)

    check_error(await poll(provider, thief, codes), 400, "invalid_grant")

    tokens = await poll(provider, client, codes)
    assert tokens.status_code == 200
    check_error(await poll(provider, thief, codes), 400, "invalid_grant")
    assert (await provider.userinfo(tokens.json()["access_token"])).status_code == 200


async def test_a_device_code_is_no_other_credential(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(
        sqlite_provider,
        grant_types=["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    )
    codes = await start(sqlite_provider, client)
    await approve(sqlite_provider, codes, account)
    refused = await sqlite_provider.refresh(client, codes["device_code"])
    check_error(refused, 400, "invalid_grant")
    for wrong in (codes["user_code"], codes["user_code"].replace("-", "")):
        refused = await poll(sqlite_provider, client, {"device_code": wrong})
        check_error(refused, 400, "invalid_grant")


async def test_a_replay_takes_back_what_the_code_yielded(provider: Provider) -> None:
    client = await create_device_client(provider)
    account = await provider.create_user()
    codes = await start(provider, client)
    await approve(provider, codes, account)
    tokens = (await poll(provider, client, codes)).json()

    check_error(await poll(provider, client, codes), 400, "invalid_grant")

    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    refused = await provider.refresh(client, tokens["refresh_token"])
    check_error(refused, 400, "invalid_grant")
    assert len(await provider.audit_events("device_code.replayed")) == 1


async def test_a_replay_counts_also_after_the_code_and_its_session_are_over(
    sqlite_provider: Provider,
) -> None:
    client = await create_device_client(sqlite_provider)
    account = await sqlite_provider.create_user()
    codes = await start(sqlite_provider, client)
    browser = sqlite_provider.browser()
    await approve(sqlite_provider, codes, account, browser)
    tokens = (await poll(sqlite_provider, client, codes)).json()
    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")
    sqlite_provider.clock.move(days=1)

    check_error(await poll(sqlite_provider, client, codes), 400, "invalid_grant")

    refused = await sqlite_provider.refresh(client, tokens["refresh_token"])
    check_error(refused, 400, "invalid_grant")


# Races


async def test_of_many_polls_for_one_approved_code_one_wins_and_the_others_revoke_it(
    backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(backend)
    other: Provider = await open_providers(backend)
    client = await create_device_client(one)
    codes = await start(one, client)
    await approve(one, codes, await one.create_user())

    responses = await asyncio.gather(
        *(poll(replica, client, codes) for _ in range(AT_ONCE // 2) for replica in (one, other))
    )

    assert _statuses(responses) == {(200, ""): 1, (400, "invalid_grant"): AT_ONCE - 1}
    tokens = next(r.json() for r in responses if r.status_code == 200)
    for replica in (one, other):
        assert (await replica.refresh(client, tokens["refresh_token"])).status_code == 400


async def test_of_many_polls_at_once_one_is_in_time_and_each_other_slows_down(
    backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(backend)
    other: Provider = await open_providers(backend)
    client = await create_device_client(one)
    codes = await start(one, client)

    responses = await asyncio.gather(
        *(poll(replica, client, codes) for _ in range(5) for replica in (one, other))
    )

    assert _statuses(responses) == {(400, "authorization_pending"): 1, (400, "slow_down"): 9}
    one.clock.move(seconds=5 + 9 * 5 - 2)
    check_error(await poll(one, client, codes), 400, "slow_down")
    one.clock.move(seconds=5 + 10 * 5)
    check_error(await poll(one, client, codes), 400, "authorization_pending")


async def test_of_many_answers_at_once_one_counts(provider: Provider) -> None:
    account = await provider.create_user()
    client = await create_device_client(provider)
    codes = await start(provider, client)
    browser = await _signed_in(provider, account)
    question = await enter(browser, codes["user_code"])
    form = question.forms[0].fields

    async def answer(decision: str) -> tuple[str, int]:
        data = {**form, "decision": decision}
        return decision, (await browser.http.post("/device/confirm", data=data)).status_code

    answers = await asyncio.gather(*(answer(d) for _ in range(5) for d in ("approve", "deny")))

    counted = [decision for decision, status in answers if status == 200]
    assert len(counted) == 1
    assert Counter(status for _, status in answers) == {200: 1, 400: 9}
    polled = await poll(provider, client, codes)
    assert polled.status_code == (200 if counted == ["approve"] else 400)
    events = await provider.audit_events("device_code.approved")
    assert len(events) + len(await provider.audit_events("device_code.denied")) == 1


async def test_two_people_can_not_both_have_one_device(provider: Provider) -> None:
    client = await create_device_client(provider)
    codes = await start(provider, client)
    people = [await provider.create_user() for _ in range(2)]
    browsers = [await _signed_in(provider, account) for account in people]
    questions = [await enter(browser, codes["user_code"]) for browser in browsers]

    pages = await asyncio.gather(
        *(
            browser.submit(question, {}, button="#device-approve")
            for browser, question in zip(browsers, questions, strict=True)
        )
    )

    assert sorted(page.status for page in pages) == [200, 400]
    winner = people[[page.status for page in pages].index(200)]
    tokens = (await poll(provider, client, codes)).json()
    assert (await provider.userinfo(tokens["access_token"])).json()["sub"] == winner.id


# What ends in between


async def test_an_answer_after_the_code_has_expired_counts_for_nothing(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    browser = sqlite_provider.browser()
    question = await enter(browser, codes["user_code"], account)
    sqlite_provider.clock.move(seconds=600)

    for button in ("#device-approve", "#device-deny"):
        page = await browser.submit(question, {}, button=button)
        assert page.status == 400
        assert page.alert is not None
        assert "expired" in page.alert

    check_error(await poll(sqlite_provider, client, codes), 400, "expired_token")


async def test_a_session_that_ends_takes_its_approvals_along(provider: Provider) -> None:
    client = await create_device_client(provider)
    codes = await start(provider, client)
    browser = provider.browser()
    await approve(provider, codes, await provider.create_user(), browser)
    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")

    check_error(await poll(provider, client, codes), 400, "expired_token")


async def test_who_is_signed_out_can_not_answer(sqlite_provider: Provider) -> None:
    client = await create_device_client(sqlite_provider)
    codes = await start(sqlite_provider, client)
    browser = sqlite_provider.browser()
    question = await enter(browser, codes["user_code"], await sqlite_provider.create_user())
    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")

    page = await browser.submit(question, {}, button="#device-approve")

    assert page.status == 400
    check_error(await poll(sqlite_provider, client, codes), 400, "authorization_pending")


async def test_a_person_who_is_disabled_takes_approvals_and_tokens_along(
    provider: Provider,
) -> None:
    client = await create_device_client(provider)
    account = await provider.create_user()
    tokens = await connect(provider, client, account)
    codes = await start(provider, client)
    await approve(provider, codes, account)
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)

    check_error(await poll(provider, client, codes), 400, "expired_token")
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401


async def test_a_person_who_is_deleted_takes_approvals_along(provider: Provider) -> None:
    client = await create_device_client(provider)
    account = await provider.create_user()
    codes = await start(provider, client)
    await approve(provider, codes, account)
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.delete(tx, account.id, ORIGIN)

    check_error(await poll(provider, client, codes), 400, "invalid_grant")


async def test_a_client_that_is_deleted_takes_its_codes_along(provider: Provider) -> None:
    client = await create_device_client(provider)
    account = await provider.create_user()
    codes = await start(provider, client)
    browser = await _signed_in(provider, account)
    question = await enter(browser, codes["user_code"])
    async with provider.resources.database.transaction() as tx:
        await provider.server.client_administration.delete(tx, client.client_id, ORIGIN)

    page = await browser.submit(question, {}, button="#device-approve")
    assert page.status == 400
    assert (await enter(browser, codes["user_code"])).status == 400
    check_error(await poll(provider, client, codes), 401, "invalid_client")


async def test_approving_while_the_account_is_disabled_leaves_nothing_behind(
    provider: Provider,
) -> None:
    """Whichever comes first, with real commits: in the end there are no living tokens."""
    client = await create_device_client(provider)
    for _ in range(5):
        account = await provider.create_user()
        codes = await start(provider, client)
        browser = await _signed_in(provider, account)
        question = await enter(browser, codes["user_code"])

        async def disable(user_id: str = account.id) -> None:
            async with provider.resources.database.transaction() as tx:
                await provider.resources.people.disable(tx, user_id, ORIGIN)

        _, _, polled = await asyncio.gather(
            browser.submit(question, {}, button="#device-approve"),
            disable(),
            poll(provider, client, codes),
        )

        if polled.status_code == 200:
            access_token = polled.json()["access_token"]
            assert (await provider.userinfo(access_token)).status_code == 401
        assert (await poll(provider, client, codes)).status_code == 400
