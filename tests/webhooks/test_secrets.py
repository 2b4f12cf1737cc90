"""The secrets of webhooks: how long each signs, and that they lie sealed."""

import asyncio
import base64
from collections.abc import Callable

from pydantic import SecretStr
from sqlalchemy import select

from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.purge_expired import purge_expired
from authsvc.master_key import parse_master_keys
from authsvc.protocol.errors import Conflict
from authsvc.resources import open_resources
from authsvc.storage.schema import outbox, webhook_secrets
from authsvc.webhooks.administration import MAX_SECRETS, IssuedSecret
from tests.cli.command import OTHER_MASTER_KEY
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.event_receiver import (
    EventReceiver,
    change_webhook,
    count_rows,
    create_webhook,
    record_event,
)
from tests.provider import Provider
from tests.webhooks.conftest import OpenTeller

URL = "https://receiver.example/events"


async def rotate(provider: Provider, issued: IssuedSecret) -> str:
    rotated: IssuedSecret = await change_webhook(provider, "rotate_secret", issued.webhook.id)
    return rotated.secret


async def send(provider: Provider, receiver: EventReceiver, *secrets: str) -> list[bool]:
    """Have an event told; return by which of ``secrets`` it was signed."""
    await record_event(provider)
    await deliver_webhooks(provider.server)
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
    assert await count_rows(replicas[0], webhook_secrets) == MAX_SECRETS


async def test_the_purge_takes_secrets_that_have_expired_and_no_other(
    teller: Provider, receiver: EventReceiver
) -> None:
    issued = await receiver.register(teller, "user.created")
    current = await rotate(teller, issued)
    await purge_expired(teller.server)
    assert await count_rows(teller, webhook_secrets) == 2

    teller.clock.move(days=2)
    await purge_expired(teller.server)

    assert await count_rows(teller, webhook_secrets) == 1
    assert await send(teller, receiver, current) == [True]


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
    await record_event(before)
    await deliver_webhooks(before.server)
    assert receiver.web.requests == []
    assert await count_rows(before, outbox) == 1


def _bytes_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))
