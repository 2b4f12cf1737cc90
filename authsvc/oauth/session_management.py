"""Session state: how a client's page sees that the session changed (Session Management §3).

The browser has a value that its own scripts on our origin can read. It is derived from the
session, and good for nothing but this: nobody gets from it to the session or its cookie.
"""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from authsvc.oauth.server import AuthorizationServer

_PORTS = {"https": 443, "http": 80}


def browser_state(server: AuthorizationServer, session_id: str) -> str:
    """Return the readable value of a browser that is signed in with the session."""
    key = server.resources.root.derive("browser state")
    digest = hmac.digest(key, session_id.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def session_state(
    server: AuthorizationServer, client_id: str, redirect_uri: str, session_id: str
) -> str:
    """Return ``session_state`` for the client's page at the origin of ``redirect_uri``.

    The check of it is in ``web/static/check_session.js``. Never holds a space (§3.1).
    """
    salt = secrets.token_urlsafe(16)
    state = browser_state(server, session_id)
    message = f"{client_id} {_origin_of(redirect_uri)} {state} {salt}"
    return f"{hashlib.sha256(message.encode()).hexdigest()}.{salt}"


def _origin_of(uri: str) -> str:
    """Return the origin as browsers write it (RFC 6454 §6.2)."""
    parts = urlsplit(uri)
    if parts.scheme not in _PORTS or parts.hostname is None:
        return "null"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
