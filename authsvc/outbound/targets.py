"""URLs that a request may go to, read once and by one strict reader (RFC 9110 §4.2)."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from authsvc.outbound.errors import Refused
from authsvc.protocol.uris import Uri, split_uri

_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Target:
    """What the request line, the Host header and the connection are made of.

    ``host`` is in lower case and without an IPv6 address's brackets; ``path`` has the query.
    """

    # A query may hold a secret of the host's.
    url: str = field(repr=False)
    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def origin(self) -> str:
        """The host and port, as breakers are counted and logs are written."""
        return f"{self._bracketed_host}:{self.port}"

    @property
    def resource(self) -> str:
        """The URL without its fragment, in one spelling of host and port."""
        return f"{self.scheme}://{self.origin}{self.path}"

    @property
    def name(self) -> str:
        """The host as slots are counted: the root's dot makes no other one of it."""
        return self.host.removesuffix(".")

    @property
    def host_header(self) -> str:
        """The value of the Host header (RFC 9112 §3.2)."""
        return self._bracketed_host if self.port == _PORTS[self.scheme] else self.origin

    @property
    def _bracketed_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_target(url: str, *, http: bool) -> Target:
    """Return where ``url`` leads; ``http`` allows that scheme besides https.

    A fragment is left out of the request. Raises Refused for everything that is no plain
    web URL: another scheme, user information, or a host that two readers may read as two.
    """
    uri = split_uri(url)
    if uri is None:
        raise Refused("the text is not a URL")
    if uri.scheme not in (("https", "http") if http else ("https",)):
        raise Refused("the scheme of the URL is not allowed")
    host = uri.host
    if host is None:
        raise Refused("the URL has no plain host")
    query = "" if uri.query is None else f"?{uri.query}"
    return Target(url, uri.scheme, host.strip("[]"), _port_of(uri), f"{uri.path or '/'}{query}")


def parse_redirect(location: str, *, base: Target, http: bool) -> Target:
    """Return where an answer from ``base`` redirects to (RFC 9110 §10.2.2).

    Raises Refused when it may not be followed, also for an empty ``location``: it would lead
    to where it came from.
    """
    if not location:
        raise Refused("the redirect leads nowhere")
    # A reference with another character than a URI's would be repaired before it is resolved.
    if split_uri(f"x:{location}") is None:
        raise Refused("the redirect leads to no URL")
    try:
        url = urljoin(base.url, location)
    except ValueError as error:
        raise Refused("the redirect leads to no URL") from error
    return parse_target(url, http=http)


def _port_of(uri: Uri) -> int:
    # `uri.host` is not None, so the authority ends with digits or has no port.
    _, colon, port = (uri.authority or "").rpartition("]")[2].rpartition(":")
    return int(port) if colon else _PORTS[uri.scheme]
