"""Signing in with a password: the same answer for all who fail, and none for a flood."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from authsvc.clock import Clock
from authsvc.identity.browser_sessions import BrowserSessions
from authsvc.identity.known_devices import KnownDevices
from authsvc.identity.passwords import PasswordHashes
from authsvc.identity.throttle import Bucket, LoginThrottle
from authsvc.protocol.errors import InvalidRequest, TemporarilyUnavailable
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Database, Transaction
from authsvc.storage.sessions import Session
from authsvc.storage.users import User, find_user_by_login, find_user_locked, fold, update_user
from authsvc.tokens.revocation import Revoker

T = TypeVar("T")

_MAX_LOGIN = 320


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has just signed in, and the cookies their browser gets."""

    user: User
    session: Session
    session_cookie: str
    device_cookie: str


@dataclass(frozen=True, slots=True)
class ReplacedSession:
    """The session that a browser had before somebody signed in, by the cookie it sent."""

    id: str
    user_id: str
    cookie: str


class _Facts(TypedDict):
    amr: list[str]
    address: str
    user_agent: str


class Login:
    """Checks a person's password."""

    def __init__(
        self,
        database: Database,
        hashes: PasswordHashes,
        throttle: LoginThrottle,
        devices: KnownDevices,
        sessions: BrowserSessions,
        revoker: Revoker,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hashes = hashes
        self._throttle = throttle
        self._devices = devices
        self._sessions = sessions
        self._revoker = revoker
        self._audit = audit
        self._clock = clock

    async def sign_in(
        self,
        login: str,
        password: str,
        origin: Origin,
        *,
        user_agent: str,
        device: str | None,
        replaces: ReplacedSession | None,
    ) -> SignedIn | None:
        """Sign in the person whose password this is; None: unknown, wrong, disabled alike.

        The password is checked outside of any transaction. ``device`` is the device cookie,
        ``replaces`` the session of this browser: the person's own goes on under another
        cookie, somebody else's ends. Raises TooManyRequests while the
        account or address is delayed, and TemporarilyUnavailable.
        """
        login = login.strip()
        if not login or len(login) > _MAX_LOGIN:
            return None
        async with self._database.transaction() as tx:
            found = await find_user_by_login(tx, login)
            known = self._devices.find(found, device)
            buckets = self._throttle.buckets(fold(login), origin.address, known)
            await self._throttle.count(tx, buckets)
        while (user := await self._check(found, password, buckets, origin)) is not None:
            password_hash = await self._renew_hash(user, password, buckets)
            async with self._database.transaction() as tx:
                found = await find_user_locked(tx, user.id)
                if found is None or not _is_the_same(found, user):
                    # Disabled, another password, or the same, rehashed meanwhile.
                    continue
                session, cookie = await self._open_session(
                    tx, user, origin, user_agent=user_agent, replaces=replaces
                )
                await self._throttle.clear(tx, buckets)
                await self._succeeded(tx, user, password_hash, origin)
            return SignedIn(user, session, cookie, self._devices.cookie(user, known, password_hash))
        return None

    async def _open_session(
        self,
        tx: Transaction,
        user: User,
        origin: Origin,
        *,
        user_agent: str,
        replaces: ReplacedSession | None,
    ) -> tuple[Session, str]:
        """Renew the session ``replaces`` if it is the person's, else end it and begin one."""
        facts: _Facts = {"amr": ["pwd"], "address": origin.address, "user_agent": user_agent}
        if replaces is not None and replaces.user_id == user.id:
            renewed = await self._sessions.renew(
                tx, replaces.id, user.id, presented=replaces.cookie, **facts
            )
            if renewed is not None:
                return renewed
        elif replaces is not None and await self._revoker.revoke_session(tx, replaces.id):
            await self._audit.record(
                tx,
                "session.ended",
                origin,
                now=self._clock.now(),
                subject=replaces.user_id,
                session=replaces.id,
            )
        return await self._sessions.begin(tx, user.id, **facts)

    async def _check(
        self, user: User | None, password: str, buckets: list[Bucket], origin: Origin
    ) -> User | None:
        """Return the person if the password is theirs and they may come in."""
        password_hash = user.password_hash if user else None
        try:
            right = await self._hashed(buckets, self._hashes.verify(password_hash, password))
        except InvalidRequest:
            right = False
        if user is None or not right or user.disabled_at is not None:
            await self._failed(user, right, origin)
            return None
        return user

    async def _renew_hash(self, user: User, password: str, buckets: list[Bucket]) -> str | None:
        """Return the stored hash, or a new one when that is not by today's parameters."""
        if user.password_hash and self._hashes.is_outdated(user.password_hash):
            return await self._hashed(buckets, self._hashes.hash(password))
        return user.password_hash

    async def _hashed(self, buckets: list[Bucket], work: Awaitable[T]) -> T:
        """Await a hash; without one the attempt was none, so it is not counted."""
        try:
            return await work
        except TemporarilyUnavailable:
            await self._throttle.take_back(buckets)
            raise

    async def _failed(self, user: User | None, right: bool, origin: Origin) -> None:
        reason = "unknown" if user is None else "disabled" if right else "password"
        async with self._database.transaction() as tx:
            await self._audit.record(
                tx,
                "login.failed",
                origin,
                now=self._clock.now(),
                subject=user.id if user else "",
                reason=reason,
            )

    async def _succeeded(
        self, tx: Transaction, user: User, password_hash: str | None, origin: Origin
    ) -> None:
        now = self._clock.now()
        rehashed = password_hash != user.password_hash
        if rehashed:
            await update_user(tx, user.id, {"password_hash": password_hash}, now=now)
        await self._audit.record(
            tx, "login.succeeded", origin, now=now, subject=user.id, rehashed=rehashed
        )


def _is_the_same(now: User, before: User) -> bool:
    """Tell whether what the password was checked against still holds."""
    return now.disabled_at is None and now.password_hash == before.password_hash
