"""Proof Key for Code Exchange: S256 alone.

RFC 7636 §4.1, §4.2 and §4.6. ``plain`` is never accepted (RFC 9700 §2.1.1), and so
neither is a missing method, which means ``plain`` (RFC 7636 §4.3).
"""

import hmac
import re
from typing import Final

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from authsvc.protocol.errors import InvalidRequest

S256: Final = "S256"

_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
# base64url without padding of the 32 bytes of a SHA-256.
_S256_CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-_]{43}")


def check_challenge(challenge: str | None, method: str | None) -> None:
    """Raise InvalidRequest unless this is an S256 challenge (RFC 7636 §4.3, §4.4.1)."""
    if not challenge:
        raise InvalidRequest("Missing parameter: code_challenge")
    if method != S256:
        raise InvalidRequest("code_challenge_method must be S256")
    if not _S256_CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("code_challenge must be 43 characters of base64url")


def verify(verifier: str, challenge: str) -> bool:
    """Tell whether ``challenge`` was made from ``verifier`` (RFC 7636 §4.6).

    A verifier that breaks the grammar of RFC 7636 §4.1 matches nothing.
    """
    if not _VERIFIER.fullmatch(verifier) or not _S256_CHALLENGE.fullmatch(challenge):
        return False
    return hmac.compare_digest(str(create_s256_code_challenge(verifier)), challenge)
