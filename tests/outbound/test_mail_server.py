"""Handing mail in: TLS by default, a password over TLS alone, and whose fault a failure is."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from authsvc.config.mail import MailSender, parse_smtp_url
from authsvc.outbound import OutboundError, breakers, mail_message
from authsvc.outbound.breakers import FAILURES
from authsvc.outbound.errors import BreakerOpen
from authsvc.outbound.mail_message import Mail
from authsvc.outbound.mail_server import DOMAIN_FAILURES, MailServer
from authsvc.protocol.mail_address import MailAddress
from tests.mail_catcher import PASSWORD, USER, MailCatcher, Security, open_mail_catcher

SENDER = MailSender("Beispiel für alle", "login@authsvc.example")
TO = "anna@people.example"
LOGIN = f"{USER}:{quote(PASSWORD, safe='')}"


def mail(to: str = TO, number: int = 1) -> Mail:
    return Mail(f"id-{number}", to, "Grüße", "Hello Björn,\n.\nbye\n", datetime.now(UTC))


def client(
    catcher: MailCatcher,
    *,
    url: str | None = None,
    ca_file: Path | None = None,
    timeout: timedelta = timedelta(seconds=20),
) -> MailServer:
    return MailServer(
        parse_smtp_url(url or catcher.url()),
        SENDER,
        greeting="authsvc.example",
        ca_file=ca_file or catcher.ca_file,
        timeout=timeout,
    )


async def failure(server: MailServer, *, to: str = TO) -> OutboundError:
    """Send, and return why it failed; no word of it is the receiver's address."""
    with pytest.raises(OutboundError) as failed:
        await server.send(mail(to))
    assert to not in failed.value.reason
    return failed.value


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    """A server with STARTTLS that asks for no password."""
    async with open_mail_catcher() as opened:
        yield opened


async def test_a_message_goes_through_starttls_as_it_was_written(catcher: MailCatcher) -> None:
    server = client(catcher)
    await server.send(mail())
    caught = await catcher.take()
    await server.rest()

    assert caught.was_encrypted
    assert (caught.sender, caught.receivers) == ("login@authsvc.example", [TO])
    assert caught.content.isascii()
    message = caught.message
    assert message["From"] == "Beispiel für alle <login@authsvc.example>"
    assert message["To"] == TO
    assert message["Subject"] == "Grüße"
    assert message["Message-ID"] == "<id-1@authsvc.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "text/plain"
    assert message.get_content_charset() == "utf-8"
    # A line that is a dot alone does not end the message.
    assert caught.text == "Hello Björn,\n.\nbye\n"


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_password_is_told_over_tls(security: Security) -> None:
    async with open_mail_catcher(security, needs_login=True) as catcher:
        server = client(catcher, url=catcher.url(user=LOGIN))
        await server.send(mail())
        await server.rest()
        assert (await catcher.take()).was_encrypted
        assert catcher.logins == [(USER, PASSWORD)]


async def test_without_starttls_there_is_no_mail_and_no_password() -> None:
    async with open_mail_catcher(offers_starttls=False) as catcher:
        failed = await failure(client(catcher, url=catcher.url(user=LOGIN)))
        assert failed.temporary
        assert "STARTTLS" in failed.reason
        assert catcher.logins == []
        assert catcher.caught.empty()


async def test_without_tls_only_where_that_is_said() -> None:
    async with open_mail_catcher("off") as catcher:
        server = client(catcher)
        await server.send(mail())
        await server.rest()
        assert not (await catcher.take()).was_encrypted


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_of_another_host_or_of_nobody_known_is_refused(
    security: Security,
) -> None:
    async with open_mail_catcher(security, hosts=["other.example"]) as catcher:
        failed = await failure(client(catcher, url=catcher.url(user=LOGIN)))
        assert "certificate" in failed.reason
        assert failed.temporary
        assert catcher.logins == []
    async with open_mail_catcher(security) as catcher, open_mail_catcher(security) as stranger:
        failed = await failure(client(catcher, ca_file=stranger.ca_file))
        assert "certificate" in failed.reason
        assert catcher.caught.empty()


async def test_a_wrong_password_is_no_fault_of_the_message() -> None:
    async with open_mail_catcher(needs_login=True) as catcher:
        failed = await failure(client(catcher, url=catcher.url(user=f"{USER}:wrong")))
        assert failed.temporary
        assert "535" in failed.reason
        assert "wrong" not in failed.reason
        assert catcher.caught.empty()


@pytest.mark.parametrize(
    ("command", "answer", "temporary", "reason"),
    [
        ("RCPT", "550 5.1.1 <{address}>: nobody", False, "550 5.1.1 to the receiver"),
        ("RCPT", "450 4.2.1 <{address}>: later", True, "450 4.2.1 to the receiver"),
        ("RCPT", "550 <{address}>", False, "550 to the receiver"),
        ("DATA", "554 5.6.0 no", False, "554 5.6.0 to the message"),
        ("DATA", "451 4.3.0 later", True, "451 4.3.0 to the message"),
        # An operator can mend what the sender may: nobody's mail is thrown away for it.
        ("MAIL", "550 5.7.1 not you", True, "550 5.7.1"),
        ("MAIL", "421 4.3.2 closing", True, "421 4.3.2"),
    ],
)
async def test_what_a_server_refuses_for_good_is_told_apart_from_what_may_pass(
    catcher: MailCatcher, command: str, answer: str, temporary: bool, reason: str
) -> None:
    server = client(catcher)
    catcher.answers[command] = answer
    failed = await failure(server)
    assert (failed.temporary, failed.reason) == (temporary, f"the mail server answered {reason}")
    # A refusal is an answer: it never opens the breaker, and the next one goes.
    for _ in range(FAILURES):
        await failure(server)
    catcher.answers.clear()
    await server.send(mail())
    await server.rest()
    assert (await catcher.take()).receivers == [TO]


async def test_many_messages_go_over_one_connection(catcher: MailCatcher) -> None:
    server = client(catcher)
    for number in range(20):
        await server.send(mail(number=number))
    assert catcher.connections == 1
    await server.rest()
    await server.send(mail())
    await server.rest()
    assert catcher.connections == 2
    assert catcher.caught.qsize() == 21


async def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    async with open_mail_catcher("off") as catcher:
        server = client(catcher)
        await server.send(mail())
        for idle in server._idle:
            assert idle.transport is not None
            idle.transport.abort()  # type: ignore[attr-defined]  # typed as its base class
        await server.send(mail())
        await server.rest()
        assert (catcher.connections, catcher.caught.qsize()) == (2, 2)


async def test_a_server_that_hangs_is_given_up_and_then_left_alone(catcher: MailCatcher) -> None:
    catcher.held.clear()
    server = client(catcher, timeout=timedelta(seconds=0.3))
    for number in range(FAILURES):
        failed = await failure(server, to=f"anna@people{number}.example")
        assert (failed.temporary, failed.reason) == (True, "the mail server took too long")
    connections = catcher.connections
    assert connections == FAILURES, "what was given up in the middle is used no more"
    with pytest.raises(BreakerOpen):
        await server.send(mail())
    assert catcher.connections == connections


async def test_a_server_is_left_alone_until_a_message_has_gone_through(
    catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "RECOVERY_SECONDS", 1e-9)
    catcher.held.clear()
    server = client(catcher, timeout=timedelta(seconds=0.3))
    for number in range(FAILURES):
        assert not server.is_left_alone()
        await failure(server, to=f"anna@people{number}.example")
    # Its time is over at once, but whether it is back nobody knows before one has tried.
    assert server.is_left_alone()
    assert not server.is_shut_off()
    await failure(server)
    assert server.is_left_alone()
    catcher.held.set()
    await server.send(mail())
    assert not server.is_left_alone()
    await server.rest()


@pytest.mark.parametrize("drips", [False, True])
async def test_silence_about_a_receiver_is_held_against_the_domain_alone(
    catcher: MailCatcher, drips: bool
) -> None:
    catcher.tarpits["tar.example"] = drips
    server = client(catcher, timeout=timedelta(seconds=0.5))
    for number in range(DOMAIN_FAILURES):
        failed = await failure(server, to=f"person{number}@tar.example")
        assert failed.temporary
        assert failed.reason == "the mail server was silent about the receiver"
    with pytest.raises(BreakerOpen):
        await server.send(mail("another@TAR.example"))
    # However many such domains there are, the server is left alone for none of them.
    for number in range(FAILURES):
        catcher.tarpits[f"tar{number}.example"] = drips
        await failure(server, to=f"anna@tar{number}.example")
    assert not server.is_left_alone()
    await server.send(mail())
    assert (await catcher.take()).receivers == [TO]
    await server.rest()


async def test_a_domain_is_left_alone_until_one_of_its_own_has_gone_through(
    catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "RECOVERY_SECONDS", 1e-9)
    catcher.tarpits["tar.example"] = False
    server = client(catcher, timeout=timedelta(seconds=0.5))
    for _ in range(DOMAIN_FAILURES):
        await failure(server, to="anna@tar.example")
    # Its time is over: one tries, and the others are not sent along.
    catcher.asked.clear()
    trying = asyncio.create_task(failure(server, to="anna@tar.example"))
    await asyncio.wait_for(catcher.asked.wait(), 10)
    with pytest.raises(BreakerOpen):
        await server.send(mail("eve@tar.example"))
    await trying
    catcher.tarpits.clear()
    await server.send(mail("anna@tar.example"))
    await asyncio.gather(*(server.send(mail("anna@tar.example")) for _ in range(3)))
    assert catcher.caught.qsize() == 4
    await server.rest()


async def test_nobody_who_listens_and_nobody_who_speaks_smtp(catcher: MailCatcher) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    assert (await failure(client(catcher, url=f"smtp://127.0.0.1:{port}"))).temporary
    assert (await failure(client(catcher, url=f"smtps://127.0.0.1:{port}"))).temporary
    other.close()
    await other.wait_closed()
    gone = await failure(client(catcher, url=f"smtp://127.0.0.1:{port}"))
    assert gone.temporary
    assert "can not be reached" in gone.reason


async def test_an_old_tls_is_refused(catcher: MailCatcher) -> None:
    server = client(catcher)
    assert server._tls.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server._tls.verify_mode == ssl.CERT_REQUIRED
    assert server._tls.check_hostname


async def test_an_address_beyond_ascii_goes_to_a_server_that_knows_such_alone() -> None:
    for to in ("björn@people.example", "anna@bücher.example"):
        async with open_mail_catcher() as catcher:
            server = client(catcher)
            await server.send(mail(to))
            await server.rest()
            caught = await catcher.take()
            assert caught.receivers == [to]
            assert "SMTPUTF8" in caught.options
            assert caught.message["To"] == to
        async with open_mail_catcher(knows_utf8=False) as catcher:
            failed = await failure(client(catcher), to=to)
            assert not failed.temporary
            assert catcher.caught.empty()


@pytest.mark.parametrize(
    "to",
    [
        "anna@people.example\r\nBcc: all@people.example",
        "anna@people.example>\r\nDATA\r\n.",
        "anna@people.example\nX: y",
        "anna@a.example>,<eve@evil.example",
        "anna@a.example,eve@evil.example",
        "<anna@people.example>",
        '"anna eve"@people.example',
        "anna eve@people.example",
        "anna@people.example ORCPT=rfc822;eve",
        "anna@[127.0.0.1]",
        "anna@people..example",
        ".anna@people.example",
        "anna@-people.example",
        "anna\u202e@people.example",
        "anna\u2028@people.example",
        "anna\x00@people.example",
        "a" * 65 + "@people.example",
        "ä" * 33 + "@people.example",
        "anna@" + "a" * 63 + ".example" * 30,
        "anna",
        "@people.example",
        "=?utf-8?q?a=0d=0aBcc=3a=20x?=@people.example",
        "=?utf-8?q?a=40evil.example?=@people.example",
        "=?utf-8?b?YQ0KQmNjOiBldmlsQGV2aWwuZXhhbXBsZQ?=@people.example",
        "ü=?utf-8?q?a=0d=0a=0d=0aEVIL?=@people.example",
    ],
)
async def test_what_is_no_address_reaches_neither_envelope_nor_header(
    catcher: MailCatcher, to: str
) -> None:
    failed = await failure(client(catcher), to=to)
    assert not failed.temporary
    assert catcher.connections == 0


@pytest.mark.parametrize(
    "local",
    [
        "=?utf-8?q?a=0d=0aBcc=3a=20x?=",
        "=?utf-8?q?a=0d=0a=0d=0aEVIL?=",
        "=?utf-8?q?a=40evil.example?=",
        "=?utf-8?b?YQ0KQmNjOiBldmlsQGV2aWwuZXhhbXBsZQ?=",
    ],
)
async def test_an_address_that_was_misread_makes_no_other_message(
    catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch, local: str
) -> None:
    """The second fence, as if the first one had let through what the library decodes."""
    misread = MailAddress(local, "people.example")
    monkeypatch.setattr(mail_message, "parse_mail_address", lambda _: misread)
    failed = await failure(client(catcher), to=str(misread))
    assert not failed.temporary
    assert catcher.connections == 0


@pytest.mark.parametrize("local", ["a=b", "a?b=c", "a?=b", "anna+" + "x" * 59, "j." + "ö" * 30])
async def test_an_odd_address_that_is_one_gets_its_mail(catcher: MailCatcher, local: str) -> None:
    to = f"{local}@{'b' * 60}.{'c' * 60}.example"
    server = client(catcher)
    await server.send(mail(to))
    await server.rest()
    caught = await catcher.take()
    assert caught.receivers == [to]
    assert caught.message["To"] == to


async def test_looking_at_a_server_hands_nothing_in() -> None:
    async with open_mail_catcher(needs_login=True) as catcher:
        await client(catcher, url=catcher.url(user=LOGIN)).check()
        assert catcher.logins == [(USER, PASSWORD)]
        with pytest.raises(OutboundError, match="535"):
            await client(catcher, url=catcher.url(user=f"{USER}:wrong")).check()
        assert catcher.caught.empty()
