"""People are told by mail what became of their account: with the change, or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import select

from authsvc.identity.mail_notices import MAIL_NOTICE
from authsvc.jobs import deliver_outbox as outbox_job
from authsvc.jobs import scheduler
from authsvc.jobs.deliver_mail import deliver_mail
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound.breakers import FAILURES
from authsvc.storage import outbox
from authsvc.storage.schema import outbox as table
from tests.conftest import Backend, OpenProvider
from tests.mail_catcher import MailCatcher, open_mail_catcher
from tests.provider import ORIGIN, Provider
from tests.server_programs import free_port

ADDRESS = "anna@people.example"
NEW_PASSWORD = "another horse battery"


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    """Where the mail goes."""
    async with open_mail_catcher() as opened:
        yield opened


@pytest.fixture
async def mailing(
    catcher: MailCatcher,
    backend: Backend,
    open_providers: OpenProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> Provider:
    """A provider that sends mail when a test says so."""
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    running: Provider = await open_providers(backend, **catcher.settings())
    return running


async def waiting(provider: Provider) -> list[Any]:
    async with provider.resources.database.reading() as tx:
        return list(await tx.execute(select(table).where(table.c.kind == MAIL_NOTICE)))


async def set_password(provider: Provider, user_id: str) -> None:
    people = provider.resources.people
    password_hash = await people.hash_new_password(NEW_PASSWORD, names=())
    async with provider.resources.database.transaction() as tx:
        await people.set_password(tx, user_id, password_hash, ORIGIN)


async def test_who_gets_another_password_is_told(mailing: Provider, catcher: MailCatcher) -> None:
    account = await mailing.create_user(username="anna", email=ADDRESS)
    await set_password(mailing, account.id)

    await deliver_mail(mailing.server)

    caught = await catcher.take()
    assert caught.receivers == [ADDRESS]
    assert caught.message["Subject"] == "Your password was changed"
    assert "Account: anna" in caught.text
    assert mailing.settings.issuer in caught.text
    assert f"{mailing.clock.now():%Y-%m-%d}" in caught.text
    assert NEW_PASSWORD not in caught.text
    assert await waiting(mailing) == []
    assert catcher.caught.empty()


async def test_the_old_address_is_told_that_there_is_another(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await mailing.create_user(username="anna", email=ADDRESS)
    people = mailing.resources.people
    changes: list[dict[str, Any]] = [
        {"claims": {"name": "Anna"}}, {"email": ADDRESS}, {"email": "eve@evil.example"},
        {"email": None}, {"email": "new@people.example"},
    ]  # fmt: skip
    for change in changes:
        async with mailing.resources.database.transaction() as tx:
            await people.update(tx, account.id, ORIGIN, change)

    await deliver_mail(mailing.server)

    caught = [await catcher.take() for _ in range(2)]
    assert sorted(each.receivers for each in caught) == [[ADDRESS], ["eve@evil.example"]]
    assert {each.message["Subject"] for each in caught} == {"Your mail address was changed"}
    # Who had the account does not learn where it went.
    assert not any("@" in each.text for each in caught)
    assert catcher.caught.empty()


async def test_a_change_that_does_not_happen_is_told_nobody(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await mailing.create_user(email=ADDRESS)
    people = mailing.resources.people
    password_hash = await people.hash_new_password(NEW_PASSWORD, names=())

    async def change_in_vain() -> None:
        async with mailing.resources.database.transaction() as tx:
            await people.set_password(tx, account.id, password_hash, ORIGIN)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_in_vain()

    await deliver_mail(mailing.server)

    assert await waiting(mailing) == []
    assert catcher.connections == 0


async def test_who_has_no_address_or_is_gone_is_told_nothing(
    mailing: Provider, catcher: MailCatcher
) -> None:
    nobody = await mailing.create_user()
    await set_password(mailing, nobody.id)
    assert await waiting(mailing) == []
    gone = await mailing.create_user(email=ADDRESS)
    await set_password(mailing, gone.id)
    async with mailing.resources.database.transaction() as tx:
        await mailing.resources.people.delete(tx, gone.id, ORIGIN)

    await deliver_mail(mailing.server)

    assert await waiting(mailing) == []
    assert catcher.connections == 0


async def test_without_a_mail_server_no_mail_is_written(sqlite_provider: Provider) -> None:
    account = await sqlite_provider.create_user(email=ADDRESS)
    await set_password(sqlite_provider, account.id)
    assert await waiting(sqlite_provider) == []
    await deliver_mail(sqlite_provider.server)


async def test_a_repeated_delivery_is_the_same_message(
    mailing: Provider, catcher: MailCatcher
) -> None:
    """The worker dies between sending and noting: the server has answered nobody."""
    account = await mailing.create_user(email=ADDRESS)
    await set_password(mailing, account.id)
    catcher.held.clear()
    delivering = asyncio.create_task(deliver_mail(mailing.server))
    first = await catcher.take()
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    catcher.held.set()

    await deliver_mail(mailing.server)
    assert catcher.caught.empty(), "it is claimed"
    mailing.clock.move(minutes=2)
    await deliver_mail(mailing.server)

    second = await catcher.take()
    assert second.message["Message-ID"] == first.message["Message-ID"]
    assert second.content == first.content
    assert await waiting(mailing) == []


async def test_two_notices_are_two_messages(mailing: Provider, catcher: MailCatcher) -> None:
    account = await mailing.create_user(email=ADDRESS)
    await set_password(mailing, account.id)
    await set_password(mailing, account.id)
    await deliver_mail(mailing.server)
    caught = [await catcher.take() for _ in range(2)]
    assert len({each.message["Message-ID"] for each in caught}) == 2
    assert catcher.connections <= 2


async def test_a_receiver_that_is_refused_for_good_is_dead_at_once_and_named_nowhere(
    mailing: Provider, catcher: MailCatcher, caplog: pytest.LogCaptureFixture
) -> None:
    account = await mailing.create_user(email=ADDRESS)
    await set_password(mailing, account.id)
    catcher.answers["RCPT"] = "550 5.1.1 <{address}>: nobody here"

    await deliver_mail(mailing.server)

    (row,) = await waiting(mailing)
    assert row.failed_at is not None
    assert row.last_error == "the mail server answered 550 5.1.1 to the receiver"
    assert ADDRESS not in caplog.text
    metrics = (await mailing.http.get("/metrics")).text
    assert 'kind="mail_notice",outcome="dead"' in metrics
    assert "people.example" not in metrics


async def test_what_may_pass_is_tried_again_with_all_its_delays(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await mailing.create_user(email=ADDRESS)
    await set_password(mailing, account.id)
    catcher.answers["RCPT"] = "450 4.2.1 later"
    await deliver_mail(mailing.server)
    (row,) = await waiting(mailing)
    assert (row.failed_at, row.attempts) == (None, 1)
    catcher.answers.clear()
    await deliver_mail(mailing.server)
    assert catcher.caught.empty()
    mailing.clock.move(seconds=6)
    await deliver_mail(mailing.server)
    assert (await catcher.take()).receivers == [ADDRESS]


async def test_an_address_that_can_not_be_mailed_to_is_dead_and_injects_nothing(
    mailing: Provider, catcher: MailCatcher
) -> None:
    account = await mailing.create_user(email="anna@people.example>,<eve@evil.example")
    await set_password(mailing, account.id)
    await deliver_mail(mailing.server)
    (row,) = await waiting(mailing)
    assert row.failed_at is not None
    assert "eve" not in row.last_error
    assert catcher.connections == 0


async def test_many_go_over_few_connections(mailing: Provider, catcher: MailCatcher) -> None:
    for number in range(40):
        account = await mailing.create_user(email=f"person{number}@people.example")
        await set_password(mailing, account.id)

    await deliver_mail(mailing.server)

    assert catcher.caught.qsize() == 40
    assert catcher.connections <= 4
    assert await waiting(mailing) == []


@pytest.mark.parametrize("drips", [False, True])
async def test_receivers_that_the_server_is_silent_about_hold_up_nobody_else(
    mailing: Provider, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    """A tarpit: the server asks the receivers' own, which lets it wait."""
    monkeypatch.setattr(mailing.resources.mail_server, "_seconds", 1.0)
    catcher.tarpits["tar.example"] = drips
    for number in range(40):
        account = await mailing.create_user(email=f"person{number}@tar.example")
        await set_password(mailing, account.id)
    for number in range(20):
        account = await mailing.create_user(email=f"person{number}@people.example")
        await set_password(mailing, account.id)

    began = time.monotonic()
    await deliver_mail(mailing.server)

    # Four at once were waited for once, and not ten times.
    assert time.monotonic() - began < 5
    assert catcher.caught.qsize() == 20
    rows = await waiting(mailing)
    assert len(rows) == 40
    assert sum(row.attempts for row in rows) <= 6
    assert not any(row.failed_at for row in rows)


async def test_one_person_takes_one_place_and_costs_no_other_an_attempt(
    mailing: Provider, catcher: MailCatcher
) -> None:
    catcher.held.clear()
    first = await mailing.create_user(email="first@people.example")
    for _ in range(5):
        await set_password(mailing, first.id)
    others = [await mailing.create_user(email=f"p{n}@people.example") for n in range(3)]
    for account in others:
        await set_password(mailing, account.id)
    delivering = asyncio.create_task(deliver_mail(mailing.server))
    caught = [await catcher.take() for _ in range(4)]
    assert len({message.receivers[0] for message in caught}) == 4
    catcher.held.set()
    await delivering
    assert catcher.caught.qsize() == 4
    assert await waiting(mailing) == []


async def test_a_server_that_is_left_alone_costs_no_message_an_attempt(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    nobody = SecretStr(f"smtp://localhost:{free_port()}")
    mailing = await open_providers(
        sqlite_backend, smtp_url=nobody, mail_from="login@authsvc.example"
    )
    for number in range(50):
        account = await mailing.create_user(email=f"person{number}@people.example")
        await set_password(mailing, account.id)
    labels = {"kind": MAIL_NOTICE, "outcome": "put_back"}
    before = REGISTRY.get_sample_value("authsvc_outbox_entries_total", labels) or 0
    for _ in range(4):
        await deliver_mail(mailing.server)
        mailing.clock.move(minutes=2)
    # Nor is each of them looked at to find that out.
    after = REGISTRY.get_sample_value("authsvc_outbox_entries_total", labels) or 0
    assert after - before <= 10
    rows = await waiting(mailing)
    assert sum(row.attempts for row in rows) <= FAILURES + 3
    assert sum(row.attempts == 0 for row in rows) >= 50 - FAILURES - 3


async def test_a_mail_server_that_hangs_holds_up_nothing_else(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real schedule: what is for clients goes out while the mail stands still."""
    delivered = asyncio.Event()

    async def deliver(_server: AuthorizationServer, _payload: Any) -> None:
        delivered.set()

    monkeypatch.setattr(outbox_job, "HANDLERS", {"test": deliver})
    async with AsyncExitStack() as stack:
        catcher = await stack.enter_async_context(open_mail_catcher())
        catcher.held.clear()
        provider: Provider = await open_providers(sqlite_backend, **catcher.settings())
        for number in range(10):
            account = await provider.create_user(email=f"person{number}@people.example")
            await set_password(provider, account.id)
        for _ in range(4):
            await catcher.take()
        async with provider.resources.database.transaction() as tx:
            await outbox.add(tx, "test", [{}], now=provider.clock.now())
        async with asyncio.timeout(10):
            await delivered.wait()
        assert catcher.caught.empty()
        assert len(await waiting(provider)) == 10


async def test_metrics_show_that_the_mail_server_is_left_alone(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    nobody = SecretStr(f"smtp://localhost:{free_port()}")
    mailing = await open_providers(
        sqlite_backend, smtp_url=nobody, mail_from="login@authsvc.example"
    )

    async def shown() -> bool:
        scrape = (await mailing.http.get("/metrics")).text
        return 'authsvc_breaker_open{dependency="mail"} 1.0' in scrape

    account = await mailing.create_user(username="anna", email=ADDRESS)
    for _ in range(FAILURES):
        assert not await shown()
        await set_password(mailing, account.id)
        await deliver_mail(mailing.server)
    assert await shown()
