"""A mail server on loopback whose every answer a test programs, and what it was handed.

async with open_mail_catcher() as catcher:       # STARTTLS, with a CA of its own
    ... something hands mail in at catcher.url() and trusts catcher.ca_file ...
    message = await catcher.take()
"""

import asyncio
import ssl
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from tests.web_certificates import CertificateAuthority

USER, PASSWORD = "authsvc", "a/pass:word@with%signs"
Security = Literal["tls", "starttls", "off"]


@dataclass(frozen=True)
class Caught:
    """A message as it was handed in."""

    sender: str
    receivers: list[str]
    options: list[str]
    content: bytes
    was_encrypted: bool

    @property
    def message(self) -> EmailMessage:
        """The message, read."""
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        """The text, decoded."""
        return str(self.message.get_content()).replace("\r\n", "\n")


@dataclass
class MailCatcher:
    """Keeps what it takes, and answers as a test says."""

    security: Security
    port: int = 0
    ca_file: Path | None = None
    answers: dict[str, str] = field(default_factory=dict)
    """What a command (``MAIL``, ``RCPT``, ``DATA``) is answered, where not by taking it."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, ``DATA`` gets no answer."""
    tarpits: dict[str, bool] = field(default_factory=dict)
    """Domains about whose receivers it is silent, and whether it drips meanwhile."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each ``RCPT`` for such a domain."""
    caught: asyncio.Queue[Caught] = field(default_factory=asyncio.Queue)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0

    def url(self, *, user: str | None = None, host: str = "localhost") -> str:
        """Return what ``AUTHSVC_SMTP_URL`` holds; ``user`` is ``USER:PASSWORD``, encoded."""
        scheme = "smtps" if self.security == "tls" else "smtp"
        query = "?starttls=off" if self.security == "off" else ""
        return f"{scheme}://{user + '@' if user else ''}{host}:{self.port}{query}"

    def settings(self) -> dict[str, Any]:
        """Return the settings of a provider that hands its mail in here."""
        return {
            "smtp_url": SecretStr(self.url()),
            "mail_from": "Example <login@authsvc.example>",
            "outbound_ca_file": self.ca_file,
        }

    async def take(self) -> Caught:
        """Return the next message, of which there is to be one."""
        async with asyncio.timeout(20):
            return await self.caught.get()

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """``MAIL FROM``."""
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """``RCPT TO``."""
        domain = address.rpartition("@")[2].lower()
        if domain in self.tarpits:
            self.asked.set()
            while True:
                # A line of an answer that has more to come (RFC 5321 §4.2.1).
                if self.tarpits.get(domain):
                    await server.push("250-wait")
                await asyncio.sleep(0.05)
        if "RCPT" in self.answers:
            return self.answers["RCPT"].format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, _server: Any, session: Session, envelope: Envelope
    ) -> str:
        """``DATA``: the message."""
        if "DATA" in self.answers:
            return self.answers["DATA"]
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        encrypted = self.security == "tls" or session.ssl is not None
        self.caught.put_nowait(
            Caught(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                list(envelope.mail_options),
                envelope.content,
                encrypted,
            )
        )
        await self.held.wait()
        return "250 OK"

    def authenticate(
        self, _server: Any, _session: Session, _envelope: Envelope, _mechanism: str, given: Any
    ) -> AuthResult:
        """``AUTH``: note who came, and let in who knows the password."""
        assert isinstance(given, LoginPassword)
        login = (given.login.decode(), given.password.decode())
        self.logins.append(login)
        # Not handled: it says 535 itself.
        return AuthResult(success=login == (USER, PASSWORD), handled=False)


@asynccontextmanager
async def open_mail_catcher(
    security: Security = "starttls",
    *,
    hosts: Sequence[str] = ("localhost", "127.0.0.1"),
    needs_login: bool = False,
    knows_utf8: bool = True,
    offers_starttls: bool = True,
) -> AsyncIterator[MailCatcher]:
    """Run one on 127.0.0.1, on a free port; ``hosts`` are the names of its certificate."""
    catcher = MailCatcher(security)
    catcher.held.set()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = CertificateAuthority(folder)
        catcher.ca_file = authority.ca_file
        tls = authority.server_context(hosts)
        starts_tls = security == "starttls" and offers_starttls
        make = _server_factory(
            catcher,
            tls if starts_tls else None,
            needs_login=needs_login,
            knows_utf8=knows_utf8,
        )
        listener = await asyncio.get_running_loop().create_server(
            make, "127.0.0.1", 0, ssl=tls if security == "tls" else None
        )
        catcher.port = listener.sockets[0].getsockname()[1]
        try:
            yield catcher
        finally:
            catcher.held.set()
            listener.close()


def _server_factory(
    catcher: MailCatcher, starts_tls: ssl.SSLContext | None, *, needs_login: bool, knows_utf8: bool
) -> Callable[[], SMTP]:
    def make() -> SMTP:
        catcher.connections += 1
        with warnings.catch_warnings():
            # It does not see that its whole connection is in TLS.
            warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
            return SMTP(
                catcher,
                hostname="catcher.example",
                enable_SMTPUTF8=knows_utf8,
                tls_context=starts_tls,
                require_starttls=starts_tls is not None,
                auth_required=needs_login,
                auth_require_tls=catcher.security != "tls",
                authenticator=catcher.authenticate,
            )

    return make
