"""Which IP addresses the service may connect to.

The rule is a positive one: what is not known to be public is refused.
RFC 6890 (special-purpose addresses) and RFC 4291 §2.4.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Besides those that `ipaddress` knows, whose list differs between releases of Python.
_REFUSED_IPV4: Final = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; also metadata of a cloud
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # looks public, but is a cloud's way to its own machines
)
# All that was ever allocated to public hosts (RFC 4291 §2.4, IANA's registry).
_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
_REFUSED_IPV6: Final = (
    IPv6Network("2001::/23"),  # protocol assignments; Teredo, which carries IPv4 (RFC 4380)
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4, which carries IPv4 (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation
)
# A network with IPv6 alone reaches public IPv4 hosts through it (RFC 6052 §2.1).
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Tell whether ``address`` belongs to a host of the public internet.

    An IPv6 address that carries an IPv4 one is none, but the form of NAT64 for a public one.
    """
    if isinstance(address, IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not any(address in network for network in _REFUSED_IPV4)
        )
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return (
        address in _PUBLIC_IPV6
        and address.is_global
        and not any(address in network for network in _REFUSED_IPV6)
    )


def is_loopback(address: Address) -> bool:
    """Tell whether ``address`` is of this machine: 127.0.0.0/8 or ::1, in no other form."""
    return address.is_loopback if isinstance(address, IPv4Address) else int(address) == 1


def parse_addresses(texts: Iterable[str]) -> list[Address]:
    """Return the addresses of a resolver's answer in its order, each once.

    Raises ValueError for what is no address.
    """
    return list(dict.fromkeys(ip_address(text) for text in texts))


def are_allowed(
    addresses: Iterable[Address],
    *,
    public: bool,
    loopback: bool,
    networks: Sequence[Network] = (),
) -> bool:
    """Tell whether a host with these addresses may be connected to, of any kind allowed.

    ``networks`` are a kind of their own. All must be of one kind: a name that is public and
    private at once is a trap.
    """
    found = list(addresses)
    return bool(found) and (
        (public and all(is_public(address) for address in found))
        or (loopback and all(is_loopback(address) for address in found))
        or all(any(address in network for network in networks) for address in found)
    )
