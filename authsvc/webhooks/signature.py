"""The signature of a message (Standard Webhooks 1.0, "Signature scheme")."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime

from authsvc.clock import timestamp


def sign(message_id: str, body: bytes, keys: Sequence[bytes], *, now: datetime) -> dict[str, str]:
    """Return the headers for ``body``, sent at ``now``, with a signature by each of ``keys``.

    ``message_id`` has no full stop, which separates the parts of what is signed.
    """
    sent_at = str(timestamp(now))
    signed = f"{message_id}.{sent_at}.".encode() + body
    digests = [hmac.digest(key, signed, "sha256") for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
    }
