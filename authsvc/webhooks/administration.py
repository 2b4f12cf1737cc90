"""Changing webhooks: what the command line does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from authsvc.clock import Clock
from authsvc.master_key import MasterKeys
from authsvc.outbound import Outbound, OutboundError
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.storage import outbox
from authsvc.storage import webhooks as rows
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Database, Transaction
from authsvc.storage.webhooks import Webhook
from authsvc.webhooks.events import EVERYTHING, is_pattern
from authsvc.webhooks.messages import WEBHOOK
from authsvc.webhooks.secrets import new_secret, open_secret, seal_secret, show_secret

MAX_WEBHOOKS: Final = 50
"""Each event is noted once for each that wants it, in the transaction of a request."""
MAX_SECRETS: Final = 5
"""Secrets of one webhook that sign at once, and so signatures of a message."""
OVERLAP: Final = timedelta(days=1)
"""How long a secret signs after another has replaced it."""
_MAX_PATTERNS: Final = 50
_MAX_URL: Final = 2_000
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A webhook with its secret, in clear this once."""

    webhook: Webhook
    secret: str


class WebhookAdministration:
    """Creates and changes webhooks; what takes a transaction works in that."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        master_keys: MasterKeys,
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        self._database = database
        self._audit = audit
        self._master_keys = master_keys
        self._outbound = outbound
        self._clock = clock

    async def create(
        self, tx: Transaction, url: str, events: Sequence[str], origin: Origin
    ) -> IssuedSecret:
        """Register a receiver of ``events``, of all where none are named.

        Raises InvalidRequest, or Conflict when there are too many.
        """
        host = self._check_url(url)
        patterns = _check_patterns(events or [EVERYTHING])
        await rows.lock_webhooks(tx)
        if await rows.count_webhooks(tx) >= MAX_WEBHOOKS:
            raise Conflict(f"There are {MAX_WEBHOOKS} webhooks, and more there may not be")
        webhook_id = await rows.create_webhook(tx, url, patterns, now=self._clock.now())
        issued = await self._issue(tx, webhook_id)
        await self._record(tx, "webhook.created", origin, webhook_id, host=host, events=patterns)
        return issued

    async def get(self, tx: Transaction, webhook_id: str) -> Webhook:
        """Return the webhook; raises NotFound."""
        webhook = await rows.find_webhook(tx, webhook_id)
        if webhook is None:
            raise NotFound("There is no such webhook")
        return webhook

    async def update(
        self,
        tx: Transaction,
        webhook_id: str,
        origin: Origin,
        *,
        url: str | None = None,
        events: Sequence[str] = (),
    ) -> Webhook:
        """Change what is named; what waits goes to the new URL. Raises InvalidRequest, NotFound."""
        changes: dict[str, Any] = {}
        details: dict[str, Any] = {}
        if url is not None:
            details["host"] = self._check_url(url)
            changes["url"] = url
        if events:
            changes["events"] = details["events"] = _check_patterns(events)
        await self._lock(tx, webhook_id)
        if changes:
            await rows.update_webhook(tx, webhook_id, changes)
            await self._record(tx, "webhook.updated", origin, webhook_id, **details)
        return await self.get(tx, webhook_id)

    async def enable(self, tx: Transaction, webhook_id: str, origin: Origin) -> Webhook:
        """Have the webhook told of events again. Safe to repeat. Raises NotFound."""
        if (await self._lock(tx, webhook_id)).disabled_at is not None:
            await rows.update_webhook(tx, webhook_id, {"disabled_at": None})
            await self._record(tx, "webhook.enabled", origin, webhook_id)
        return await self.get(tx, webhook_id)

    async def disable(self, tx: Transaction, webhook_id: str, origin: Origin) -> Webhook:
        """Note nothing for the webhook any more. Safe to repeat. Raises NotFound.

        What waits for it is given up when it is due, to be seen and retried.
        """
        if (await self._lock(tx, webhook_id)).disabled_at is None:
            await rows.update_webhook(tx, webhook_id, {"disabled_at": self._clock.now()})
            await self._record(tx, "webhook.disabled", origin, webhook_id)
        return await self.get(tx, webhook_id)

    async def rotate_secret(self, tx: Transaction, webhook_id: str, origin: Origin) -> IssuedSecret:
        """Give the webhook a new secret; each one before signs for a day after it was replaced.

        Raises NotFound, or Conflict when too many sign already.
        """
        await self._lock(tx, webhook_id)
        now = self._clock.now()
        living = await rows.load_living_secrets(tx, webhook_id, now=now)
        if len(living) >= MAX_SECRETS:
            raise Conflict(f"{MAX_SECRETS} secrets sign already: wait until one of them expires")
        await rows.let_secrets_expire(tx, webhook_id, expires_at=now + OVERLAP)
        issued = await self._issue(tx, webhook_id)
        await self._record(tx, "webhook.secret_rotated", origin, webhook_id)
        return issued

    async def delete(self, tx: Transaction, webhook_id: str, origin: Origin) -> None:
        """Delete the webhook; see ``discard_entries``. Raises NotFound."""
        await self._lock(tx, webhook_id)
        await rows.delete_webhook(tx, webhook_id)
        await self._record(tx, "webhook.deleted", origin, webhook_id)

    async def discard_entries(self, webhook_id: str) -> int:
        """Delete what waits for a webhook that was deleted, or was given up; return how much.

        What is noted meanwhile is dropped when it is due.
        """
        discarded = 0
        while True:
            async with self._database.transaction() as tx:
                batch = await outbox.discard(tx, WEBHOOK, "webhook_id", webhook_id, limit=_BATCH)
            discarded += batch
            if batch < _BATCH:
                return discarded

    async def reseal(self, tx: Transaction) -> int:
        """Put every secret under the newest master key; return how many changed."""
        await rows.lock_webhooks(tx)
        changed = 0
        for secret in await rows.load_secrets(tx):
            if not self._master_keys.is_newest(secret.secret_sealed):
                opened = open_secret(self._master_keys, secret.secret_sealed)
                await rows.reseal_secret(tx, secret.id, seal_secret(self._master_keys, opened))
                changed += 1
        return changed

    async def _lock(self, tx: Transaction, webhook_id: str) -> Webhook:
        await rows.lock_webhooks(tx)
        return await self.get(tx, webhook_id)

    async def _issue(self, tx: Transaction, webhook_id: str) -> IssuedSecret:
        secret = new_secret()
        sealed = seal_secret(self._master_keys, secret)
        await rows.add_secret(tx, webhook_id, sealed, now=self._clock.now())
        return IssuedSecret(await self.get(tx, webhook_id), show_secret(secret))

    def _check_url(self, url: str) -> str:
        """Return the host and port of ``url``; raises InvalidRequest."""
        if len(url) > _MAX_URL:
            raise InvalidRequest(f"The URL has {_MAX_URL} characters at most")
        try:
            return self._outbound.check_event_url(url)
        except OutboundError as error:
            raise InvalidRequest(f"The URL can not be used: {error.reason}") from error

    async def _record(
        self, tx: Transaction, event: str, origin: Origin, webhook_id: str, **details: Any
    ) -> None:
        await self._audit.record(
            tx, event, origin, now=self._clock.now(), subject=webhook_id, **details
        )


def _check_patterns(events: Sequence[str]) -> list[str]:
    patterns = list(dict.fromkeys(events))
    if len(patterns) > _MAX_PATTERNS:
        raise InvalidRequest(f"A webhook names {_MAX_PATTERNS} events at most")
    for pattern in patterns:
        if not is_pattern(pattern):
            raise InvalidRequest("An event is named as `webhooks events` does, as user.*, or *")
    return patterns
