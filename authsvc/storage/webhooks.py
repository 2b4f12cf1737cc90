"""Webhooks' rows and their secrets, which are sealed under the master key."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, text, update

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import webhook_secrets, webhooks

# Any number that nothing else locks by.
_LOCK = 0x7765_6268


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of events; one that is disabled is told nothing."""

    id: str
    # Its query may hold the receiver's secret: a traceback shows none.
    url: str = field(repr=False)
    events: Sequence[str]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A secret that signs, until it expires if another has replaced it."""

    id: str
    webhook_id: str
    secret_sealed: bytes
    created_at: datetime
    expires_at: datetime | None


_WEBHOOK = (
    webhooks.c.id,
    webhooks.c.url,
    webhooks.c.events,
    webhooks.c.created_at,
    webhooks.c.disabled_at,
)
_SECRET = (
    webhook_secrets.c.id,
    webhook_secrets.c.webhook_id,
    webhook_secrets.c.secret_sealed,
    webhook_secrets.c.created_at,
    webhook_secrets.c.expires_at,
)


async def lock_webhooks(tx: Transaction) -> None:
    """Let one transaction at a time change webhooks and their secrets."""
    connection = await tx.connection()
    if connection.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def load_webhooks(tx: Transaction) -> list[Webhook]:
    """Return every webhook, the oldest first."""
    return [Webhook(*row) for row in await tx.execute(select(*_WEBHOOK).order_by(webhooks.c.id))]


async def load_subscriptions(tx: Transaction) -> list[tuple[str, Sequence[str]]]:
    """Return the identifier and the events of each webhook that is to be told of some."""
    enabled = select(webhooks.c.id, webhooks.c.events).where(webhooks.c.disabled_at.is_(None))
    return [(webhook_id, events) for webhook_id, events in await tx.execute(enabled)]


async def find_webhook(tx: Transaction, webhook_id: str) -> Webhook | None:
    """Return the webhook, or None."""
    row = (await tx.execute(select(*_WEBHOOK).where(webhooks.c.id == webhook_id))).first()
    return None if row is None else Webhook(*row)


async def count_webhooks(tx: Transaction) -> int:
    """Return how many there are."""
    rows = await tx.execute(select(func.count()).select_from(webhooks))
    number: int = rows.scalar_one()
    return number


async def create_webhook(
    tx: Transaction, url: str, events: Collection[str], *, now: datetime
) -> str:
    """Store a webhook; return its identifier."""
    webhook_id = new_id(now)
    values = {"id": webhook_id, "url": url, "events": list(events), "created_at": now}
    await tx.execute(webhooks.insert().values(values))
    return webhook_id


async def update_webhook(tx: Transaction, webhook_id: str, changes: Mapping[str, Any]) -> None:
    """Change some columns of the webhook."""
    await tx.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**changes))


async def delete_webhook(tx: Transaction, webhook_id: str) -> None:
    """Delete the webhook and its secrets."""
    await tx.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


async def add_secret(
    tx: Transaction, webhook_id: str, secret_sealed: bytes, *, now: datetime
) -> None:
    """Store one more secret of the webhook, which does not expire."""
    values = {
        "id": new_id(now),
        "webhook_id": webhook_id,
        "secret_sealed": secret_sealed,
        "created_at": now,
    }
    await tx.execute(webhook_secrets.insert().values(values))


async def let_secrets_expire(tx: Transaction, webhook_id: str, *, expires_at: datetime) -> None:
    """Let the secrets that do not expire yet do so; the others keep their time."""
    secret = webhook_secrets.c
    which = (secret.webhook_id == webhook_id, secret.expires_at.is_(None))
    await tx.execute(update(webhook_secrets).where(*which).values(expires_at=expires_at))


async def load_living_secrets(
    tx: Transaction, webhook_id: str, *, now: datetime
) -> list[WebhookSecret]:
    """Return the secrets of the webhook that sign, the newest first."""
    secret = webhook_secrets.c
    living = or_(secret.expires_at.is_(None), secret.expires_at > now)
    found = select(*_SECRET).where(secret.webhook_id == webhook_id, living)
    return [WebhookSecret(*row) for row in await tx.execute(found.order_by(secret.id.desc()))]


async def load_secrets(tx: Transaction) -> list[WebhookSecret]:
    """Return every secret that is stored, of all webhooks."""
    rows = await tx.execute(select(*_SECRET).order_by(webhook_secrets.c.id))
    return [WebhookSecret(*row) for row in rows]


async def reseal_secret(tx: Transaction, secret_id: str, secret_sealed: bytes) -> None:
    """Store the same secret under another master key."""
    which = webhook_secrets.c.id == secret_id
    await tx.execute(update(webhook_secrets).where(which).values(secret_sealed=secret_sealed))
