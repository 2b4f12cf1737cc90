"""Where a person was going before they were asked to sign in or consent.

The authorization request, or the code of a device, travels along, sealed, with the instant
at which it was first answered with a page, and the browser that got it. Nothing is stored:
it works in any number of tabs, on any replica, and never expires. In another browser the
instant does not count, so that nobody can have another's sign-in answer their
``prompt=login``.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from authsvc.master_key import RootSecret
from authsvc.protocol.parameters import Parameters

_MAC_BYTES = 32
_MAX_LENGTH = 60_000

AUTHORIZATION: Final = "/authorize/resume"
DEVICE: Final = "/device/resume"
"""Where a continuation may lead, below the issuer's path."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request that waits for its person; ``leads_to`` is the page that goes on with it."""

    parameters: Parameters
    asked_at: datetime
    browser: str
    leads_to: str

    def asked_at_in(self, browser: str | None) -> datetime | None:
        """Return the instant, if this is the browser that was asked."""
        if browser is not None and hmac.compare_digest(self.browser, _digest(browser)):
            return self.asked_at
        return None


class Continuations:
    """Seals and opens continuations."""

    def __init__(self, root: RootSecret) -> None:
        self._key = root.derive("continuation")

    def seal(
        self,
        parameters: Parameters,
        asked_at: datetime,
        browser: str,
        *,
        leads_to: str = AUTHORIZATION,
    ) -> str:
        """Return the continuation as the value of a URL parameter or form field."""
        parts = [parameters.pairs(), int(asked_at.timestamp() * 1_000_000), _digest(browser)]
        if leads_to != AUTHORIZATION:
            parts.append(leads_to)
        content = orjson.dumps(parts)
        sealed = hmac.digest(self._key, content, "sha256") + content
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(
        self, text: str | None, *, leads_to: str | None = AUTHORIZATION
    ) -> Continuation | None:
        """Return the continuation, or None when there is none or it was tampered with.

        One that leads elsewhere than ``leads_to`` is none; with None any is taken.
        """
        if not text or len(text) > _MAX_LENGTH:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        mac, content = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, content, "sha256")):
            return None
        pairs, asked_at, browser, *elsewhere = orjson.loads(content)
        continuation = Continuation(
            Parameters((name, value) for name, value in pairs),
            datetime.fromtimestamp(asked_at / 1_000_000, UTC),
            browser,
            elsewhere[0] if elsewhere else AUTHORIZATION,
        )
        return continuation if leads_to in (None, continuation.leads_to) else None


def _digest(browser: str) -> str:
    return hmac.digest(b"browser", browser.encode("utf-8", "replace"), "sha256").hex()[:32]
