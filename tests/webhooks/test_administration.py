"""Changing webhooks: bounds that hold in a race, secrets that overlap, what a deletion takes."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.purge_expired import purge_expired
from authsvc.jobs.retry_dead import retry_dead_entries
from authsvc.master_key import parse_master_keys
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.resources import open_resources
from authsvc.storage import outbox
from authsvc.storage.schema import outbox as outbox_table
from authsvc.storage.schema import webhook_secrets
from authsvc.webhooks import administration
from authsvc.webhooks.administration import MAX_SECRETS, IssuedSecret
from tests.cli.command import OTHER_MASTER_KEY
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.event_receiver import EventReceiver, create_webhook
from tests.provider import ORIGIN, Provider
from tests.webhooks.conftest import OpenTeller

URL = "https://receiver.example/events"


async def change(provider: Provider, name: str, *arguments: Any, **named: Any) -> Any:
    """Call a method of the administration in a transaction of its own."""
    async with provider.resources.database.transaction() as tx:
        method = getattr(provider.resources.webhooks, name)
        return await method(tx, *arguments, ORIGIN, **named)


async def rotate(provider: Provider, issued: IssuedSecret) -> str:
    rotated: IssuedSecret = await change(provider, "rotate_secret", issued.webhook.id)
    return rotated.secret


async def record(provider: Provider, event: str = "user.created") -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.audit.record(tx, event, ORIGIN, now=provider.clock.now())


async def count(provider: Provider, table: Any) -> int:
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(func.count()).select_from(table))
        number: int = rows.scalar_one()
        return number


async def send(provider: Provider, receiver: EventReceiver, *secrets: str) -> list[bool]:
    """Have an event told; return by which of ``secrets`` it was signed."""
    await record(provider)
    await deliver_outbox(provider.server)
    message = receiver.take()
    return [message.is_signed_by(secret) for secret in secrets]


async def test_a_secret_signs_for_a_day_after_another_has_replaced_it(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    first = issued.secret
    second = await rotate(teller, issued)
    assert await send(teller, receiver, first, second) == [True, True]
    teller.clock.move(hours=23)
    assert await send(teller, receiver, first, second) == [True, True]
    teller.clock.move(hours=2)
    assert await send(teller, receiver, first, second) == [False, True]


async def test_who_rotates_twice_in_a_day_still_signs_by_what_the_receiver_has(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    secrets = [issued.secret, await rotate(teller, issued)]
    teller.clock.move(hours=12)
    secrets.append(await rotate(teller, issued))
    assert await send(teller, receiver, *secrets) == [True, True, True]
    teller.clock.move(hours=13)
    # Each has its own day, which a later rotation neither ends nor makes longer.
    assert await send(teller, receiver, *secrets) == [False, True, True]
    teller.clock.move(hours=12)
    assert await send(teller, receiver, *secrets) == [False, False, True]


async def test_secrets_that_sign_at_once_are_bounded_also_in_a_race(
    make_backend: Callable[[str], Backend], open_providers: OpenProvider
) -> None:
    backend = make_backend("postgres")
    replicas = [await open_providers(backend) for _ in range(2)]
    issued = await create_webhook(replicas[0], URL)

    outcomes = await asyncio.gather(
        *(rotate(replica, issued) for replica in replicas * 4), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert len(outcomes) - len(refused) == MAX_SECRETS - 1
    assert await count(replicas[0], webhook_secrets) == MAX_SECRETS


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


async def test_the_purge_takes_secrets_that_have_expired_and_no_other(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    current = await rotate(teller, issued)
    await purge_expired(teller.server)
    assert await count(teller, webhook_secrets) == 2

    teller.clock.move(days=2)
    await purge_expired(teller.server)

    assert await count(teller, webhook_secrets) == 1
    assert await send(teller, receiver, current) == [True]


async def test_a_deletion_takes_what_waits_and_what_was_given_up_and_nothing_else(
    teller: Provider, receiver: EventReceiver
) -> None:
    doomed = await receiver.register(teller, "user.created")
    kept = await create_webhook(teller, receiver.url.replace("/events", "/kept"), "user.created")
    receiver.status = 410
    await record(teller)
    await deliver_outbox(teller.server)
    for _ in range(3):
        await record(teller)
    async with teller.resources.database.transaction() as tx:
        await outbox.add(
            tx, "of another kind", [{"webhook_id": doomed.webhook.id}], now=teller.clock.now()
        )
    await change(teller, "delete", doomed.webhook.id)
    assert await teller.resources.webhooks.discard_entries(doomed.webhook.id) == 4
    assert await teller.resources.webhooks.discard_entries(doomed.webhook.id) == 0

    async with teller.resources.database.reading() as tx:
        left = [row.payload["webhook_id"] for row in await tx.execute(select(outbox_table))]
    assert sorted(left) == sorted([kept.webhook.id] * 4 + [doomed.webhook.id])
    assert await count(teller, webhook_secrets) == 1
    with pytest.raises(NotFound):
        await change(teller, "delete", doomed.webhook.id)


async def test_what_was_noted_while_the_webhook_went_is_dropped_when_it_is_due(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    await record(teller)
    await change(teller, "delete", issued.webhook.id)

    await deliver_outbox(teller.server)

    assert receiver.web.requests == []
    assert await count(teller, outbox_table) == 0


async def test_one_that_is_disabled_is_told_nothing_and_what_waited_can_be_retried(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    await record(teller)
    for _ in range(2):
        disabled = await change(teller, "disable", issued.webhook.id)
        assert disabled.disabled_at is not None
    await record(teller)
    await deliver_outbox(teller.server)
    assert receiver.web.requests == []
    assert await count(teller, outbox_table) == 1

    for _ in range(2):
        enabled = await change(teller, "enable", issued.webhook.id)
        assert enabled.disabled_at is None
    assert await retry_dead_entries(teller.server, ORIGIN) == 1
    await deliver_outbox(teller.server)

    receiver.take()
    for event in ("webhook.disabled", "webhook.enabled"):
        assert len(await teller.audit_events(event)) == 1


async def test_what_waits_goes_where_the_webhook_leads_by_then(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await create_webhook(teller, f"{receiver.web.url}/before", "user.created")
    await record(teller)
    changed = await change(
        teller, "update", issued.webhook.id, url=receiver.url, events=["login.*"]
    )
    assert (changed.url, changed.events) == (receiver.url, ["login.*"])
    await record(teller)
    await deliver_outbox(teller.server)

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
        await change(sqlite_provider, "update", issued.webhook.id, url=url)


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


async def test_a_secret_is_sealed_and_goes_along_when_the_master_key_is_rotated(
    backend: Backend, open_tellers: OpenTeller, receiver: EventReceiver
) -> None:
    before = await open_tellers(backend)
    issued = await receiver.register(before, "user.created")
    second = await rotate(before, issued)
    both = SecretStr(f"{OTHER_MASTER_KEY} {MASTER_KEY}")
    async with open_resources(backend.settings(master_key=both)) as resources:
        async with resources.database.transaction() as tx:
            assert await resources.webhooks.reseal(tx) == 2
            assert await resources.webhooks.reseal(tx) == 0
        async with resources.database.reading() as tx:
            sealed = list((await tx.execute(select(webhook_secrets.c.secret_sealed))).scalars())

    newest = parse_master_keys(OTHER_MASTER_KEY)
    opened = {newest.open(one, purpose="webhook secret") for one in sealed}
    assert opened == {_bytes_of(secret) for secret in (issued.secret, second)}
    # Whoever has not the new key yet can not sign; what waits is not lost.
    await record(before)
    await deliver_outbox(before.server)
    assert receiver.web.requests == []
    assert await count(before, outbox_table) == 1


def _bytes_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))
