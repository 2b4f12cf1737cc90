"""Who is asking, when proxies stand between: RFC 7239 and ``X-Forwarded-For``.

A header is believed only as far as trusted proxies wrote it: the chain is read from its
end, and the first address that is no trusted proxy is the caller.
"""

import ipaddress
from collections.abc import Sequence

from authsvc.config import Network

_MAX_HOPS = 32


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
    """Return the ``for`` of each element of a Forwarded header (RFC 7239 §4)."""
    hops = []
    for element in header.split(","):
        named = [pair.partition("=") for pair in element.split(";")]
        hops += [value for name, _, value in named if name.strip().lower() == "for"]
    return hops


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
