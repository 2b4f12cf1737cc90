"""Mail addresses that a message can be sent to (RFC 5321 §4.1.2, RFC 6531 §3.3).

An account may have an address that only looks like one. What goes into an SMTP command and
into a header is taken apart here first: no bracket, comma, space or quote can stand in it, nor
what begins an encoded word, which a reader of headers may take for any of them (RFC 2047 §2).
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_LOCAL: Final = 64
"""Octets before the ``@`` (RFC 5321 §4.5.3.1.1)."""
MAX_ADDRESS: Final = 254
"""Octets of the whole address: a path has 256 with its brackets (RFC 5321 §4.5.3.1.3)."""

# A Dot-string; quoted strings are left out: hardly anybody has such an address.
_ATOM: Final = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f])+"
_LABEL: Final = (
    r"(?:[A-Za-z0-9]|[^\x00-\x7f])(?:(?:[A-Za-z0-9-]|[^\x00-\x7f])*(?:[A-Za-z0-9]|[^\x00-\x7f]))?"
)
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")


@dataclass(frozen=True, slots=True)
class MailAddress:
    """An address, in two parts."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_utf8(self) -> bool:
        """Whether a server must know SMTPUTF8 to take mail for it (RFC 6531 §3.1).

        Also where the domain alone is beyond ASCII: which of its ASCII forms is meant is the
        server's to know, and a wrong one would be somebody else's.
        """
        return not str(self).isascii()


def parse_mail_address(text: str) -> MailAddress:
    """Return the address that ``text`` is; raises ValueError, without quoting it, if it is none."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not text.isprintable() or "=?" in text:
        raise ValueError("no address that mail can be sent to")
    if len(match[1].encode()) > MAX_LOCAL or len(text.encode()) > MAX_ADDRESS:
        raise ValueError("an address that is too long for mail")
    return MailAddress(match[1], match[2])
