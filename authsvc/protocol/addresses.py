"""Who counts as one caller: an IPv4 address, or the /64 of an IPv6 address."""

import functools
import ipaddress
from typing import Final

_LONGEST: Final = 64


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what stands for the caller at ``address`` when callers are counted.

    One subscriber has at least a /64 (RFC 6177) and may use each address in it once.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:_LONGEST]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"
