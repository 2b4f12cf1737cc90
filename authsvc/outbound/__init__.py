"""Requests that the service sends, every one through one guarded client.

Clients name the URLs (``jwks_uri``, ``request_uri``, ``sector_identifier_uri``, logos,
back-channel logout), so a URL here is an attacker's until it has proven harmless: the
service must not be the hand that reaches into the network it stands in. Operators name
those of webhooks, which may go to networks that a setting names, and else are held to the same.

This room owns where a request may go (addresses are judged where the connection is
made), how long and how large it may become, its cache (RFC 9111, a private one), its
circuit breakers and its lanes. It does not own what an answer means, nor when to try again.
HTTP by RFC 9110 and RFC 9112; addresses by RFC 6890 and RFC 4291.
"""

from authsvc.outbound.client import Outbound
from authsvc.outbound.errors import OutboundError
from authsvc.outbound.lanes import Lane

__all__ = ["Lane", "Outbound", "OutboundError"]
