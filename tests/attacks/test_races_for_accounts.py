"""Sign-ins, consents, roles and the ends of accounts, all at once and with real commits."""

import asyncio
from typing import Any

import pytest

from authsvc.protocol.errors import Conflict
from authsvc.storage.audit import Origin
from authsvc.storage.consents import find_consent, save_consent
from authsvc.storage.sessions import hold_session, list_sessions, touch_session
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient

NEVER = 3600


async def _guess(provider: Provider, account: Account, password: str) -> int:
    """Post the login form from a browser of its own; return the status."""
    browser = provider.browser()
    page = await browser.get("/login")
    answer = await browser.submit(
        page, {"username": account.username, "password": password}, button="#login-submit"
    )
    return answer.status


def _count_verifications(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    verified: list[str] = []
    verify = provider.resources.password_hashes.verify

    async def counting(password_hash: str | None, password: str) -> bool:
        verified.append(password)
        return await verify(password_hash, password)

    monkeypatch.setattr(provider.resources.password_hashes, "verify", counting)
    return verified


async def test_of_a_hundred_guesses_at_once_no_more_than_the_free_ones_are_looked_at(
    backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: Provider = await open_providers(backend, login_delay=NEVER, login_delay_max=NEVER)
    account = await provider.create_user()
    verified = _count_verifications(provider, monkeypatch)

    statuses = await asyncio.gather(
        *(_guess(provider, account, f"wrong guess {number}") for number in range(100))
    )

    assert len(verified) == provider.settings.login_account_attempts == 5
    assert sorted(statuses) == [400] * 5 + [429] * 95
    assert await _guess(provider, account, account.password) == 429
    assert len(verified) == 5


async def test_two_replicas_count_guesses_together(
    backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas: list[Provider] = [
        await open_providers(backend, login_delay=NEVER, login_delay_max=NEVER) for _ in range(2)
    ]
    account = await replicas[0].create_user()
    counts = [_count_verifications(replica, monkeypatch) for replica in replicas]

    await asyncio.gather(
        *(_guess(replica, account, "wrong guess") for _ in range(10) for replica in replicas)
    )

    assert len(counts[0]) + len(counts[1]) == 5


async def test_a_person_disabled_while_they_refresh_has_nothing_left(provider: Provider) -> None:
    client = await provider.create_client()
    account = await provider.create_user()
    families = [await provider.sign_in(client, account) for _ in range(4)]
    refreshing = [
        asyncio.ensure_future(provider.refresh(client, tokens["refresh_token"]))
        for tokens in families
        for _ in range(5)
    ]
    await asyncio.wait(refreshing, return_when=asyncio.FIRST_COMPLETED)

    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)

    answers = [answer.json() for answer in await asyncio.gather(*refreshing)]
    issued = [*families, *(answer for answer in answers if "access_token" in answer)]
    assert len(issued) > len(families)
    await _assert_dead(provider, client, issued)


async def test_who_is_revoked_while_a_code_is_redeemed_has_nothing_left(provider: Provider) -> None:
    client = await provider.create_client()
    account = await provider.create_user()
    for scope in ("openid offline_access", "openid"):
        browser = provider.browser()
        codes = [
            (await provider.authorize(browser, client, account, scope=scope))["code"]
            for _ in range(6)
        ]
        redeeming = [asyncio.ensure_future(provider.redeem(client, code)) for code in codes]
        await asyncio.wait(redeeming, return_when=asyncio.FIRST_COMPLETED)

        async with provider.resources.database.transaction() as tx:
            await provider.resources.revoker.revoke_user(tx, account.id)

        answers = [answer.json() for answer in await asyncio.gather(*redeeming)]
        issued = [answer for answer in answers if "access_token" in answer]
        assert issued
        await _assert_dead(provider, client, issued)
        assert await _living_sessions(provider, account) == 0


async def _assert_dead(
    provider: Provider, client: TestClient, issued: list[dict[str, Any]]
) -> None:
    for tokens in issued:
        assert (await provider.userinfo(tokens["access_token"])).status_code == 401
        assert await provider.introspect(client, tokens["access_token"]) == {"active": False}
        if "refresh_token" in tokens:
            assert (await provider.refresh(client, tokens["refresh_token"])).status_code == 400


async def _living_sessions(provider: Provider, account: Account) -> int:
    async with provider.resources.database.reading() as tx:
        now = provider.clock.now()
        return len(await list_sessions(tx, user_id=account.id, after=None, limit=100, now=now))


async def test_who_signs_in_with_the_old_password_while_it_is_replaced_is_not_signed_in(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await provider.create_user()
    begin, checked, go_on = provider.resources.sessions.begin, asyncio.Event(), asyncio.Event()

    async def begin_late(*arguments: Any, **options: Any) -> Any:
        checked.set()
        await go_on.wait()
        return await begin(*arguments, **options)

    monkeypatch.setattr(provider.resources.sessions, "begin", begin_late)
    signing_in = asyncio.ensure_future(_guess(provider, account, account.password))
    await checked.wait()
    replacing = asyncio.ensure_future(_set_password(provider, account, "another good password"))
    # Either it waits for the sign-in under way, or it is done before that goes on.
    await asyncio.wait([replacing], timeout=0.5)
    go_on.set()
    await asyncio.gather(signing_in, replacing)

    assert await _living_sessions(provider, account) == 0


async def _set_password(provider: Provider, account: Account, password: str) -> None:
    people = provider.resources.people
    password_hash = await people.hash_new_password(password, names=())
    async with provider.resources.database.transaction() as tx:
        await people.set_password(tx, account.id, password_hash, ORIGIN)


async def test_consent_given_twice_at_once_is_kept_once_and_each_answer_leads_on(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    account = await provider.create_user()
    browser = provider.browser()
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    page = await browser.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    form = next(form for form in page.forms if "#consent-approve" in form.buttons)
    name, value = form.buttons["#consent-approve"]

    responses = await asyncio.gather(
        *(browser.http.post(form.action, data={**form.fields, name: value}) for _ in range(10))
    )

    assert {response.status_code for response in responses} == {303}
    codes = {provider.answer_in(r.headers["location"])["code"] for r in responses}
    assert len(codes) == 10


async def test_consents_to_different_scopes_at_once_add_up(provider: Provider) -> None:
    client = await provider.create_client()
    account = await provider.create_user()
    database, now = provider.resources.database, provider.clock.now()
    for first, second in (("openid", "email"), ("profile", "phone")):
        async with database.transaction() as tx:
            await save_consent(tx, account.id, client.client_id, frozenset({first}), now=now)
            other = asyncio.ensure_future(
                _save_consent(provider, account, client, frozenset({second}))
            )
            await asyncio.wait([other], timeout=0.3)
        await other

    async with database.reading() as tx:
        found = await find_consent(tx, account.id, client.client_id)
    assert found is not None
    assert found[0] == {"openid", "email", "profile", "phone"}


async def _save_consent(
    provider: Provider, account: Account, client: TestClient, scopes: frozenset[str]
) -> None:
    async with provider.resources.database.transaction() as tx:
        now = provider.clock.now()
        await save_consent(tx, account.id, client.client_id, scopes, now=now)


async def test_a_session_that_ended_is_not_revived_by_a_touch(provider: Provider) -> None:
    client = await provider.create_client()
    account = await provider.create_user()
    await provider.sign_in(client, account)
    async with provider.resources.database.reading() as tx:
        now = provider.clock.now()
        (session,) = await list_sessions(
            tx, user_id=account.id, after=None, limit=2, now=provider.clock.now()
        )

    async def touch() -> None:
        async with provider.resources.database.transaction() as tx:
            await touch_session(tx, session.id, now=now)

    async def end() -> None:
        async with provider.resources.database.transaction() as tx:
            await provider.resources.revoker.revoke_session(tx, session.id)

    await asyncio.gather(*(touch() for _ in range(10)), end(), *(touch() for _ in range(10)))

    async with provider.resources.database.reading() as tx:
        assert await hold_session(tx, session.id) is None


async def test_of_two_people_who_take_one_name_at_once_one_gets_it(provider: Provider) -> None:
    async def create() -> str:
        try:
            async with provider.resources.database.transaction() as tx:
                await provider.resources.people.create(tx, Origin("test"), username="wanted")
        except Conflict:
            return "taken"
        return "created"

    outcomes = await asyncio.gather(*(create() for _ in range(10)))

    assert sorted(outcomes) == ["created", *(["taken"] * 9)]
