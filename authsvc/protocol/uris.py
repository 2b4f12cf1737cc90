"""URIs as RFC 3986 writes them, stricter than browsers read them.

Browsers repair what they are given (backslashes, tabs, missing slashes), and so two
readers of one text may see two hosts. Here such text is no URI at all.
RFC 3986 appendix B; RFC 8707 §2 for resource indicators.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from authsvc.protocol.errors import InvalidTarget

MAX_URI: Final = 2048
"""Characters a URI may have."""

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""The hosts of RFC 8252 §7.3 and §8.3, as they are written in a URI."""

# The characters of RFC 3986 §2 and whole percent escapes, none of a control character.
_CHARACTERS: Final = re.compile(
    r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))++"
)
_PARTS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):"
    r"(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?")
# A host whose last label looks like a number is read as an IPv4 address by browsers.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Uri:
    """An absolute URI in parts, each as it was written but the scheme in lower case."""

    scheme: str
    authority: str | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def host(self) -> str | None:
        """The host in lower case, an IPv6 address in its brackets; None for a bad authority.

        User information, an empty port and every other spelling of an IP address than
        the usual one make the authority bad.
        """
        match = _AUTHORITY.fullmatch(self.authority or "")
        if match is None or int(match["port"] or 1) > _MAX_PORT:
            return None
        host = match["host"].lower()
        return host if _is_host(host) else None


def split_uri(text: str) -> Uri | None:
    """Return the parts of ``text``, or None when it is not an absolute URI (RFC 3986 §3)."""
    if len(text) > MAX_URI or not _CHARACTERS.fullmatch(text):
        return None
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    return Uri(
        match["scheme"].lower(),
        match["authority"],
        match["path"],
        match["query"],
        match["fragment"],
    )


def is_web_uri(text: str) -> bool:
    """Tell whether ``text`` is an http or https URL with a host and without user information."""
    uri = split_uri(text)
    return uri is not None and uri.scheme in ("http", "https") and uri.host is not None


def parse_resource(uri: str) -> str:
    """Return ``uri``, a resource indicator, as it came (RFC 8707 §2).

    Raises InvalidTarget when it is not an absolute URI, or has a fragment.
    """
    parts = split_uri(uri)
    if parts is None or not (parts.authority or parts.path):
        raise InvalidTarget("resource must be an absolute URI")
    if parts.fragment is not None:
        raise InvalidTarget("resource must not have a fragment")
    if parts.scheme in ("http", "https") and parts.host is None:
        raise InvalidTarget("resource must have a host and no user information")
    return uri


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            IPv6Address(host[1:-1])
            return True
        labels = host.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]):
            IPv4Address(host)
            return True
    except AddressValueError:
        return False
    return len(host) <= _MAX_HOST and all(_LABEL.fullmatch(label) for label in labels)
