"""Who is asking, when proxies stand between: RFC 7239 and ``X-Forwarded-For``.

A header is believed only as far as trusted proxies wrote it: the chain is read from its
end, and the first address that is no trusted proxy is the caller.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from authsvc.config import Network

_MAX_HOPS: Final = 32
_UNKNOWN: Final = "unknown"

# RFC 7239 §4. Values that should be quoted (``192.0.2.1:80``) are let pass bare. Possessive,
# so that what does not match is seen not to in one pass.
_PAIR: Final = r"""[\w!#$%&'*+.^`|~-]++=(?:"(?:[^"\\]|\\.)*+"|[^\s",;\\]++)"""
_ELEMENT: Final = re.compile(rf"[ \t;]*+{_PAIR}(?:[ \t]*+;[ \t;]*+{_PAIR})*+[ \t;]*+", re.ASCII)
_PAIRS: Final = re.compile(_PAIR, re.ASCII)


def find_client_address(
    peer: str,
    forwarded: Sequence[str],
    x_forwarded_for: Sequence[str],
    trusted: Sequence[Network],
) -> str:
    """Return the address of the caller behind ``peer``; ``peer`` itself unless it is trusted.

    The headers come as all of their lines. ``X-Forwarded-For``, which nearly every proxy
    writes, comes first: a ``Forwarded`` beside it is the caller's own, passed on.
    """
    if not is_trusted_peer(peer, trusted):
        return peer
    chain = (
        ",".join(x_forwarded_for).split(",")
        if x_forwarded_for
        else _parse_forwarded(",".join(forwarded))
    )
    address = peer
    for hop in reversed(chain[-_MAX_HOPS:]):
        parsed = _parse_address(hop)
        if parsed is None:
            break
        address = parsed
        if not is_trusted_peer(address, trusted):
            break
    return address


def is_trusted_peer(address: str, trusted: Sequence[Network]) -> bool:
    """Tell whether ``address`` is a trusted proxy."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in trusted)


def _parse_forwarded(header: str) -> list[str]:
    """Return the ``for`` of each element of a Forwarded header (RFC 7239 §4).

    An element is one proxy's, so one without ``for`` stands for an address that is not known.
    Read from the end: what is malformed hides what was there before it, and never what a
    trusted proxy wrote behind it. An element that is well-formed has an even number of
    quotes, so no piece that begins inside a quoted string passes for one.
    """
    hops: list[str] = []
    element = ""
    for piece in reversed(header.split(",")[-_MAX_HOPS:]):
        element = f"{piece},{element}" if element else piece
        if _ELEMENT.fullmatch(element):
            hops.insert(0, _find_for(element))
            element = ""
        elif not element.strip():
            # RFC 9110 §5.6.1.2: empty elements of a list do not count.
            element = ""
    return [_UNKNOWN, *hops] if element else hops


def _find_for(element: str) -> str:
    named = [pair.partition("=") for pair in _PAIRS.findall(element)]
    values = [value for name, _, value in named if name.lower() == "for"]
    return values[0] if len(values) == 1 else _UNKNOWN


def _parse_address(hop: str) -> str | None:
    """Return the address in ``hop`` without port, quotes and brackets, or None."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:
        # A zone (RFC 4007 §11) means something on its own host alone, and may be any text.
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
