"""What waits for webhooks is bounded, and their URLs are shown without what may be a secret."""

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select
from structlog.testing import capture_logs

from authsvc.jobs import bound_webhooks as job
from authsvc.jobs.bound_webhooks import bound_webhooks
from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.logs import get_logger
from authsvc.outbound.targets import parse_target
from authsvc.storage import outbox
from authsvc.storage.schema import outbox as table
from authsvc.webhooks.messages import WEBHOOK
from authsvc.webhooks.urls import mask_query
from tests.event_receiver import (
    EventReceiver,
    change_webhook,
    count_rows,
    create_webhook,
    record_event,
)
from tests.provider import Provider


def dropped() -> float:
    labels = {"kind": WEBHOOK, "outcome": "dropped"}
    return REGISTRY.get_sample_value("authsvc_outbox_entries_total", labels) or 0


async def test_of_too_many_that_wait_for_one_webhook_the_oldest_are_dropped_and_counted(
    teller: Provider, receiver: EventReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "MAX_WAITING", 5)
    monkeypatch.setattr(job, "_BATCH", 2)
    monkeypatch.setattr(job, "log", get_logger("bound_webhooks"))
    await receiver.register(teller, "user.created")
    receiver.status = 410
    await record_event(teller, subject="dead")
    await deliver_webhooks(teller.server)
    flooded = await create_webhook(teller, receiver.url, "user.created", "user.updated")
    for number in range(4):
        await record_event(teller, subject=f"both {number}")
    for number in range(4):
        await record_event(teller, "user.updated", subject=f"flood {number}")
    async with teller.resources.database.transaction() as tx:
        await outbox.add(tx, "other", [{"webhook_id": flooded.webhook.id}], now=teller.clock.now())
    before = dropped()

    with capture_logs() as lines:
        await bound_webhooks(teller.server)
        await bound_webhooks(teller.server)

    async with teller.resources.database.reading() as tx:
        rows = list(await tx.execute(select(table).order_by(table.c.id)))
    of_flooded = [row for row in rows if row.payload["webhook_id"] == flooded.webhook.id]
    assert [row.payload["event"]["data"]["subject"] for row in of_flooded[:-1]] == [
        "both 3", "flood 0", "flood 1", "flood 2", "flood 3",
    ]  # fmt: skip
    assert len(rows) - len(of_flooded) == 5
    assert dropped() == before + 3
    (told,) = [line for line in lines if line["event"] == "webhook_entries_dropped"]
    assert (told["webhook"], told["number"], told["log_level"]) == (
        flooded.webhook.id, 3, "warning",
    )  # fmt: skip


async def test_nothing_is_kept_for_a_webhook_that_is_gone(
    teller: Provider, receiver: EventReceiver
) -> None:
    """Whoever deleted it was stopped before what waited was discarded."""
    gone = await receiver.register(teller, "user.created")
    receiver.status = 410
    await record_event(teller)
    await deliver_webhooks(teller.server)
    await record_event(teller)
    kept = await create_webhook(teller, receiver.url, "user.created")
    await record_event(teller)
    await change_webhook(teller, "delete", gone.webhook.id)
    assert await count_rows(teller, table) == 4

    await bound_webhooks(teller.server)

    async with teller.resources.database.reading() as tx:
        (row,) = await tx.execute(select(table))
    assert row.payload["webhook_id"] == kept.webhook.id


def test_it_is_on_the_schedule() -> None:
    assert {s.work: s.seconds for s in SCHEDULE}[bound_webhooks] <= 60


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/b", "https://a.example/b"),
        ("https://a.example/b?key=secret", "https://a.example/b?***"),
        ("https://a.example/?a=1&key=secret?x#secret", "https://a.example/?***"),
        ("https://a.example?", "https://a.example?***"),
    ],
)
async def test_a_query_is_shown_nowhere(url: str, shown: str, sqlite_provider: Provider) -> None:
    assert mask_query(url) == shown
    issued = await create_webhook(sqlite_provider, url)
    assert "secret" not in repr(issued.webhook) + repr(parse_target(url, http=False))
    assert "key=" not in repr(await sqlite_provider.audit_events())
