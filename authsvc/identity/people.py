"""Accounts: what the command line and the admin API do with people."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authsvc.clock import Clock
from authsvc.identity.mail_notices import MailNotices
from authsvc.identity.passwords import PasswordHashes, check_new_password
from authsvc.protocol.claims import check_claim
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Transaction
from authsvc.storage.password_resets import bar_password_resets, void_password_resets
from authsvc.storage.users import (
    User,
    create_user,
    delete_user,
    find_user_locked,
    get_user,
    update_user,
)
from authsvc.tokens.revocation import Revoker


class People:
    """Creates and changes accounts; each method works in the transaction given.

    Passwords are hashed before, by ``hash_new_password``: no transaction stays open for
    as long as a hash takes.
    """

    def __init__(
        self,
        hashes: PasswordHashes,
        revoker: Revoker,
        notices: MailNotices,
        audit: AuditLog,
        clock: Clock,
        *,
        reset_ttl: timedelta,
    ) -> None:
        """``reset_ttl`` is how long a link for a forgotten password is good."""
        self._hashes = hashes
        self._revoker = revoker
        self._notices = notices
        self._audit = audit
        self._clock = clock
        self._reset_ttl = reset_ttl

    async def hash_new_password(self, password: str, *, names: tuple[str | None, ...]) -> str:
        """Return the hash of a password that is acceptable; raises InvalidRequest."""
        check_new_password(password, names=names)
        return await self._hashes.hash(password)

    async def create(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        username: str,
        email: str | None = None,
        email_verified: bool = False,
        password_hash: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> User:
        """Create an account; raises InvalidRequest or Conflict."""
        for name, value in (claims or {}).items():
            check_claim(name, value)
        user = await create_user(
            tx,
            username=username,
            email=email,
            email_verified=email_verified and email is not None,
            password_hash=password_hash,
            claims=claims or {},
            now=self._clock.now(),
        )
        await self._record(tx, "user.created", origin, user.id)
        return user

    async def update(
        self, tx: Transaction, reference: str, origin: Origin, changes: Mapping[str, Any]
    ) -> User:
        """Change ``email``, ``email_verified`` and ``claims``; raises NotFound and others.

        Another ``email`` is told the one before.
        """
        user = await get_user(tx, reference)
        for name, value in changes.get("claims", {}).items():
            check_claim(name, value)
        updated = await update_user(tx, user.id, changes, now=self._clock.now())
        if updated.email != user.email:
            await self._bar_resets(tx, user.id)
            await self._notices.email_changed(tx, updated, user.email)
        await self._record(tx, "user.updated", origin, user.id, members=sorted(changes))
        return updated

    async def set_password(
        self, tx: Transaction, reference: str, password_hash: str, origin: Origin
    ) -> User:
        """Replace the password and end all that was signed in with the old one.

        The person is told by mail.
        """
        user = await get_user(tx, reference)
        updated = await update_user(
            tx, user.id, {"password_hash": password_hash}, now=self._clock.now()
        )
        await self._revoker.revoke_user(tx, user.id)
        await self._bar_resets(tx, user.id)
        await self._notices.password_changed(tx, updated)
        await self._record(tx, "user.password_set", origin, user.id)
        return updated

    async def reset_password(
        self, tx: Transaction, user: User, password_hash: str, origin: Origin
    ) -> None:
        """Replace the password of a person who has just proved that their address is theirs."""
        await self.set_password(tx, user.id, password_hash, origin)
        if not user.email_verified:
            verified = {"email_verified": True}
            await update_user(tx, user.id, verified, now=self._clock.now())
            await self._record(tx, "user.updated", origin, user.id, members=sorted(verified))

    async def disable(self, tx: Transaction, reference: str, origin: Origin) -> User:
        """Let the person in no more and end all they have. Safe to repeat. Raises NotFound."""
        user = await get_user(tx, reference)
        if user.disabled_at is None:
            now = self._clock.now()
            user = await update_user(tx, user.id, {"disabled_at": now}, now=now)
            await self._record(tx, "user.disabled", origin, user.id)
        await self._revoker.revoke_user(tx, user.id)
        await self._bar_resets(tx, user.id)
        return user

    async def enable(self, tx: Transaction, reference: str, origin: Origin) -> User:
        """Let the person in again. Safe to repeat. Raises NotFound."""
        user = await get_user(tx, reference)
        if user.disabled_at is not None:
            user = await update_user(tx, user.id, {"disabled_at": None}, now=self._clock.now())
            await self._record(tx, "user.enabled", origin, user.id)
        return user

    async def delete(self, tx: Transaction, reference: str, origin: Origin) -> User:
        """Delete the account and end all it had; raises NotFound."""
        user = await get_user(tx, reference)
        # The account before its sessions, as whoever signs in locks them.
        await find_user_locked(tx, user.id)
        await self._revoker.revoke_user(tx, user.id)
        await void_password_resets(tx, user.id)
        await delete_user(tx, user.id)
        await self._record(tx, "user.deleted", origin, user.id)
        return user

    async def revoke_sessions(self, tx: Transaction, reference: str, origin: Origin) -> int:
        """End all the person is signed in to; return how many sessions. Raises NotFound."""
        user = await get_user(tx, reference)
        ended = await self._revoker.revoke_user(tx, user.id)
        await self._record(tx, "user.sessions_revoked", origin, user.id, sessions=ended)
        return ended

    async def _bar_resets(self, tx: Transaction, user_id: str) -> None:
        """Void all links for a forgotten password, also those that are asked for and not made.

        What they are bound to may be again as it was: an account that is disabled and enabled.
        """
        now = self._clock.now()
        await bar_password_resets(tx, user_id, now=now, expires_at=now + self._reset_ttl)

    async def _record(
        self, tx: Transaction, event: str, origin: Origin, user_id: str, **details: Any
    ) -> None:
        await self._audit.record(
            tx, event, origin, now=self._clock.now(), subject=user_id, **details
        )
