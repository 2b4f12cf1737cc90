"""Where a person was going before they were asked to sign in or consent.

The authorization request travels along, sealed, with the instant at which it was first
answered with a page, and the browser that got it. Nothing is stored: it works in any
number of tabs, on any replica, and never expires. In another browser the instant does
not count, so that nobody can have another's sign-in answer their ``prompt=login``.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from authsvc.master_key import RootSecret
from authsvc.protocol.parameters import Parameters

_MAC_BYTES = 32
_MAX_LENGTH = 60_000


@dataclass(frozen=True, slots=True)
class Continuation:
    """An authorization request that waits for its person."""

    parameters: Parameters
    asked_at: datetime
    browser: str

    def asked_at_in(self, browser: str | None) -> datetime | None:
        """Return the instant, if this is the browser that was asked."""
        if browser is not None and hmac.compare_digest(self.browser, _digest(browser)):
            return self.asked_at
        return None


class Continuations:
    """Seals and opens continuations."""

    def __init__(self, root: RootSecret) -> None:
        self._key = root.derive("continuation")

    def seal(self, parameters: Parameters, asked_at: datetime, browser: str) -> str:
        """Return the continuation as the value of a URL parameter or form field."""
        content = orjson.dumps(
            [parameters.pairs(), int(asked_at.timestamp() * 1_000_000), _digest(browser)]
        )
        sealed = hmac.digest(self._key, content, "sha256") + content
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str | None) -> Continuation | None:
        """Return the continuation, or None when there is none or it was tampered with."""
        if not text or len(text) > _MAX_LENGTH:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        mac, content = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, content, "sha256")):
            return None
        pairs, asked_at, browser = orjson.loads(content)
        return Continuation(
            Parameters((name, value) for name, value in pairs),
            datetime.fromtimestamp(asked_at / 1_000_000, UTC),
            browser,
        )


def _digest(browser: str) -> str:
    return hmac.digest(b"browser", browser.encode("utf-8", "replace"), "sha256").hex()[:32]
