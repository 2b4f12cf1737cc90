"""Sessions: a person signed in with one browser, known by a cookie."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from authsvc.clock import Clock
from authsvc.storage.database import Transaction
from authsvc.storage.sessions import (
    Session,
    create_session,
    find_session,
    renew_session,
    touch_session,
)
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value

PASSWORD_ACR = "aal1"  # noqa: S105  # the name of an assurance level (NIST SP 800-63B), no secret
_TOUCH_INTERVAL = timedelta(minutes=1)


class BrowserSessions:
    """Begins, renews and finds sessions; each method works in the transaction given."""

    def __init__(
        self, opaque_hash: OpaqueHash, clock: Clock, *, ttl: timedelta, idle_ttl: timedelta
    ) -> None:
        self._hash = opaque_hash
        self._clock = clock
        self._ttl = ttl
        self._idle_ttl = idle_ttl

    async def begin(
        self,
        tx: Transaction,
        user_id: str,
        *,
        amr: Sequence[str],
        address: str,
        user_agent: str,
    ) -> tuple[Session, str]:
        """Begin a session for a person who has just signed in; return it and its cookie.

        Always a new value: one that was known before must not become a signed-in one.
        """
        now = self._clock.now()
        cookie = new_opaque_value()
        session = await create_session(
            tx,
            cookie_hash=self._hash("session cookie", cookie),
            user_id=user_id,
            acr=PASSWORD_ACR,
            amr=amr,
            address=address,
            user_agent=user_agent,
            now=now,
            expires_at=now + self._ttl,
        )
        return session, cookie

    async def renew(
        self,
        tx: Transaction,
        session_id: str,
        user_id: str,
        *,
        presented: str,
        amr: Sequence[str],
        address: str,
        user_agent: str,
    ) -> tuple[Session, str] | None:
        """Let the person's session go on, who has just signed in again in the same browser.

        It stays the same for clients, which know it by its identifier; its cookie is always
        a new value, as in ``begin``. None when it has ended, is another person's, or goes on
        under another cookie than ``presented`` already.
        """
        now = self._clock.now()
        cookie = new_opaque_value()
        session = await renew_session(
            tx,
            session_id,
            presented_hash=self._hash("session cookie", presented),
            cookie_hash=self._hash("session cookie", cookie),
            user_id=user_id,
            acr=PASSWORD_ACR,
            amr=amr,
            address=address,
            user_agent=user_agent,
            now=now,
            expires_at=now + self._ttl,
        )
        return None if session is None else (session, cookie)

    async def find(self, tx: Transaction, cookie: str | None) -> tuple[Session, str] | None:
        """Return the living session of the cookie and its person's user name, or None."""
        if not cookie or len(cookie) > 100:
            return None
        now = self._clock.now()
        return await find_session(
            tx,
            self._hash("session cookie", cookie),
            now=now,
            seen_since=now - self._idle_ttl,
        )

    async def touch(self, tx: Transaction, session: Session) -> Session:
        """Note that the session is used, at most once a minute; return it as it is now.

        To be done before the session is held: a row that is shared can not be written without
        waiting for the others.
        """
        now = self._clock.now()
        if session.seen_at >= now - _TOUCH_INTERVAL:
            return session
        await touch_session(tx, session.id, now=now)
        return replace(session, seen_at=now)
