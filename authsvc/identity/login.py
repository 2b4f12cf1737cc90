"""Signing in with a password: throttled exactly, and the same for all who fail.

Every attempt is counted before the password is looked at, so that a hundred at once get
no further than five one after the other. Three buckets are counted: the account from
this address, the account from everywhere, and the address over all accounts. The delay
for the account from everywhere stays short: whoever attacks it from many addresses slows
its person, who gets in between. A browser that has signed in to the account before
carries a device cookie and is counted by itself alone, so no attack keeps it out.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from authsvc.clock import Clock
from authsvc.identity.browser_sessions import BrowserSessions
from authsvc.identity.passwords import PasswordHashes
from authsvc.master_key import RootSecret
from authsvc.protocol.addresses import network_of
from authsvc.protocol.errors import InvalidRequest, TemporarilyUnavailable, TooManyRequests
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Database, Transaction
from authsvc.storage.login_attempts import (
    count_attempt,
    find_closed_until,
    forget_attempts,
    take_back_attempt,
)
from authsvc.storage.sessions import Session, end_session
from authsvc.storage.users import User, find_user_by_login, find_user_locked, fold, update_user
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value

_MAX_LOGIN = 320
_MAX_COOKIE = 200


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """How many wrong passwords are free, and how the delays after them grow."""

    account: int
    account_everywhere: int
    address: int
    delay: timedelta
    delay_max: timedelta
    delay_max_everywhere: timedelta
    window: timedelta

    def delays(self, longest: timedelta | None = None) -> list[timedelta]:
        """Return the delays: each double the one before, up to the longest."""
        longest = longest or self.delay_max
        steps = [min(self.delay, longest)]
        while steps[-1] < longest:
            steps.append(min(steps[-1] * 2, longest))
        return steps


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has just signed in, and the cookies their browser gets."""

    user: User
    session: Session
    session_cookie: str
    device_cookie: str


@dataclass(frozen=True, slots=True)
class _Bucket:
    key: bytes
    free: int
    delays: list[timedelta]
    own: bool
    """Whether a right password clears it, and does not just take its own attempt back."""


class Login:
    """Checks a person's password."""

    def __init__(
        self,
        database: Database,
        hashes: PasswordHashes,
        opaque_hash: OpaqueHash,
        root: RootSecret,
        sessions: BrowserSessions,
        audit: AuditLog,
        clock: Clock,
        limits: LoginLimits,
    ) -> None:
        self._database = database
        self._hashes = hashes
        self._hash = opaque_hash
        self._device_key = root.derive("device cookie")
        self._sessions = sessions
        self._audit = audit
        self._clock = clock
        self._limits = limits

    async def sign_in(
        self,
        login: str,
        password: str,
        origin: Origin,
        *,
        user_agent: str,
        device: str | None,
        replaces: str | None,
    ) -> SignedIn | None:
        """Sign in the person whose password this is; None: unknown, wrong, disabled alike.

        The password is checked outside of any transaction. ``device`` is the device cookie,
        ``replaces`` the session of this browser that ends. Raises TooManyRequests while the
        account or address is delayed, and TemporarilyUnavailable.
        """
        login = login.strip()
        if not login or len(login) > _MAX_LOGIN:
            return None
        async with self._database.transaction() as tx:
            found = await find_user_by_login(tx, login)
            known = self._find_device(found, device)
            buckets = self._buckets(found.id if found else fold(login), origin.address, known)
            await self._count(tx, buckets)
        try:
            while (user := await self._check(found, password, origin)) is not None:
                rehashed = await self._rehash(user, password)
                async with self._database.transaction() as tx:
                    found = await find_user_locked(tx, user.id)
                    if found is None or not _is_the_same(found, user):
                        # Disabled, another password, or the same, rehashed meanwhile.
                        continue
                    if replaces is not None:
                        await end_session(tx, replaces, now=self._clock.now())
                    session, cookie = await self._sessions.begin(
                        tx, user.id, amr=["pwd"], address=origin.address, user_agent=user_agent
                    )
                    await self._succeeded(tx, user, buckets, rehashed, origin)
                return SignedIn(user, session, cookie, self._device_cookie(user, known, rehashed))
        except TemporarilyUnavailable:
            await self._take_back(buckets)
            raise
        return None

    async def _rehash(self, user: User, password: str) -> str | None:
        """Return a hash by today's parameters, or None when the stored one is by them."""
        if user.password_hash and self._hashes.is_outdated(user.password_hash):
            return await self._hashes.hash(password)
        return None

    async def _check(self, user: User | None, password: str, origin: Origin) -> User | None:
        """Return the person if the password is theirs and they may come in."""
        try:
            right = await self._hashes.verify(user.password_hash if user else None, password)
        except InvalidRequest:
            right = False
        if user is None or not right or user.disabled_at is not None:
            await self._failed(user, right, origin)
            return None
        return user

    async def _count(self, tx: Transaction, buckets: list[_Bucket]) -> None:
        now = self._clock.now()
        # Looked at before anything is locked: a flood at a closed door stays cheap.
        await self._check_open(tx, buckets, now)
        for bucket in buckets:
            counted = await count_attempt(
                tx,
                bucket.key,
                free=bucket.free,
                delays=bucket.delays,
                now=now,
                window=self._limits.window,
            )
            if not counted:
                # Raised inside the transaction: what was counted before is rolled back, so
                # that knocking on a closed door keeps no other door closed.
                await self._check_open(tx, [bucket], now)
                raise _delayed(timedelta())

    async def _check_open(self, tx: Transaction, buckets: list[_Bucket], now: datetime) -> None:
        closed_until = await find_closed_until(tx, [bucket.key for bucket in buckets], now=now)
        if closed_until is not None:
            raise _delayed(closed_until - now)

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
        self,
        tx: Transaction,
        user: User,
        buckets: list[_Bucket],
        rehashed: str | None,
        origin: Origin,
    ) -> None:
        now = self._clock.now()
        for bucket in buckets:
            if bucket.own:
                await forget_attempts(tx, bucket.key)
            else:
                await take_back_attempt(tx, bucket.key)
        if rehashed is not None:
            await update_user(tx, user.id, {"password_hash": rehashed}, now=now)
        await self._audit.record(
            tx, "login.succeeded", origin, now=now, subject=user.id, rehashed=rehashed is not None
        )

    async def _take_back(self, buckets: list[_Bucket]) -> None:
        """Uncount an attempt at which no password was looked at."""
        async with self._database.transaction() as tx:
            for bucket in buckets:
                await take_back_attempt(tx, bucket.key)

    def _buckets(self, account: str, address: str, device_id: str | None) -> list[_Bucket]:
        limits = self._limits
        if device_id is not None:
            # Nothing else counts: neither who attacks the account from elsewhere nor who
            # attacks others from this address keeps its person out.
            return [self._bucket(f"device {device_id}", limits.account, limits.delays(), own=True)]
        network = network_of(address)
        everywhere = limits.delays(limits.delay_max_everywhere)
        buckets = [
            self._bucket(f"account {account} {network}", limits.account, limits.delays(), own=True),
            self._bucket(f"account {account}", limits.account_everywhere, everywhere, own=False),
            self._bucket(f"address {network}", limits.address, limits.delays(), own=False),
        ]
        # In one order everywhere: two transactions never wait for each other.
        return sorted(buckets, key=lambda bucket: bucket.key)

    def _bucket(self, name: str, free: int, delays: list[timedelta], *, own: bool) -> _Bucket:
        return _Bucket(self._hash("login bucket", name), free, delays, own)

    def _device_cookie(self, user: User, known: str | None, rehashed: str | None) -> str:
        """Return the cookie by which this browser is known at the account.

        A known browser keeps its name, so that it can not gather several.
        """
        device_id = known or new_opaque_value()
        return f"{device_id}.{self._sign(device_id, user.id, rehashed or user.password_hash)}"

    def _find_device(self, user: User | None, cookie: str | None) -> str | None:
        """Return the name of a browser that has signed in with the password of today."""
        if user is None or not cookie or len(cookie) > _MAX_COOKIE:
            return None
        device_id, _, signature = cookie.partition(".")
        expected = self._sign(device_id, user.id, user.password_hash)
        if hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return device_id
        return None

    def _sign(self, device_id: str, user_id: str, password_hash: str | None) -> str:
        content = f"{device_id}\n{user_id}\n{password_hash}".encode("utf-8", "replace")
        return hmac.digest(self._device_key, content, "sha256").hex()


def _delayed(wait: timedelta) -> TooManyRequests:
    return TooManyRequests(
        "Too many wrong passwords: wait a little before the next attempt",
        detail="login throttled",
        retry_after=int(wait.total_seconds()) + 1,
    )


def _is_the_same(now: User, before: User) -> bool:
    """Tell whether what the password was checked against still holds."""
    return now.disabled_at is None and now.password_hash == before.password_hash
