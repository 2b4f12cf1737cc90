"""Mail goes out: what was written to the outbox for people is handed to the mail server.

Apart from the rest of the outbox: a mail server that hangs holds up no logout notice.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from authsvc.identity.mail_notices import MAIL_NOTICE
from authsvc.identity.mail_texts import write_notice, write_reset
from authsvc.identity.password_resets import PASSWORD_RESET, LinkOver
from authsvc.jobs.deliver_outbox import Dropped, Handler, deliver
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.outbound.mail_message import Mail
from authsvc.outbound.mail_server import MailServer
from authsvc.storage.users import find_user

_AT_ONCE: Final = 4
"""Messages under way, and so connections."""


async def deliver_mail(server: AuthorizationServer) -> None:
    """Hand in what is due, as ``deliver_outbox`` does; nothing where no mail is sent."""
    mail_server = server.resources.mail_server
    if mail_server is None:
        return
    try:
        await deliver(
            server,
            MAIL_HANDLERS,
            at_once=_AT_ONCE,
            # Who is mailed to in vain keeps nobody else waiting.
            for_one=1,
            may_begin=lambda: not mail_server.is_shut_off(),
        )
    finally:
        await mail_server.rest()


async def deliver_notice(server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
    """Hand in one notice (``identity.mail_notices.MAIL_NOTICE``).

    Nobody is told about an account that is gone. Raises OutboundError.
    """
    async with server.resources.database.reading() as tx:
        user = await find_user(tx, payload["user_id"])
    if user is None:
        return
    at = datetime.fromisoformat(payload["at"])
    subject, text = write_notice(
        payload["notice"],
        username=user.username,
        issuer=server.issuer,
        at=f"{at:%Y-%m-%d %H:%M} UTC",
    )
    mail = Mail(payload["message_id"], payload["to"], subject, text, at)
    await _mail_server(server).send(mail)


async def deliver_reset(server: AuthorizationServer, payload: Mapping[str, Any]) -> None:
    """Hand in one link to set another password (``identity.password_resets.PASSWORD_RESET``).

    It leads to the issuer, whatever host the request for it named. Raises OutboundError, and
    Dropped where the link would be over when it arrives.
    """
    try:
        made = await server.resources.password_resets.make(payload)
    except LinkOver as error:
        raise Dropped("the link was over before its mail was sent") from error
    if made is None:
        return
    subject, text = write_reset(
        username=made.user.username,
        issuer=server.issuer,
        link=f"{server.issuer}/password/reset?token={made.token}",
        minutes=made.minutes,
    )
    mail = Mail(payload["message_id"], made.to, subject, text, made.asked_at)
    await _mail_server(server).send(mail)


def _mail_server(server: AuthorizationServer) -> MailServer:
    mail_server = server.resources.mail_server
    if mail_server is None:
        raise OutboundError("no mail server is set", temporary=True)
    return mail_server


MAIL_HANDLERS: Final[Mapping[str, Handler]] = {
    MAIL_NOTICE: deliver_notice,
    PASSWORD_RESET: deliver_reset,
}
"""What delivers each kind of mail."""
