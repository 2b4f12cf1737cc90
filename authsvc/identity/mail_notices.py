"""Telling a person by mail what became of their account, in the transaction that changes it."""

from typing import Final

from authsvc.clock import Clock
from authsvc.identity.mail_texts import Notice
from authsvc.storage import outbox
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.users import User

MAIL_NOTICE: Final = "mail_notice"
"""Kind of an outbox entry: ``notice``, ``user_id``, ``to``, ``at`` (ISO 8601), ``message_id``."""


class MailNotices:
    """Writes notices into the outbox; nothing where no mail is sent."""

    def __init__(self, clock: Clock, *, enabled: bool) -> None:
        self._clock = clock
        self._enabled = enabled

    async def password_changed(self, tx: Transaction, user: User) -> None:
        """Tell a person whose password has just been replaced."""
        await self._write(tx, "password_changed", user, user.email)

    async def email_changed(self, tx: Transaction, user: User, before: str | None) -> None:
        """Tell a person at the address ``before`` that it is not theirs here any more."""
        await self._write(tx, "email_changed", user, before)

    async def _write(self, tx: Transaction, notice: Notice, user: User, to: str | None) -> None:
        if not self._enabled or to is None:
            return
        now = self._clock.now()
        payload = {
            "notice": notice,
            "user_id": user.id,
            # As it was at the change: whoever takes an account over changes the address next.
            "to": to,
            "at": now.isoformat(),
            "message_id": new_id(now),
        }
        await outbox.add(tx, MAIL_NOTICE, [payload], now=now)
