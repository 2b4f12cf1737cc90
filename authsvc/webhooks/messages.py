"""Messages: an event that is noted for each webhook that wants it, and then posted, signed."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

import orjson

from authsvc.clock import Clock
from authsvc.master_key import MasterKeys
from authsvc.outbound import Outbound, OutboundError
from authsvc.storage import outbox
from authsvc.storage.audit import AuditEvent, AuditLog
from authsvc.storage.database import Database, Transaction
from authsvc.storage.webhooks import find_webhook, load_living_secrets, load_subscriptions
from authsvc.webhooks.events import is_wanted
from authsvc.webhooks.secrets import open_secret
from authsvc.webhooks.signature import sign

WEBHOOK: Final = "webhook"
"""The kind of the entries in the outbox."""
_GONE: Final = 410


class WebhookMessages:
    """Follows the audit log, and delivers what it noted."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        master_keys: MasterKeys,
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        """Note each event that ``audit`` records from now on."""
        self._database = database
        self._master_keys = master_keys
        self._outbound = outbound
        self._clock = clock
        audit.follow(self._note)

    async def _note(self, tx: Transaction, event: AuditEvent) -> None:
        """Write an entry for each webhook that wants ``event``, in its transaction.

        Read there as well, so that a webhook misses nothing once its creation has committed.
        """
        subscriptions = await load_subscriptions(tx)
        wanting = [
            webhook_id for webhook_id, events in subscriptions if is_wanted(event.event, events)
        ]
        if wanting:
            told = _describe(event)
            payloads = [{"webhook_id": webhook_id, "event": told} for webhook_id in wanting]
            await outbox.add(tx, WEBHOOK, payloads, now=event.at)

    async def deliver(self, payload: Mapping[str, Any]) -> None:
        """Post one event, signed; ``payload`` is what was noted.

        For a webhook that was deleted nothing is to be done. Raises OutboundError when the
        receiver has not taken it: for good if it answers 410 (Gone), or the webhook is
        disabled.
        """
        now = self._clock.now()
        async with self._database.reading() as tx:
            webhook = await find_webhook(tx, payload["webhook_id"])
            if webhook is None:
                return
            secrets = await load_living_secrets(tx, webhook.id, now=now)
        if webhook.disabled_at is not None:
            raise OutboundError("the webhook is disabled", temporary=False)
        event = payload["event"]
        # Sorted, because the database does not keep the order: each attempt has the same body.
        body = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        keys = [open_secret(self._master_keys, secret.secret_sealed) for secret in secrets]
        headers = sign(f"{event['id']}_{webhook.id}", body, keys, now=now)
        status = await self._outbound.post_event(webhook.url, body, headers)
        if not 200 <= status < 300:
            raise OutboundError(f"the receiver answered {status}", temporary=status != _GONE)


def _describe(event: AuditEvent) -> dict[str, Any]:
    """Return what a receiver is told: all but the network address, which is a person's."""
    return {
        "id": event.id,
        "type": event.event,
        "timestamp": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "data": {
            "actor": event.actor,
            "subject": event.subject,
            "client_id": event.client_id,
            "request_id": event.request_id,
            "details": dict(event.details),
        },
    }
