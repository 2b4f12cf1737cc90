"""Redirect URIs: which may be registered, and which registered one was asked for.

RFC 6749 §3.1.2, RFC 8252 §7 and §8, RFC 9700 §2.1 and §4.1.3, OpenID Connect
Registration §2. A redirect URI is never repaired and never normalised: it is kept
as it was written, or refused.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import urlencode

from authsvc.protocol.errors import InvalidRedirectUri
from authsvc.protocol.uris import LOOPBACK_HOSTS, MAX_URI, Uri, split_uri

ApplicationType = Literal["web", "native"]
"""OpenID Connect Registration §2."""

# A segment that some server or proxy reads as "go up": dots, plain or escaped, also
# when path parameters follow.
_DOT_SEGMENT: Final = re.compile(r"(?:\.|%2[Ee]){1,2}(?:;.*)?")
_ESCAPED_SLASH: Final = re.compile(r"%2[Ff]|%5[Cc]")
_WILDCARD: Final = re.compile(r"\*|%2[Aa]")
# RFC 8252 §7.3: the IP literals alone; ``localhost`` may resolve to elsewhere (§8.3).
_LOOPBACK: Final = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>(?:[/?].*)?)"
)
_MAX_PORT: Final = 65535


def parse_redirect_uri(uri: str, *, application_type: ApplicationType) -> str:
    """Return ``uri``, which a client wants to register, as it came.

    https anywhere; http on a loopback host alone (RFC 8252 §7.3); a private-use scheme,
    which holds a period (RFC 8252 §7.1, §8.4), for native applications alone. Raises
    InvalidRedirectUri for everything else.
    """
    if len(uri) > MAX_URI:
        raise InvalidRedirectUri("a redirect URI has at most 2048 characters")
    parts = split_uri(uri)
    if parts is None:
        raise InvalidRedirectUri("a redirect URI must be an absolute URI as in RFC 3986")
    if parts.fragment is not None:
        raise InvalidRedirectUri("a redirect URI must not have a fragment")
    if _WILDCARD.search(uri):
        raise InvalidRedirectUri("a redirect URI must not hold a wildcard")
    _check_path(parts)
    if parts.scheme in ("https", "http"):
        _check_web(parts)
    else:
        _check_private_use(parts, application_type)
    return uri


def match_redirect_uri(
    requested: str, registered: Sequence[str], *, application_type: ApplicationType
) -> bool:
    """Tell whether ``requested`` is one of ``registered`` (RFC 9700 §4.1.3).

    The strings must be equal. The port alone may differ, and only where the registered
    URI is http on 127.0.0.1 or [::1] and is a native application's or names no port: nobody
    else takes the port that the system gives them (RFC 8252 §7.3).
    """
    if requested in registered:
        return True
    loopback = _LOOPBACK.fullmatch(requested)
    if loopback is None or int(loopback["port"] or 1) > _MAX_PORT:
        return False
    return any(
        uri["host"] == loopback["host"]
        and uri["rest"] == loopback["rest"]
        and (application_type == "native" or uri["port"] is None)
        for uri in map(_LOOPBACK.fullmatch, registered)
        if uri is not None
    )


def add_parameters(uri: str, params: Sequence[tuple[str, str]]) -> str:
    """Return ``uri`` with ``params`` after its query, which stays as it is (RFC 6749 §3.1.2).

    ``uri`` is a registered one and so has no fragment.
    """
    if not params:
        return uri
    separator = "&" if "?" in uri else "?"
    if "?" in uri and uri.endswith(("?", "&")):
        separator = ""
    return f"{uri}{separator}{urlencode(params)}"


def add_fragment(uri: str, params: Sequence[tuple[str, str]]) -> str:
    """Return ``uri``, a registered one, with ``params`` as its fragment (RFC 6749 §4.2.2)."""
    return f"{uri}#{urlencode(params)}" if params else uri


def _check_path(parts: Uri) -> None:
    if _ESCAPED_SLASH.search(parts.path):
        raise InvalidRedirectUri("a redirect URI must not hold escaped slashes in its path")
    if any(_DOT_SEGMENT.fullmatch(segment) for segment in parts.path.split("/")):
        raise InvalidRedirectUri("a redirect URI must not hold dot segments in its path")


def _check_web(parts: Uri) -> None:
    if parts.host is None:
        raise InvalidRedirectUri("a redirect URI must have a host and no user information")
    if parts.scheme == "http" and parts.host not in LOOPBACK_HOSTS:
        raise InvalidRedirectUri("a redirect URI must be https unless its host is loopback")


def _check_private_use(parts: Uri, application_type: ApplicationType) -> None:
    if application_type != "native":
        raise InvalidRedirectUri("a redirect URI of a web application must be https")
    if "." not in parts.scheme:
        raise InvalidRedirectUri("a private-use URI scheme must hold a period")
    if parts.authority:
        if parts.host is None:
            raise InvalidRedirectUri("a redirect URI must not hold user information")
    elif not parts.path.startswith("/"):
        raise InvalidRedirectUri("a redirect URI must have a path")
