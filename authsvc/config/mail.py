"""How the settings of mail become a server and a sender.

Each raises ValueError with the words that follow "it accepts", and without what it was given.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

_WANTED: Final = (
    "smtp://USER:PASSWORD@HOST:587 (STARTTLS), smtps://USER:PASSWORD@HOST:465 (TLS) or "
    "smtp://HOST:25?starttls=off (neither TLS nor a password)"
)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:.]*:[0-9a-f:.]*")
_SENDER: Final = re.compile(
    r"(?:(?P<name>[^<>]*?) *<(?P<in_brackets>[^<>]+)>|(?P<bare>[^<>]+))", re.DOTALL
)
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
)
_MAX_ADDRESS: Final = 254
_MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in, and how. ``tls`` is from the first byte on (RFC 8314 §3.3)."""

    host: str
    port: int
    security: Literal["tls", "starttls", "off"]
    username: str | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailSender:
    """Whom mail comes from: an address, and a name for people, which may be empty."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The part behind the ``@``."""
        return self.address.rpartition("@")[2]


def parse_smtp_url(url: str) -> SmtpServer:
    """Return the server that ``url`` names; raises ValueError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        username, password = _decode(parts.username), _decode(parts.password)
    except ValueError as error:
        raise ValueError(_WANTED) from error
    securities: dict[tuple[str, str], Literal["tls", "starttls", "off"]] = {
        ("smtps", ""): "tls",
        ("smtp", ""): "starttls",
        ("smtp", "starttls=off"): "off",
    }
    security = securities.get((parts.scheme, parts.query))
    is_one = url.isprintable() and " " not in url and _HOST.fullmatch(host) is not None
    is_alone = parts.path in ("", "/") and "#" not in url and port != 0
    if security is None or not is_one or not is_alone:
        raise ValueError(_WANTED)
    if (username is None) != (password is None) or username == "" or password == "":
        raise ValueError(f"a user and a password, or neither: {_WANTED}")
    if password is not None and security == "off":
        raise ValueError(f"no password where it would travel without TLS: {_WANTED}")
    default = {"tls": 465, "starttls": 587, "off": 25}[security]
    return SmtpServer(host, port or default, security, username, password)


def _decode(text: str | None) -> str | None:
    if text is None:
        return None
    decoded = unquote(text, errors="strict")
    if not decoded.isprintable():
        raise ValueError(_WANTED)
    return decoded


def parse_mail_sender(text: str) -> MailSender:
    """Return the sender that ``text`` names; raises ValueError."""
    wanted = "an address like login@example.com, or a name and one: Example <login@example.com>"
    match = _SENDER.fullmatch(text)
    if match is None or not text.isprintable():
        raise ValueError(wanted)
    name = (match["name"] or "").strip('" ')
    address = match["in_brackets"] or match["bare"]
    is_one = _ADDRESS.fullmatch(address) is not None and ".." not in address
    if not is_one or len(address) > _MAX_ADDRESS or len(name) > _MAX_NAME:
        raise ValueError(wanted)
    if address.startswith(".") or ".@" in address:
        raise ValueError(wanted)
    return MailSender(name, address)
