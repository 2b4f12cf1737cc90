"""Changing webhooks: bounds that hold in a race, and what a deletion takes along."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select

from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.retry_dead import retry_dead_entries
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.storage import outbox
from authsvc.storage.schema import outbox as outbox_table
from authsvc.storage.schema import webhook_secrets
from authsvc.webhooks import administration
from authsvc.webhooks.administration import IssuedSecret
from tests.conftest import Backend, OpenProvider
from tests.event_receiver import (
    EventReceiver,
    change_webhook,
    count_rows,
    create_webhook,
    record_event,
)
from tests.provider import ORIGIN, Provider
from tests.webhooks.conftest import OpenTeller

URL = "https://receiver.example/events"


async def test_webhooks_are_bounded_also_in_a_race(
    make_backend: Callable[[str], Backend],
    open_providers: OpenProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(administration, "MAX_WEBHOOKS", 5)
    backend = make_backend("postgres")
    replicas = [await open_providers(backend) for _ in range(2)]

    outcomes = await asyncio.gather(
        *(create_webhook(replica, URL) for replica in replicas * 6), return_exceptions=True
    )

    made = [outcome for outcome in outcomes if isinstance(outcome, IssuedSecret)]
    assert len(made) == 5
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7


async def test_a_deletion_takes_what_waits_and_what_was_given_up_and_nothing_else(
    teller: Provider, receiver: EventReceiver
) -> None:
    doomed = await receiver.register(teller, "user.created")
    kept = await create_webhook(teller, receiver.url.replace("/events", "/kept"), "user.created")
    receiver.status = 410
    await record_event(teller)
    await deliver_webhooks(teller.server)
    for _ in range(3):
        await record_event(teller)
    async with teller.resources.database.transaction() as tx:
        await outbox.add(
            tx, "of another kind", [{"webhook_id": doomed.webhook.id}], now=teller.clock.now()
        )
    await change_webhook(teller, "delete", doomed.webhook.id)
    assert await teller.resources.webhooks.discard_entries(doomed.webhook.id) == 4
    assert await teller.resources.webhooks.discard_entries(doomed.webhook.id) == 0

    async with teller.resources.database.reading() as tx:
        left = [row.payload["webhook_id"] for row in await tx.execute(select(outbox_table))]
    assert sorted(left) == sorted([kept.webhook.id] * 4 + [doomed.webhook.id])
    assert await count_rows(teller, webhook_secrets) == 1
    with pytest.raises(NotFound):
        await change_webhook(teller, "delete", doomed.webhook.id)


async def test_what_was_noted_while_the_webhook_went_is_dropped_when_it_is_due(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    await record_event(teller)
    await change_webhook(teller, "delete", issued.webhook.id)

    await deliver_webhooks(teller.server)

    assert receiver.web.requests == []
    assert await count_rows(teller, outbox_table) == 0


async def test_one_that_is_disabled_is_told_nothing_and_what_waited_can_be_retried(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    await record_event(teller)
    for _ in range(2):
        disabled = await change_webhook(teller, "disable", issued.webhook.id)
        assert disabled.disabled_at is not None
    await record_event(teller)
    await deliver_webhooks(teller.server)
    assert receiver.web.requests == []
    assert await count_rows(teller, outbox_table) == 1

    for _ in range(2):
        enabled = await change_webhook(teller, "enable", issued.webhook.id)
        assert enabled.disabled_at is None
    assert await retry_dead_entries(teller.server, ORIGIN) == 1
    await deliver_webhooks(teller.server)

    receiver.take()
    for event in ("webhook.disabled", "webhook.enabled"):
        assert len(await teller.audit_events(event)) == 1


async def test_what_waits_goes_where_the_webhook_leads_by_then(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await create_webhook(teller, f"{receiver.web.url}/before", "user.created")
    await record_event(teller)
    changed = await change_webhook(
        teller, "update", issued.webhook.id, url=receiver.url, events=["login.*"]
    )
    assert (changed.url, changed.events) == (receiver.url, ["login.*"])
    await record_event(teller)
    await deliver_webhooks(teller.server)

    assert receiver.take().event["type"] == "user.created"
    assert len(receiver.web.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "ftp://receiver.example/",
        "https://user:password@receiver.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/",
        "https:///nobody",
        "receiver.example",
        "",
        "https://receiver.example/\r\nx: y",
        f"https://receiver.example/{'a' * 2_000}",
    ],
)
async def test_no_url_that_leads_inside_or_nowhere_is_taken(
    url: str, sqlite_provider: Provider
) -> None:
    issued = await create_webhook(sqlite_provider, URL)
    with pytest.raises(InvalidRequest) as caught:
        await create_webhook(sqlite_provider, url)
    assert "password" not in str(caught.value.description)
    with pytest.raises(InvalidRequest):
        await change_webhook(sqlite_provider, "update", issued.webhook.id, url=url)


async def test_an_address_is_taken_in_a_network_that_is_named(
    sqlite_backend: Backend, open_tellers: OpenTeller
) -> None:
    provider = await open_tellers(sqlite_backend, webhook_networks="10.1.0.0/16,fd00::/8")
    for url in ("https://10.1.2.3/", "https://[fd00::1]:8443/", "https://1.1.1.1/"):
        await create_webhook(provider, url)
    for url in ("https://10.2.0.1/", "https://[fe80::1]/", "http://10.1.2.3/"):
        with pytest.raises(InvalidRequest):
            await create_webhook(provider, url)


@pytest.mark.parametrize("events", [["user.craeted"], ["user.created", ""], ["*"] * 2 + ["x.*"]])
async def test_no_event_is_taken_that_there_is_not(
    events: list[str], sqlite_provider: Provider
) -> None:
    with pytest.raises(InvalidRequest):
        await create_webhook(sqlite_provider, URL, *events)
