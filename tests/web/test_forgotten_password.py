"""A forgotten password: whoever asks learns nothing, and a link opens one account, once."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import delete, select, text
from structlog.testing import capture_logs

from authsvc.identity.password_resets import PASSWORD_RESET
from authsvc.jobs import deliver_outbox, scheduler
from authsvc.jobs.deliver_mail import deliver_mail
from authsvc.jobs.purge_expired import purge_expired
from authsvc.logs import get_logger
from authsvc.storage.audit import Origin
from authsvc.storage.schema import metadata, outbox, password_resets
from authsvc.storage.users import find_user, update_user
from authsvc.tokens.everything import revoke_everything
from tests.browser import Browser, Page
from tests.conftest import Backend, BackendName, OpenProvider
from tests.mail_catcher import MailCatcher, open_mail_catcher
from tests.provider import ORIGIN, PASSWORD, Account, Provider

ADDRESS = "anna@people.example"
NEW = "another horse battery"


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    """Where the mail goes."""
    async with open_mail_catcher() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


@pytest.fixture
async def mailing(catcher: MailCatcher, backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider on each backend that sends mail when a test says so."""
    running: Provider = await open_providers(backend, **catcher.settings())
    return running


@pytest.fixture
async def sqlite_mailing(
    catcher: MailCatcher, sqlite_backend: Backend, open_providers: OpenProvider
) -> Provider:
    """The same on the embedded defaults."""
    running: Provider = await open_providers(sqlite_backend, **catcher.settings())
    return running


async def ask(provider: Provider, name: str, browser: Browser | None = None) -> Page:
    """Ask for a link, as a person does."""
    browser = browser or provider.browser()
    page = await browser.get("/password/forgot")
    return await browser.submit(page, {"username": name}, button="#forgot-submit")


async def take_link(provider: Provider, catcher: MailCatcher) -> str:
    """Deliver, and return the link of the one mail there is."""
    await deliver_mail(provider.server)
    return link_in((await catcher.take()).text)


def link_in(body: str) -> str:
    (link,) = re.findall(r"^http\S+\?token=\S+$", body, re.MULTILINE)
    return str(link)


async def get_link(provider: Provider, catcher: MailCatcher, name: str = "anna") -> str:
    assert (await ask(provider, name)).status == 200
    return await take_link(provider, catcher)


async def follow(
    browser: Browser, link: str, password: str = NEW, again: str | None = None
) -> Page:
    """Follow a link and set a password there."""
    page = await browser.get(link)
    assert page.has("#reset-submit"), page.text
    values = {"password": password, "password_again": password if again is None else again}
    return await browser.submit(page, values, button="#reset-submit")


async def can_sign_in(provider: Provider, account: Account, password: str) -> bool:
    signed_in = await provider.resources.login.sign_in(
        account.username, password, Origin("anonymous", "192.0.2.77"),
        user_agent="", device=None, replaces=None,
    )  # fmt: skip
    return signed_in is not None


async def events(provider: Provider) -> list[str]:
    return [event.event for event in await provider.audit_events()]


async def make_anna(provider: Provider, **values: Any) -> Account:
    return await provider.create_user(username="anna", **{"email": ADDRESS, **values})


async def test_a_link_is_good_no_more_once_everything_is_revoked(
    mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(mailing)
    link = await get_link(mailing, catcher)
    resources = mailing.resources
    ended = await revoke_everything(
        resources.database, resources.revoker, resources.audit, resources.clock, ORIGIN
    )
    assert ended.password_reset_links == 1
    assert not (await mailing.browser().get(link)).has("#reset-submit")


async def test_a_person_who_forgot_the_password_sets_another_and_all_else_ends(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(mailing)
    client = await mailing.create_client()
    elsewhere = mailing.browser()
    tokens = await mailing.sign_in(client, account, elsewhere)
    login = await mailing.browser().get("/login")
    assert login.has("#forgot-link")

    asked = await ask(mailing, "Anna")
    assert "Look into your mail" in asked.text
    await deliver_mail(mailing.server)
    caught = await catcher.take()
    assert caught.receivers == [ADDRESS]
    assert caught.message["Subject"] == "Set a new password"
    assert "within 30 minutes" in caught.text
    link = link_in(caught.text)
    assert link.startswith(f"{mailing.settings.issuer}/password/reset?token=")
    browser = mailing.browser()
    done = await follow(browser, link)

    assert done.status == 200
    assert "Your password is changed" in done.text
    assert not await can_sign_in(mailing, account, PASSWORD)
    assert await can_sign_in(mailing, account, NEW)
    refreshed = await mailing.token(
        client, grant_type="refresh_token", refresh_token=tokens["refresh_token"]
    )
    assert refreshed.status_code == 400
    page = await elsewhere.get("/login")
    assert page.has("input[name=password]"), "the session has ended"
    # Setting a password signs nobody in.
    assert (await browser.get("/login")).has("input[name=password]")
    async with mailing.resources.database.reading() as tx:
        user = await find_user(tx, account.id)
    assert user is not None
    assert user.email_verified
    told = await events(mailing)
    assert {"user.password_reset_asked", "user.password_reset", "user.password_set"} <= {*told}
    await deliver_mail(mailing.server)
    notice = await catcher.take()
    assert (notice.receivers, notice.message["Subject"]) == (
        [ADDRESS],
        "Your password was changed",
    )


async def test_the_pages_tell_nobody_of_the_link_and_need_no_script(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(sqlite_mailing)
    link = await get_link(sqlite_mailing, catcher)
    browser = sqlite_mailing.browser()
    page = await browser.get(link)
    refused = await follow(browser, link, "short")
    done = await follow(browser, link)
    over = await browser.get(link)
    for shown in (page, refused, done, over):
        assert shown.headers["referrer-policy"] == "no-referrer"
        assert shown.headers["cache-control"] == "no-store"
        policy = shown.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "script-src" not in policy
        assert "<script" not in shown.text
        assert not re.search(r"""(?:src|href|action)="(?:https?:)?//""", shown.text)
        assert 'name="viewport" content="width=device-width' in shown.text
    forgot = await browser.get("/password/forgot")
    assert forgot.headers["cache-control"] == "no-store"
    assert "<script" not in forgot.text


async def test_whoever_is_named_the_answer_is_the_same_to_the_byte(
    mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(mailing)
    await mailing.create_user(username="without")
    disabled = await mailing.create_user(username="disabled", email="disabled@people.example")
    async with mailing.resources.database.transaction() as tx:
        await mailing.resources.people.disable(tx, disabled.id, ORIGIN)
    names = ["anna", ADDRESS, "nobody", "nobody@people.example", "without", "disabled", "x" * 5000]
    names += ["'; DROP TABLE users; --", "\u202eanna"]
    answers = [await ask(mailing, name) for name in names]

    bodies = {answer.text for answer in answers}
    assert len(bodies) == 1
    assert {answer.status for answer in answers} == {200}
    kept = [
        {n: v for n, v in answer.headers.items() if n not in ("x-request-id", "date")}
        for answer in answers
    ]
    assert all(headers == kept[0] for headers in kept)
    # The work is the same, too: each left one entry, of one form.
    async with mailing.resources.database.reading() as tx:
        rows = list(await tx.execute(select(outbox).where(outbox.c.kind == PASSWORD_RESET)))
    assert len(rows) == len(names)
    assert len({tuple(sorted(row.payload)) for row in rows}) == 1
    assert not any(name in str(row.payload) for row in rows for name in ("nobody", "xxx", ADDRESS))

    # What is no text is refused before anybody is looked up.
    assert (await ask(mailing, "a\x00b")).status == 400
    await deliver_mail(mailing.server)
    caught = [await catcher.take() for _ in range(2)]
    assert [each.receivers for each in caught] == [[ADDRESS]] * 2
    assert catcher.caught.empty()
    assert "user.password_reset_asked" in await events(mailing)


async def test_knocking_is_limited_by_name_alike_for_people_and_for_nobody(
    mailing: Provider,
) -> None:
    await make_anna(mailing)
    for name in ("anna", "nobody"):
        statuses, pages = [], []
        for _ in range(7):
            page = await ask(mailing, name)
            statuses.append(page.status)
            pages.append(page)
        assert statuses[:5] == [200] * 5
        assert 429 in statuses
        refused = next(page for page in pages if page.status == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.alert is not None
        assert "Try again in" in refused.alert


async def test_one_address_has_limits_of_its_own(
    catcher: MailCatcher, sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    exact: Provider = await open_providers(
        sqlite_backend, **catcher.settings(), login_address_attempts=2
    )
    assert [(await ask(exact, f"person{n}")).status for n in range(3)] == [200, 200, 429]
    limited: Provider = await open_providers(
        sqlite_backend,
        **catcher.settings(),
        rate_limits=True,
        rate_limit_password_address="3/minute",
    )
    opened = [await limited.browser().get("/password/forgot") for _ in range(4)]
    assert [page.status for page in opened] == [200] * 3 + [429]


async def test_all_of_it_works_while_redis_is_away(
    catcher: MailCatcher,
    make_backend: Callable[[BackendName], Backend],
    open_providers: OpenProvider,
) -> None:
    provider: Provider = await open_providers(
        make_backend("postgres"), **catcher.settings(), redis_url=SecretStr("redis://127.0.0.1:1")
    )
    account = await make_anna(provider)
    link = await get_link(provider, catcher)
    assert (await follow(provider.browser(), link)).status == 200
    assert (await provider.browser().get(link)).status == 400
    assert await can_sign_in(provider, account, NEW)
    # What is counted is in the database.
    assert 429 in [(await ask(provider, "anna")).status for _ in range(7)]


async def test_nobody_gets_more_than_three_links_at_once(
    mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(mailing)
    for _ in range(5):
        await ask(mailing, "anna")
    await deliver_mail(mailing.server)
    assert catcher.caught.qsize() == 3
    assert len({link_in((await catcher.take()).text) for _ in range(3)}) == 3
    mailing.clock.move(minutes=31)
    await get_link(mailing, catcher)


async def test_of_two_at_once_one_sets_the_password(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(mailing)
    link = await get_link(mailing, catcher)
    passwords = [f"{NEW} {number}" for number in range(4)]

    pages = await asyncio.gather(*(follow(mailing.browser(), link, new) for new in passwords))

    won = [new for page, new in zip(pages, passwords, strict=True) if page.status == 200]
    assert len(won) == 1
    assert [await can_sign_in(mailing, account, new) for new in passwords] == [
        new == won[0] for new in passwords
    ]
    assert (await events(mailing)).count("user.password_reset") == 1


async def test_a_link_is_good_once_and_takes_all_others_along(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(mailing)
    first, second = [await get_link(mailing, catcher) for _ in range(2)]
    browser = mailing.browser()
    page = await browser.get(first)
    assert (await follow(browser, first)).status == 200
    for link in (first, second):
        over = await browser.get(link)
        assert over.status == 400
        assert over.alert is not None
    values = {"password": "yet another horse", "password_again": "yet another horse"}
    replayed = await browser.submit(page, values, button="#reset-submit")
    assert replayed.status == 400
    # Nor would they be if the account were as it was.
    async with mailing.resources.database.reading() as tx:
        rows = list(await tx.execute(select(password_resets)))
    assert [row.binding for row in rows] == [b""]
    assert "This link is over" in replayed.text
    assert await can_sign_in(mailing, account, NEW)


async def test_opening_a_link_uses_nothing_up(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    """Scanners of mail open every link, with GET and HEAD, before its person does."""
    await make_anna(sqlite_mailing)
    link = await get_link(sqlite_mailing, catcher)
    scanner = sqlite_mailing.browser()
    for _ in range(3):
        assert (await scanner.http.get(link)).status_code == 200
        assert (await scanner.http.head(link)).status_code == 200
    browser = sqlite_mailing.browser()
    for password, again in (("short", None), (NEW, "other"), ("anna", None), ("password1", None)):
        refused = await follow(browser, link, password, again)
        assert refused.status == 400
        assert refused.alert
        assert not password or password not in refused.text
    assert (await follow(browser, link)).status == 200


async def test_a_link_is_over_after_half_an_hour(mailing: Provider, catcher: MailCatcher) -> None:
    account = await make_anna(mailing)
    link = await get_link(mailing, catcher)
    browser = mailing.browser()
    page = await browser.get(link)
    mailing.clock.move(minutes=30, seconds=1)
    assert (await browser.get(link)).status == 400
    values = {"password": NEW, "password_again": NEW}
    assert (await browser.submit(page, values, button="#reset-submit")).status == 400
    assert await can_sign_in(mailing, account, PASSWORD)
    await purge_expired(mailing.server)
    async with mailing.resources.database.reading() as tx:
        assert len(list(await tx.execute(select(password_resets)))) == 1
    mailing.clock.move(hours=1)
    await purge_expired(mailing.server)
    async with mailing.resources.database.reading() as tx:
        assert list(await tx.execute(select(password_resets))) == []


@pytest.mark.parametrize("when", ["before the mail", "after the mail", "in the form"])
@pytest.mark.parametrize("what", ["password", "email", "disabled", "deleted"])
async def test_a_link_dies_with_what_it_was_made_for(
    sqlite_mailing: Provider, catcher: MailCatcher, what: str, when: str
) -> None:
    account = await make_anna(sqlite_mailing)
    people, database = sqlite_mailing.resources.people, sqlite_mailing.resources.database

    async def change() -> None:
        other = await people.hash_new_password("the same old horse", names=())
        async with database.transaction() as tx:
            if what == "password":
                await people.set_password(tx, account.id, other, ORIGIN)
            elif what == "email":
                await people.update(tx, account.id, ORIGIN, {"email": "eve@evil.example"})
            elif what == "disabled":
                await people.disable(tx, account.id, ORIGIN)
            else:
                await people.delete(tx, account.id, ORIGIN)
            # What this writes for the person is of no interest here.
            await tx.execute(delete(outbox).where(outbox.c.kind != PASSWORD_RESET))

    await ask(sqlite_mailing, "anna")
    if when == "before the mail":
        await change()
        await deliver_mail(sqlite_mailing.server)
        assert catcher.caught.empty()
        return
    link = await take_link(sqlite_mailing, catcher)
    browser = sqlite_mailing.browser()
    page = await browser.get(link)
    await change()
    if when == "after the mail":
        assert (await browser.get(link)).status == 400
    else:
        values = {"password": NEW, "password_again": NEW}
        assert (await browser.submit(page, values, button="#reset-submit")).status == 400
    assert not await can_sign_in(sqlite_mailing, account, NEW)


@pytest.mark.parametrize("when", ["before the mail", "after the mail"])
@pytest.mark.parametrize("what", ["disabled", "email"])
async def test_no_link_comes_back_with_what_it_was_made_for(
    mailing: Provider, catcher: MailCatcher, what: str, when: str
) -> None:
    """As an administrator does who shuts somebody out, and lets the person in again."""
    account = await make_anna(mailing)
    people, database = mailing.resources.people, mailing.resources.database

    async def change_and_undo() -> None:
        async with database.transaction() as tx:
            if what == "disabled":
                await people.disable(tx, account.id, ORIGIN)
            else:
                await people.update(tx, account.id, ORIGIN, {"email": "eve@evil.example"})
        async with database.transaction() as tx:
            if what == "disabled":
                await people.enable(tx, account.id, ORIGIN)
            else:
                await people.update(tx, account.id, ORIGIN, {"email": ADDRESS})
            await tx.execute(delete(outbox).where(outbox.c.kind != PASSWORD_RESET))

    await ask(mailing, "anna")
    if when == "before the mail":
        await change_and_undo()
        await deliver_mail(mailing.server)
        assert catcher.caught.empty()
    else:
        link = await take_link(mailing, catcher)
        await change_and_undo()
        assert (await mailing.browser().get(link)).status == 400
    # What is asked for from then on is good.
    mailing.clock.move(seconds=1)
    link = await get_link(mailing, catcher)
    assert (await follow(mailing.browser(), link)).status == 200
    assert await can_sign_in(mailing, account, NEW)


async def test_a_link_that_is_made_while_its_person_is_disabled_is_good_for_nothing(
    catcher: MailCatcher,
    make_backend: Callable[[BackendName], Backend],
    open_providers: OpenProvider,
) -> None:
    """Both lock the account first: whichever is second sees the other, and neither is ended."""
    provider: Provider = await open_providers(make_backend("postgres"), **catcher.settings())
    people, database = provider.resources.people, provider.resources.database
    accounts = [
        await provider.create_user(username=f"p{n}", email=f"p{n}@people.example")
        for n in range(10)
    ]
    for number, account in enumerate(accounts):
        origin = Origin("anonymous", f"192.0.{number}.1")
        await provider.resources.password_resets.ask(account.username, origin)

    async def disable(account: Account) -> None:
        async with database.transaction() as tx:
            await people.disable(tx, account.id, ORIGIN)

    async with asyncio.timeout(20):
        await asyncio.gather(deliver_mail(provider.server), *(disable(each) for each in accounts))
    for account in accounts:
        async with database.transaction() as tx:
            await people.enable(tx, account.id, ORIGIN)
    await deliver_mail(provider.server)

    links = [link_in((await catcher.take()).text) for _ in range(catcher.caught.qsize())]
    for link in links:
        assert (await provider.browser().get(link)).status == 400


async def test_links_that_are_void_keep_nobody_from_another(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(mailing)
    for _ in range(3):
        await get_link(mailing, catcher)
    await ask(mailing, "anna")
    await deliver_mail(mailing.server)
    assert catcher.caught.empty(), "three are good"
    other = await mailing.resources.people.hash_new_password("yet another horse", names=())
    async with mailing.resources.database.transaction() as tx:
        # As a sign-in does that puts the hash under newer parameters.
        await update_user(tx, account.id, {"password_hash": other}, now=mailing.clock.now())
    link = await get_link(mailing, catcher)
    assert (await follow(mailing.browser(), link)).status == 200


async def test_one_person_is_mailed_twenty_links_a_day_and_nobody_is_told(
    catcher: MailCatcher, backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        backend, **catcher.settings(), password_reset_ttl=timedelta(seconds=61)
    )
    account = await make_anna(provider)
    other = await provider.create_user(username="bob", email="bob@people.example")
    clock, resets = provider.clock, provider.resources.password_resets
    tomorrow = (clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=1)
    clock.move(seconds=(tomorrow - clock.now()).total_seconds())

    async def mailed(name: str, times: int) -> int:
        for number in range(times):
            clock.move(seconds=62)
            await resets.ask(name, Origin("anonymous", f"192.0.{number}.1"))
            await deliver_mail(provider.server)
        caught = [await catcher.take() for _ in range(catcher.caught.qsize())]
        return len(caught)

    assert await mailed("anna", 23) == 20
    # Another's are counted apart, and voiding clears nothing.
    assert await mailed("bob", 1) == 1
    async with provider.resources.database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)
        await provider.resources.people.enable(tx, account.id, ORIGIN)
    assert await mailed("anna", 1) == 0
    asked = await ask(provider, "anna")
    assert (asked.status, asked.text) == (200, (await ask(provider, other.username)).text)
    clock.move(days=1)
    assert await mailed("anna", 1) == 1


async def test_no_answer_under_a_link_lets_the_browser_tell_where_it_came_from(
    catcher: MailCatcher, sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend,
        **catcher.settings(),
        rate_limits=True,
        rate_limit_password_address="4/minute",
        max_body_bytes=2_000,
    )
    http = provider.browser().http
    page = "/password/reset?token=secret"
    answers = [
        await http.get(page),
        await http.put(page),
        await http.get("/password/reset/?token=secret"),
        await http.post(page, data={"token": "x" * 4_000}),
        await http.post(page, data={"token": ["x", "y"]}),
        await http.post(page, content=b"\xff=", headers={"Content-Type": "text/plain"}),
        *[await http.get(page) for _ in range(3)],
    ]
    assert {answer.status_code for answer in answers} == {400, 404, 405, 413, 429}
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer", answer.status_code


async def test_what_changes_while_the_new_password_is_hashed_counts(
    mailing: Provider, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await make_anna(mailing)
    link = await get_link(mailing, catcher)
    people = mailing.resources.people
    real = type(people).hash_new_password

    async def slow(self: Any, password: str, *, names: tuple[str | None, ...]) -> str:
        made = await real(self, password, names=names)
        async with mailing.resources.database.transaction() as tx:
            await people.disable(tx, account.id, ORIGIN)
        return made

    monkeypatch.setattr(type(people), "hash_new_password", slow)
    assert (await follow(mailing.browser(), link)).status == 400
    monkeypatch.undo()
    async with mailing.resources.database.transaction() as tx:
        await people.enable(tx, account.id, ORIGIN)
    assert await can_sign_in(mailing, account, PASSWORD)


async def test_a_link_is_of_one_person_and_mail_goes_where_the_account_says(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    """An address that only folds to the account's gets nothing: the account's own does."""
    anna = await make_anna(sqlite_mailing, email="mike@people.example")
    eve = await sqlite_mailing.create_user(username="eve", email="eve@people.example")
    await ask(sqlite_mailing, "M\uff29KE@people.example")
    await deliver_mail(sqlite_mailing.server)
    caught = await catcher.take()
    assert caught.receivers == ["mike@people.example"]
    await follow(sqlite_mailing.browser(), link_in(caught.text))
    assert await can_sign_in(sqlite_mailing, anna, NEW)
    assert await can_sign_in(sqlite_mailing, eve, PASSWORD)


@pytest.mark.parametrize(
    "token", ["", "x", "A" * 43, "A" * 513, "\u00e9" * 43, "..", "%00", "null"]
)
async def test_what_is_no_token_opens_nothing(sqlite_mailing: Provider, token: str) -> None:
    account = await make_anna(sqlite_mailing)
    browser = sqlite_mailing.browser()
    assert (await browser.get("/password/reset", {"token": token})).status == 400
    forgot = await browser.get("/password/forgot")
    stolen = forgot.forms[0].fields["csrf_token"]
    data = {"token": token, "password": NEW, "password_again": NEW, "csrf_token": stolen}
    refused = await browser.post("/password/reset", data)
    assert refused.status == 400
    assert await can_sign_in(sqlite_mailing, account, PASSWORD)


async def test_other_sites_can_neither_ask_nor_set(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(sqlite_mailing)
    link = await get_link(sqlite_mailing, catcher)
    token = httpx.URL(link).params["token"]
    browser = sqlite_mailing.browser()
    attempts: list[dict[str, str]] = [{}, {"csrf_token": "x"}]
    attempts.append({"csrf_token": (await browser.get(link)).forms[0].fields["csrf_token"]})
    for attempt in attempts:
        other = sqlite_mailing.browser()
        set_ = {"token": token, "password": NEW, "password_again": NEW, **attempt}
        assert (await other.post("/password/reset", set_)).status == 400
        assert (await other.post("/password/forgot", {"username": "anna", **attempt})).status == 400
    cross = {"Sec-Fetch-Site": "cross-site"}
    own = {"token": token, "password": NEW, "password_again": NEW, **attempts[-1]}
    assert (await browser.post("/password/reset", own, headers=cross)).status == 400
    assert await can_sign_in(sqlite_mailing, account, PASSWORD)
    await deliver_mail(sqlite_mailing.server)
    assert catcher.caught.empty()
    assert (await browser.post("/password/reset", own)).status == 200


async def test_the_host_of_a_request_is_not_where_the_link_leads(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(sqlite_mailing)
    browser = sqlite_mailing.browser()
    page = await browser.get("/password/forgot")
    await browser.post(
        "/password/forgot",
        {**page.forms[0].fields, "username": "anna"},
        headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
    )
    link = await take_link(sqlite_mailing, catcher)
    assert link.startswith(f"{sqlite_mailing.settings.issuer}/")


async def test_neither_database_nor_log_holds_what_opens_the_account(
    mailing: Provider, catcher: MailCatcher, caplog: pytest.LogCaptureFixture
) -> None:
    await make_anna(mailing)
    await ask(mailing, "anna")
    catcher.answers["RCPT"] = "550 5.1.1 <{address}>: nobody"

    async def dump() -> str:
        found = ""
        async with mailing.resources.database.reading() as tx:
            for table in metadata.sorted_tables:
                rows = await tx.execute(text(f'SELECT * FROM "{table.name}"'))
                found += "".join(str(tuple(row)) for row in rows)
        return found

    waiting = await dump()
    # A dead letter: the link was made, and its entry stays.
    await deliver_mail(mailing.server)
    dead = await dump()
    async with mailing.resources.database.transaction() as tx:
        await tx.execute(outbox.update().values(failed_at=None, due_at=mailing.clock.now()))
    catcher.answers.clear()
    token = httpx.URL(await take_link(mailing, catcher)).params["token"]
    await follow(mailing.browser(), f"/password/reset?token={token}")

    for content in (waiting, dead, await dump(), caplog.text):
        assert token not in content
        assert NEW not in content
    assert "password_reset" in dead
    assert ADDRESS not in caplog.text


async def test_a_mail_that_is_sent_again_has_the_same_link(
    mailing: Provider, catcher: MailCatcher
) -> None:
    await make_anna(mailing)
    await ask(mailing, "anna")
    catcher.held.clear()
    delivering = asyncio.create_task(deliver_mail(mailing.server))
    first = await catcher.take()
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    catcher.held.set()
    mailing.clock.move(minutes=2)
    await deliver_mail(mailing.server)
    second = await catcher.take()
    assert second.content == first.content
    assert (await follow(mailing.browser(), link_in(first.text))).status == 200


async def test_a_mail_that_is_late_is_not_sent(
    mailing: Provider, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropped() -> float:
        labels = {"kind": PASSWORD_RESET, "outcome": "dropped"}
        return REGISTRY.get_sample_value("authsvc_outbox_entries_total", labels) or 0

    before = dropped()
    await make_anna(mailing)
    for name in ("anna", "nobody"):
        await ask(mailing, name)
    # Still good for some seconds, which the mail may take.
    mailing.clock.move(minutes=29, seconds=40)
    with capture_logs() as lines:
        monkeypatch.setattr(deliver_outbox, "log", get_logger("deliver_outbox"))
        await deliver_mail(mailing.server)
    assert catcher.caught.empty()
    assert dropped() == before + 2
    told = [line for line in lines if line["event"] == "outbox_entry_dropped"]
    # It is the same for people and for nobody here, too.
    assert {line["reason"] for line in told} == {"the link was over before its mail was sent"}
    assert len(told) == 2
    assert "user.password_reset_asked" not in await events(mailing)
    async with mailing.resources.database.reading() as tx:
        assert list(await tx.execute(select(outbox))) == []


async def test_an_account_without_a_password_gets_its_first_by_mail(
    sqlite_mailing: Provider, catcher: MailCatcher
) -> None:
    account = await make_anna(sqlite_mailing)
    async with sqlite_mailing.resources.database.transaction() as tx:
        await update_user(tx, account.id, {"password_hash": None}, now=sqlite_mailing.clock.now())
    link = await get_link(sqlite_mailing, catcher)
    assert (await follow(sqlite_mailing.browser(), link)).status == 200
    assert await can_sign_in(sqlite_mailing, account, NEW)


async def test_without_a_mail_server_there_are_no_such_pages(sqlite_provider: Provider) -> None:
    browser = sqlite_provider.browser()
    assert not (await browser.get("/login")).has("#forgot-link")
    for path in ("/password/forgot", "/password/reset"):
        assert (await browser.http.get(path)).status_code == 404
        assert (await browser.http.post(path)).status_code == 404
