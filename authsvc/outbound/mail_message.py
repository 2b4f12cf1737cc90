"""A message as it travels: plain text, from one of ours to one person (RFC 5322)."""

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from typing import Final

from authsvc.config.mail import MailSender
from authsvc.protocol.mail_address import MailAddress, parse_mail_address

_HEADERS: Final = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
)


@dataclass(frozen=True, slots=True)
class Mail:
    """What a person is told. ``id`` is the same at each attempt, and with it the message.

    A receiver that gets it twice sees one ``Message-ID`` (RFC 5322 §3.6.4).
    """

    id: str
    to: str
    subject: str
    text: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its receiver; ``needs_utf8`` is for the envelope (RFC 6531)."""

    receiver: MailAddress
    content: bytes

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 may be given it."""
        return self.receiver.needs_utf8


def compose(mail: Mail, sender: MailSender) -> Message:
    """Return the message; raises ValueError when no mail can be sent to ``mail.to``.

    It is in 7 bits but for an address beyond ASCII, so that every server takes it that may be
    given it.
    """
    receiver = parse_mail_address(mail.to)
    # Headers encode what is beyond ASCII (RFC 2047).
    policy = (SMTPUTF8 if receiver.needs_utf8 else SMTP).clone(cte_type="7bit")
    message = EmailMessage(policy)
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = Address(username=receiver.local, domain=receiver.domain)
    message["Subject"] = mail.subject
    message["Date"] = mail.written_at
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    # Nobody's absence is to be answered to us (RFC 3834 §5).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, charset="utf-8")
    content = message.as_bytes()
    if not _says(content, policy, receiver, mail.text):
        raise ValueError("an address that makes another message of it")
    return Message(receiver, content)


def _says(
    content: bytes, policy: "EmailPolicy[EmailMessage]", receiver: MailAddress, text: str
) -> bool:
    """Tell whether the message is what was meant, for who reads no more than its bytes.

    The library reads what it is given before it writes it, and may find more in it than we.
    """
    read = message_from_bytes(content, EmailMessage, policy=policy)
    if tuple(read.keys()) != _HEADERS:
        return False
    raw = dict(read.raw_items())["To"].encode("utf-8", "surrogateescape")
    return raw == str(receiver).encode() and _lines(read.get_content()) == _lines(text)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")
