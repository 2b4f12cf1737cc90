"""The mail server to which messages are handed in (RFC 5321, RFC 6409, RFC 8314).

The operator names it, so unlike a client's host it may have any address. What it answers is
kept to its code: servers repeat addresses of people in their words.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPResponseException,
)

from authsvc.config.mail import MailSender, SmtpServer
from authsvc.outbound.breakers import BreakersByKey
from authsvc.outbound.errors import HostFailed, OutboundError, Unreachable
from authsvc.outbound.mail_message import Mail, Message, compose
from authsvc.outbound.tls import make_tls_context

SEND_TIMEOUT: Final = timedelta(seconds=30)
"""Longest time for a message, connecting included. Below what an outbox entry is claimed for."""
DOMAIN_FAILURES: Final = 2
"""Receivers in a row that the server was silent about, after which their domain is left alone."""
_QUIT_SECONDS: Final = 2.0
_KEY: Final = "mail"
# RFC 3463 §2.
_ENHANCED_CODE: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")


_Reached = Literal["server", "receiver", "message"]


@dataclass(slots=True)
class _Progress:
    """What the server was asked about last."""

    reached: _Reached = "server"


class MailServer:
    """Hands messages in, over connections that stay open from one to the next."""

    def __init__(
        self,
        server: SmtpServer,
        sender: MailSender,
        *,
        greeting: str,
        ca_file: Path | None,
        timeout: timedelta = SEND_TIMEOUT,
    ) -> None:
        """Connect to nothing yet.

        ``greeting`` is the host that we say we are; ``ca_file`` holds certificates to trust
        besides the system's. Raises ValueError when ``ca_file`` cannot be read.
        """
        self._server = server
        self._sender = sender
        self._greeting = greeting
        self._tls = make_tls_context(ca_file)
        self._seconds = timeout.total_seconds()
        self._idle: list[SMTP] = []
        self._breakers = BreakersByKey()
        # The server may ask the receiver's own, and be kept waiting there.
        self._domains = BreakersByKey(failures=DOMAIN_FAILURES)

    async def send(self, mail: Mail) -> None:
        """Hand ``mail`` in; raises OutboundError when the server has not taken it.

        Not ``temporary`` is what the server refuses for good: this receiver or this message.
        After failures in a row the server is left alone for a while, and so is a domain that it
        was silent about: BreakerOpen says that nothing was tried.
        """
        try:
            message = compose(mail, self._sender)
        except ValueError as error:
            raise OutboundError(str(error), temporary=False) from error
        domain = message.receiver.domain.lower()
        with self._domains.admit(domain), self._breakers.admit(_KEY):
            await self._try(message, domain)

    def is_left_alone(self) -> bool:
        """Tell whether nothing is handed in, but for one message in a while that tries."""
        return self._breakers.is_failing(_KEY)

    def is_shut_off(self) -> bool:
        """Tell whether nothing at all is handed in now."""
        return self._breakers.is_open(_KEY)

    async def check(self) -> None:
        """Connect, as for a message, and leave; raises OutboundError when that fails."""
        with _explained():
            async with asyncio.timeout(self._seconds):
                await _leave(await self._connect())

    async def rest(self) -> None:
        """Close the connections that nobody uses now."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_leave(connection) for connection in idle))

    async def _try(self, message: Message, domain: str) -> None:
        progress = _Progress()
        try:
            with _explained():
                async with asyncio.timeout(self._seconds):
                    await self._send(message, progress)
        except HostFailed as error:
            self._note_silence(domain, progress.reached)
            if progress.reached == "receiver":
                reason = "the mail server was silent about the receiver"
                raise OutboundError(reason, temporary=True) from error
            raise
        except OutboundError:
            self._note_answer(domain, progress.reached)
            raise
        self._note_answer(domain, progress.reached)

    def _note_answer(self, domain: str, reached: _Reached) -> None:
        self._breakers.note_success(_KEY)
        if reached != "server":
            self._domains.note_success(domain)

    async def _send(self, message: Message, progress: _Progress) -> None:
        connection = await self._take_idle() or await self._connect()
        try:
            await self._hand_in(connection, message, progress)
        except (SMTPResponseException, SMTPNotSupported):
            # An answer: the connection is as good as before, unless it was closed with it.
            raise
        except BaseException:
            connection.close()
            raise
        finally:
            if connection.is_connected:
                self._idle.append(connection)

    async def _hand_in(self, connection: SMTP, message: Message, progress: _Progress) -> None:
        """Say whose message it is, for whom, and what is in it (RFC 5321 §3.3)."""
        utf8 = message.needs_utf8
        if connection.is_ehlo_or_helo_needed:
            await connection.ehlo()
        if utf8 and not connection.supports_extension("smtputf8"):
            raise SMTPNotSupported("SMTPUTF8")
        await connection.mail(self._sender.address, options=["SMTPUTF8"] if utf8 else [])
        progress.reached = "receiver"
        receiver = str(message.receiver)
        await connection.rcpt(receiver, encoding="utf-8" if utf8 else "ascii")
        progress.reached = "message"
        await connection.data(message.content)

    async def _take_idle(self) -> SMTP | None:
        """Return a connection that is still one, also to the server."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.rset()
            except (SMTPException, OSError):
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        return None

    async def _connect(self) -> SMTP:
        """Return a connection over which messages may go: with TLS and signed in, if so set."""
        server = self._server
        connection = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=self._greeting,
            timeout=self._seconds,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
        )
        await connection.connect()
        return connection

    def _note_silence(self, domain: str, reached: _Reached) -> None:
        """Hold silence against whom it may be of: the server, the receiver's domain, or both.

        A server that has answered all before may wait for the receiver's own.
        """
        if reached == "server":
            self._breakers.note_failure(_KEY)
            return
        self._domains.note_failure(domain)
        if reached == "message":
            self._breakers.note_failure(_KEY)


async def _leave(connection: SMTP) -> None:
    """Say good-bye, for no longer than a moment."""
    try:
        await connection.quit(timeout=_QUIT_SECONDS)
    except (SMTPException, OSError):
        return
    finally:
        connection.close()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the library raises into an OutboundError, without a word of the server's."""
    try:
        yield
    except SMTPRecipientRefused as error:
        raise _refusal("the receiver", error) from error
    except SMTPDataError as error:
        raise _refusal("the message", error) from error
    except SMTPAuthenticationError as error:
        # An operator can mend it: no message is to blame.
        raise HostFailed(f"the mail server answered {_code(error)} to our password") from error
    except SMTPNotSupported as error:
        reason = "the mail server takes no address beyond ASCII (SMTPUTF8)"
        raise OutboundError(reason, temporary=False) from error
    except SMTPResponseException as error:
        reason = f"the mail server answered {_code(error)}"
        raise OutboundError(reason, temporary=True) from error
    except TimeoutError as error:
        raise HostFailed("the mail server took too long") from error
    except (SMTPException, OSError) as error:
        raise Unreachable(_why_unreachable(error)) from error


def _refusal(what: str, error: SMTPResponseException) -> OutboundError:
    return OutboundError(
        f"the mail server answered {_code(error)} to {what}", temporary=error.code < 500
    )


def _code(error: SMTPResponseException) -> str:
    enhanced = _ENHANCED_CODE.match(error.message)
    return f"{error.code} {enhanced[0]}" if enhanced else str(error.code)


def _why_unreachable(error: BaseException) -> str:
    """Return in words of ours why there was no connection, as far as that is known."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    for found in causes:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"the mail server's certificate can not be trusted: {found.verify_message}"
    if any(isinstance(found, ssl.SSLError) for found in causes):
        return "the mail server and we agree on no TLS"
    if any("STARTTLS extension not supported" in str(found) for found in causes):
        return "the mail server offers no STARTTLS"
    if any("AUTH extension" in str(found) for found in causes):
        return "the mail server takes no password"
    numbers = [found.strerror for found in causes if isinstance(found, OSError) and found.strerror]
    return f"the mail server can not be reached: {numbers[-1] if numbers else 'it hung up'}"
