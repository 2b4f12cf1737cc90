"""Webhooks, end to end: what happens is posted to who wants to know, signed, until it is taken."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook as Verifier
from structlog.testing import capture_logs

from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.retry_dead import retry_dead_entries
from authsvc.logs import get_logger
from authsvc.outbound import OutboundError
from authsvc.storage.audit import Origin
from authsvc.storage.outbox import add
from authsvc.storage.schema import outbox
from authsvc.tokens.logout_token import BACKCHANNEL_LOGOUT
from authsvc.webhooks.messages import WEBHOOK
from tests.conftest import Backend
from tests.event_receiver import EventReceiver, create_webhook, open_receivers, record_event
from tests.provider import ORIGIN, Provider
from tests.web_servers import Answer, ReceivedRequest
from tests.webhooks.conftest import OpenTeller


async def entries(provider: Provider) -> list[Any]:
    async with provider.resources.database.reading() as tx:
        return list(await tx.execute(select(outbox).order_by(outbox.c.id)))


async def test_what_happens_is_told_as_it_is_in_the_log_but_for_the_address(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.*")
    origin = Origin("cli:ada", address="203.0.113.9", request_id="the-request")
    async with teller.resources.database.transaction() as tx:
        person = await teller.resources.people.create(
            tx, origin, username="grace", password_hash=None
        )
    await record_event(teller, "login.failed")

    await deliver_webhooks(teller.server)

    message = receiver.take()
    Verifier(issued.secret).verify(message.request.body, dict(message.request.headers))
    (event,) = await teller.audit_events("user.created")
    assert message.event == {
        "id": event.id,
        "type": "user.created",
        "timestamp": event.at.isoformat(),
        "data": {
            "actor": "cli:ada",
            "subject": person.id,
            "client_id": "",
            "request_id": "the-request",
            "details": {},
        },
    }
    assert datetime.fromisoformat(message.event["timestamp"]) == event.at
    assert message.id == f"{event.id}_{issued.webhook.id}"
    assert b"203.0.113.9" not in message.request.body
    assert await entries(teller) == []


async def test_what_failed_comes_again_the_same_but_for_when_it_was_sent(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    await record_event(teller, members=["b", "a"], zeta=1, alpha={"y": 1, "x": None})
    for status in (500, 302, 404, 429):
        receiver.status = status
        await deliver_webhooks(teller.server)
        teller.clock.move(hours=1)
        (entry,) = await entries(teller)
        assert (entry.failed_at, entry.last_error) == (None, f"the receiver answered {status}")
    receiver.status = 200
    await deliver_webhooks(teller.server)

    assert await entries(teller) == []
    first, *others = receiver.received
    assert len(others) == 4
    for before, after in zip(receiver.received, others, strict=False):
        assert after.id == first.id
        assert after.request.body == first.request.body
        assert timedelta(minutes=59) < after.sent_at - before.sent_at < timedelta(minutes=61)
        assert after.is_signed_by(issued.secret)


async def test_what_is_rolled_back_is_told_to_nobody(
    teller: Provider, receiver: EventReceiver
) -> None:
    await receiver.register(teller, "user.created")

    async def fail() -> None:
        async with teller.resources.database.transaction() as tx:
            await teller.resources.audit.record(tx, "user.created", ORIGIN, now=teller.clock.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await deliver_webhooks(teller.server)
    assert receiver.received == []

    await record_event(teller)
    await deliver_webhooks(teller.server)
    assert receiver.take().event["type"] == "user.created"


async def test_a_new_webhook_misses_nothing_of_what_other_processes_do_from_then_on(
    backend: Backend, open_tellers: OpenTeller, receiver: EventReceiver
) -> None:
    here, there = [await open_tellers(backend) for _ in range(2)]
    for number in range(10):
        await record_event(there, subject=f"before {number}")
        issued = await create_webhook(here, receiver.url)
        await record_event(there, subject=f"after {number}")
        async with here.resources.database.transaction() as tx:
            await here.resources.webhooks.disable(tx, issued.webhook.id, ORIGIN)
        await record_event(there, subject=f"disabled {number}")

    told = [
        entry.payload["event"]["data"]["subject"]
        for entry in await entries(here)
        if entry.payload["event"]["type"] == "user.created"
    ]
    assert told == [f"after {number}" for number in range(10)]


async def test_who_answers_that_it_is_gone_is_not_asked_again_until_an_operator_says_so(
    teller: Provider, receiver: EventReceiver
) -> None:
    await receiver.register(teller, "user.created")
    await record_event(teller)
    receiver.status = 410
    await deliver_webhooks(teller.server)
    teller.clock.move(days=1)
    await deliver_webhooks(teller.server)

    gone = receiver.take()
    (entry,) = await entries(teller)
    assert (entry.last_error, entry.attempts) == ("the receiver answered 410", 1)
    assert entry.failed_at is not None

    receiver.status = 200
    assert await retry_dead_entries(teller.server, ORIGIN) == 1
    await deliver_webhooks(teller.server)
    assert receiver.take().id == gone.id
    assert await entries(teller) == []


async def test_a_redirect_is_not_followed(sqlite_teller: Provider, receiver: EventReceiver) -> None:
    (elsewhere,) = open_receivers(receiver.web, ["/elsewhere"])

    async def redirect(_request: ReceivedRequest) -> Answer:
        return Answer(307, {"Location": elsewhere.url})

    receiver.web.handle("/moved", redirect)
    await create_webhook(sqlite_teller, f"{receiver.web.url}/moved", "user.created")
    await record_event(sqlite_teller)

    await deliver_webhooks(sqlite_teller.server)

    assert [request.path for request in receiver.web.requests] == ["/moved"]
    assert elsewhere.received == []
    (entry,) = await entries(sqlite_teller)
    assert entry.last_error == "the receiver answered 307"


async def test_one_that_is_slow_holds_up_no_other(
    sqlite_teller: Provider, receiver: EventReceiver
) -> None:
    slow, quick = open_receivers(receiver.web, ["/slow", "/quick"])
    slow.may_answer.clear()
    for each in (slow, quick):
        await each.register(sqlite_teller, "user.created")
    for number in range(20):
        await record_event(sqlite_teller, subject=str(number))

    delivering = asyncio.create_task(deliver_webhooks(sqlite_teller.server))
    async with asyncio.timeout(20):
        while len(quick.received) < 20:  # noqa: ASYNC110  # the receiver sets no event of it
            await asyncio.sleep(0.01)
    assert len({message.id for message in quick.received}) == 20
    assert len(slow.received) == 4
    assert not delivering.done()
    slow.may_answer.set()
    await delivering


async def test_events_that_a_receiver_answers_with_500_hold_up_none_of_its_others(
    teller: Provider, receiver: EventReceiver
) -> None:
    async def stumble(request: ReceivedRequest) -> Answer:
        answer = await receiver.answer(request)
        bad = receiver.received[-1].event["data"]["subject"] == "bad"
        return Answer(500) if bad else answer

    receiver.web.handle(receiver.path, stumble)
    await receiver.register(teller, "user.created")
    for _ in range(20):
        await record_event(teller, subject="bad")
    await deliver_webhooks(teller.server)
    for _ in range(20):
        await record_event(teller, subject="good")
    await deliver_webhooks(teller.server)

    told = Counter(message.event["data"]["subject"] for message in receiver.received)
    assert told == {"bad": 20, "good": 20}
    left = await entries(teller)
    assert {(entry.attempts, entry.last_error) for entry in left} == {
        (1, "the receiver answered 500")
    }


async def test_receivers_that_hang_hold_up_no_logout_notice(
    teller: Provider, receiver: EventReceiver
) -> None:
    hanging = open_receivers(receiver.web, [f"/{number}" for number in range(12)])
    for each in hanging:
        each.may_answer.clear()
        await each.register(teller, "user.created")
    for _ in range(4):
        await record_event(teller)
    delivering = asyncio.create_task(deliver_webhooks(teller.server))
    # Any of them: 40 of the 48 are due at once, and nobody says which.
    asked = [asyncio.create_task(each.asked.wait()) for each in hanging]
    done, _ = await asyncio.wait(asked, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert done
    async with teller.resources.database.transaction() as tx:
        # Of a client that is gone, so that nothing is to be sent.
        notice = {"client_id": "gone", "session_id": "gone", "user_id": "gone"}
        await add(tx, BACKCHANNEL_LOGOUT, [notice], now=teller.clock.now())

    await deliver_outbox(teller.server)

    assert not delivering.done()
    assert {entry.kind for entry in await entries(teller)} == {WEBHOOK}
    for each in hanging:
        each.may_answer.set()
    await delivering
    assert sum(len(each.received) for each in hanging) == 48


async def test_one_under_way_when_the_process_stops_comes_again(
    teller: Provider, receiver: EventReceiver
) -> None:
    await receiver.register(teller, "user.created")
    await record_event(teller)
    receiver.may_answer.clear()
    delivering = asyncio.create_task(deliver_webhooks(teller.server))
    await asyncio.wait_for(receiver.asked.wait(), 10)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    receiver.may_answer.set()

    await deliver_webhooks(teller.server)
    assert len(receiver.received) == 1
    teller.clock.move(minutes=2)
    await deliver_webhooks(teller.server)

    first, second = receiver.received
    assert second.id == first.id
    assert second.sent_at > first.sent_at
    assert await entries(teller) == []


@pytest.mark.parametrize("networks", ["", "10.0.0.0/8", "127.0.0.2,::2"])
async def test_what_leads_to_a_network_that_is_not_named_is_refused(
    networks: str, sqlite_backend: Backend, open_tellers: OpenTeller, receiver: EventReceiver
) -> None:
    provider = await open_tellers(sqlite_backend, webhook_networks=networks)
    await create_webhook(provider, receiver.url, "user.created")
    await record_event(provider)

    await deliver_webhooks(provider.server)

    assert receiver.web.requests == []
    (entry,) = await entries(provider)
    assert entry.last_error == "the host has an address that requests may not go to"
    assert entry.failed_at is None


async def test_no_network_that_is_named_is_reached_by_what_clients_name(
    sqlite_backend: Backend, open_tellers: OpenTeller, receiver: EventReceiver
) -> None:
    provider = await open_tellers(sqlite_backend)
    outbound = provider.resources.outbound
    for lane in ("essential", "content"):
        with pytest.raises(OutboundError, match="may not go to"):
            await outbound.get(receiver.url, lane=lane)
    with pytest.raises(OutboundError, match="may not go to"):
        await outbound.post_form(receiver.url, {})
    assert receiver.web.requests == []


async def test_no_secret_is_logged_whatever_becomes_of_a_message(
    sqlite_teller: Provider, receiver: EventReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("authsvc.outbound.client._log", "authsvc.jobs.deliver_outbox.log"):
        monkeypatch.setattr(name, get_logger(name))
    with capture_logs() as lines:
        url = f"{receiver.url}?key=of-the-receiver"
        issued = await create_webhook(sqlite_teller, url)
        async with sqlite_teller.resources.database.transaction() as tx:
            rotated = await sqlite_teller.resources.webhooks.rotate_secret(
                tx, issued.webhook.id, ORIGIN
            )
        for status in (500, 410, 200):
            receiver.status = status
            await record_event(sqlite_teller)
            await deliver_webhooks(sqlite_teller.server)

    logged = repr(lines)
    assert "outbox_entry_dead" in logged
    assert "outbox_delivery_failed" in logged
    events = repr(await sqlite_teller.audit_events()) + repr(await entries(sqlite_teller))
    for secret in (issued.secret, rotated.secret):
        bare = secret.removeprefix("whsec_")
        assert bare not in logged + events
        assert all(
            signature.removeprefix("v1,") not in logged + events
            for message in receiver.received
            for signature in message.signatures
        )
    assert "of-the-receiver" not in logged + events
