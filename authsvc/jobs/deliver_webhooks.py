"""Webhooks are told: what was noted for them is posted to their receivers.

Apart from the rest of the outbox: receivers that hang hold up no logout notice.
"""

from collections.abc import Mapping
from typing import Any, Final

from authsvc.jobs.deliver_outbox import Handler, deliver
from authsvc.oauth.server import AuthorizationServer
from authsvc.webhooks.messages import WEBHOOK

_AT_ONCE: Final = 100
"""Messages under way, and so connections. Half of them are enough for all webhooks that there may
be, so that one that answers has a place also while all others hang."""


async def deliver_webhooks(server: AuthorizationServer) -> None:
    """Post what is due, as ``deliver_outbox`` does."""
    await deliver(server, WEBHOOK_HANDLERS, at_once=_AT_ONCE)


async def deliver_message(server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
    """Post one message; raises OutboundError when its receiver has not taken it."""
    await server.resources.webhook_messages.deliver(payload)


WEBHOOK_HANDLERS: Final[Mapping[str, Handler]] = {WEBHOOK: deliver_message}
"""What delivers an event to a webhook."""
