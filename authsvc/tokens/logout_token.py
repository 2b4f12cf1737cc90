"""Logout tokens (OpenID Connect Back-Channel Logout §2.4)."""

from datetime import datetime, timedelta
from typing import Final

from authsvc.clock import timestamp
from authsvc.signing.jwt import sign
from authsvc.signing.keyring import SigningKey

TYPE: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
BACKCHANNEL_LOGOUT: Final = "backchannel_logout"
"""The kind of outbox entry that tells one client that one session has ended.

Its payload: ``client_id``, ``session_id``, ``user_id``.
"""
_TTL: Final = timedelta(minutes=2)


def mint_logout_token(
    key: SigningKey,
    *,
    issuer: str,
    subject: str,
    client_id: str,
    session_id: str,
    token_id: str,
    now: datetime,
) -> str:
    """Return a signed token that tells the client that a session of ``subject`` has ended.

    ``token_id`` is another one for each attempt: a client notes it, and refuses it later.
    Never a ``nonce``: it must not pass for an ID token.
    """
    issued_at = timestamp(now)
    claims = {
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        "iat": issued_at,
        "exp": issued_at + int(_TTL.total_seconds()),
        "jti": token_id,
        "events": {EVENT: {}},
        "sid": session_id,
    }
    return sign(key, claims, typ=TYPE)
