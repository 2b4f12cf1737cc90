"""A forgotten password: a link by mail, with which its person sets another.

Whoever asks learns nothing: the same is written whether there is such a person or not. The
link is made when the mail goes out, from a seed that waits in the outbox and a key that is in
no table. So neither the outbox nor a dead letter holds what would open an account, and a mail
that is sent twice has the same link (OWASP Forgot Password Cheat Sheet; decision 35).
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from authsvc.clock import Clock
from authsvc.identity.people import People
from authsvc.identity.throttle import LoginThrottle
from authsvc.logs import get_logger
from authsvc.master_key import RootSecret
from authsvc.storage import outbox
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Database, Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.password_resets import (
    PasswordReset,
    add_password_reset,
    count_password_resets,
    find_password_reset,
    is_barred,
    spend_password_reset,
)
from authsvc.storage.users import User, find_user, find_user_by_login, find_user_locked, fold
from authsvc.tokens.opaque import MAX_LENGTH, OpaqueHash, new_opaque_value

PASSWORD_RESET: Final = "password_reset"  # noqa: S105  # the kind of an outbox entry
"""Kind of an outbox entry: ``user_id`` (null for nobody), ``seed``, ``binding``, ``at``,
``address``, ``request_id``, ``message_id``."""
_MAX_LOGIN: Final = 320
_MOST: Final = 3
"""Links of a person that may be good at once: so many mails can be made them."""


SENDING: Final = timedelta(seconds=30)
"""How long it may take to hand a mail in: a link has to be good for longer when that begins."""

log = get_logger(__name__)


class LinkOver(Exception):
    """A link whose mail was not sent in time, whether it was for anybody or not."""


@dataclass(frozen=True, slots=True)
class ResetMail:
    """Whom to send which token, and until when it is good."""

    user: User
    to: str
    token: str
    asked_at: datetime
    minutes: int


class PasswordResets:
    """Takes requests for links, makes them, and sets passwords by them."""

    def __init__(
        self,
        database: Database,
        root: RootSecret,
        opaque_hash: OpaqueHash,
        throttle: LoginThrottle,
        people: People,
        audit: AuditLog,
        clock: Clock,
        *,
        ttl: timedelta,
    ) -> None:
        self._database = database
        self._link_key = root.derive("password reset link")
        self._binding_key = root.derive("password reset binding")
        self._hash = opaque_hash
        self._throttle = throttle
        self._people = people
        self._audit = audit
        self._clock = clock
        self._ttl = ttl

    async def ask(self, login: str, origin: Origin) -> None:
        """Write down that whoever signs in as ``login`` is to get a link.

        It is one and the same for people and for nobody. Raises TooManyRequests by the name
        that was typed, and the address.
        """
        login = login.strip()[:_MAX_LOGIN]
        now = self._clock.now()
        async with self._database.transaction() as tx:
            buckets = self._throttle.forgotten_buckets(fold(login), origin.address)
            await self._throttle.count(tx, buckets)
            user = await find_user_by_login(tx, login)
            payload = {
                "user_id": user.id if user else None,
                "seed": new_opaque_value(),
                "binding": base64.b64encode(self._bind(user)).decode(),
                "at": now.isoformat(),
                "address": origin.address,
                "request_id": origin.request_id,
                "message_id": new_id(now),
            }
            await outbox.add(tx, PASSWORD_RESET, [payload], now=now)

    async def make(self, payload: Mapping[str, Any]) -> ResetMail | None:
        """Return the mail of a request, the same each time; None when there is none to send.

        There is none for nobody, for who is disabled or without an address or was meanwhile, for
        who has changed password or address since, beyond three at once, and beyond twenty a day.
        Raises LinkOver when it could not be sent before the link is over.
        """
        asked_at = datetime.fromisoformat(payload["at"])
        now, expires_at = self._clock.now(), asked_at + self._ttl
        if expires_at - now <= min(SENDING, self._ttl / 2):
            raise LinkOver
        if payload["user_id"] is None:
            return None
        async with self._database.transaction() as tx:
            user = await find_user_locked(tx, payload["user_id"])
            binding = base64.b64decode(payload["binding"])
            if user is None or not self._is_bound(user, binding):
                return None
            if await is_barred(tx, user.id, asked_at=asked_at):
                return None
            token = self._derive_token(payload["seed"])
            token_hash = self._hash("password reset token", token)
            if await find_password_reset(tx, token_hash, now=now) is None:
                reset = PasswordReset(user.id, binding)
                if await count_password_resets(tx, reset, now=now) >= _MOST:
                    return None
                if not await self._throttle.may_mail_link(tx, user.id):
                    log.info("password_reset_not_mailed", reason="too many today")
                    return None
                await add_password_reset(tx, token_hash, reset, now=now, expires_at=expires_at)
                origin = Origin("anonymous", payload["address"], payload["request_id"])
                await self._record(tx, "user.password_reset_asked", origin, user)
        minutes = max(round(self._ttl / timedelta(minutes=1)), 1)
        return ResetMail(user, user.email or "", token, asked_at, minutes)

    async def is_good(self, token: str) -> bool:
        """Tell whether a password may be set with ``token``; this uses nothing up."""
        async with self._database.reading() as tx:
            return await self._find(tx, token) is not None

    async def reset(self, token: str, password: str, origin: Origin) -> bool:
        """Set the password of the token's person; False when it is good for nothing.

        All that the person is signed in to ends. Raises InvalidRequest for a password that is
        not acceptable, which uses nothing up, and TemporarilyUnavailable.
        """
        async with self._database.reading() as tx:
            found = await self._find(tx, token)
        if found is None:
            return False
        # Outside of any transaction, and for holders of a token alone: a hash is expensive.
        password_hash = await self._people.hash_new_password(
            password, names=(found.username, found.email)
        )
        token_hash = self._hash("password reset token", token)
        async with self._database.transaction() as tx:
            # The account before what hangs on it, as whoever signs in locks them.
            user = await find_user_locked(tx, found.id)
            reset = await spend_password_reset(tx, token_hash, now=self._clock.now())
            if user is None or reset is None or not self._is_bound(user, reset.binding):
                return False
            by_person = Origin(f"user:{user.id}", origin.address, origin.request_id)
            await self._people.reset_password(tx, user, password_hash, by_person)
            await self._record(tx, "user.password_reset", by_person, user)
        return True

    async def _find(self, tx: Transaction, token: str) -> User | None:
        """Return the person whose password may be set with ``token``."""
        if not token or len(token) > MAX_LENGTH:
            return None
        token_hash = self._hash("password reset token", token)
        reset = await find_password_reset(tx, token_hash, now=self._clock.now())
        user = await find_user(tx, reset.user_id) if reset else None
        if user is None or reset is None or not self._is_bound(user, reset.binding):
            return None
        return user

    def _derive_token(self, seed: str) -> str:
        digest = hmac.digest(self._link_key, seed.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _bind(self, user: User | None) -> bytes:
        """Return what says which password and address a person has now."""
        content = f"{user.id}\n{user.password_hash}\n{user.email}" if user else "nobody"
        return hmac.digest(self._binding_key, content.encode("utf-8", "replace"), "sha256")

    def _is_bound(self, user: User, binding: bytes) -> bool:
        """Tell whether the person may come in and has the password and address of then."""
        may_come = user.disabled_at is None and user.email is not None
        return may_come and hmac.compare_digest(self._bind(user), binding)

    async def _record(self, tx: Transaction, event: str, origin: Origin, user: User) -> None:
        await self._audit.record(tx, event, origin, now=self._clock.now(), subject=user.id)
