"""Signing in with a password: throttled exactly, and the same for all who fail.

Every attempt is counted before the password is looked at, so that a hundred at once get
no further than five one after the other. Three buckets are counted: the account from
this address, the account from everywhere, and the address over all accounts. A browser
that has signed in to the account before carries a device cookie and has a bucket of its
own: whoever attacks the account from elsewhere can slow others, but never lock its
person out.
"""

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from authsvc.clock import Clock
from authsvc.identity.browser_sessions import BrowserSessions
from authsvc.identity.passwords import PasswordHashes
from authsvc.master_key import RootSecret
from authsvc.protocol.errors import InvalidRequest, TooManyRequests
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.database import Database, Transaction
from authsvc.storage.login_attempts import (
    count_attempt,
    find_open_at,
    forget_attempts,
    take_back_attempt,
)
from authsvc.storage.sessions import Session, end_session
from authsvc.storage.users import User, find_user_by_login, find_user_locked, fold, update_user
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value

_MAX_LOGIN = 320


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """How many wrong passwords are free, and how the delays after them grow."""

    account: int
    account_everywhere: int
    address: int
    delay: timedelta
    delay_max: timedelta
    window: timedelta

    def delays(self) -> list[timedelta]:
        """Return the delays: each double the one before, up to the longest."""
        steps = [self.delay]
        while steps[-1] < self.delay_max:
            steps.append(min(steps[-1] * 2, self.delay_max))
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
        account = fold(login)
        buckets = self._buckets(account, origin.address, device)
        async with self._database.transaction() as tx:
            await self._count(tx, buckets)
            found = await find_user_by_login(tx, login)
        while (user := await self._check(found, password, origin)) is not None:
            rehashed = (
                await self._hashes.hash(password)
                if user.password_hash and self._hashes.is_outdated(user.password_hash)
                else None
            )
            async with self._database.transaction() as tx:
                found = await find_user_locked(tx, user.id)
                if found is None or not _is_the_same(found, user):
                    # Disabled, another password, or the same, rehashed by another sign-in.
                    continue
                if replaces is not None:
                    await end_session(tx, replaces, now=self._clock.now())
                session, cookie = await self._sessions.begin(
                    tx, user.id, amr=["pwd"], address=origin.address, user_agent=user_agent
                )
                await self._succeeded(tx, user, buckets, rehashed, origin)
            return SignedIn(user, session, cookie, self._device_cookie(account))
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

    def _device_cookie(self, account: str) -> str:
        content = f"{new_opaque_value()}.{_encode(account.encode())}"
        return f"{content}.{_encode(self._sign(content))}"

    async def _count(self, tx: Transaction, buckets: list[_Bucket]) -> None:
        now = self._clock.now()
        delays = self._limits.delays()
        for bucket in buckets:
            counted = await count_attempt(
                tx,
                bucket.key,
                free=bucket.free,
                delays=delays,
                now=now,
                window=self._limits.window,
            )
            if not counted:
                open_at = await find_open_at(tx, bucket.key)
                wait = (open_at - now).total_seconds() if open_at else 0
                # Raised inside the transaction: what was counted before is rolled back, so
                # that knocking on a closed door keeps no other door closed.
                raise TooManyRequests(
                    "Too many wrong passwords: wait a little before the next attempt",
                    detail="login throttled",
                    retry_after=max(1, int(wait) + 1),
                )

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

    def _buckets(self, account: str, address: str, device: str | None) -> list[_Bucket]:
        network = _network(address)
        limits = self._limits
        device_id = self._find_device(account, device)
        if device_id is not None:
            buckets = [self._bucket(f"device {device_id} {account}", limits.account, own=True)]
        else:
            buckets = [
                self._bucket(f"account {account} {network}", limits.account, own=True),
                self._bucket(f"account {account}", limits.account_everywhere, own=False),
            ]
        buckets.append(self._bucket(f"address {network}", limits.address, own=False))
        # In one order everywhere: two transactions never wait for each other.
        return sorted(buckets, key=lambda bucket: bucket.key)

    def _bucket(self, name: str, free: int, *, own: bool) -> _Bucket:
        return _Bucket(self._hash("login bucket", name), free, own)

    def _find_device(self, account: str, cookie: str | None) -> str | None:
        if not cookie or len(cookie) > 2_000:
            return None
        content, _, signature = cookie.rpartition(".")
        device_id, _, encoded = content.partition(".")
        try:
            given, known = _decode(signature), _decode(encoded).decode()
        except ValueError:
            return None
        if hmac.compare_digest(given, self._sign(content)) and known == account:
            return device_id
        return None

    def _sign(self, content: str) -> bytes:
        return hmac.digest(self._device_key, content.encode("utf-8", "replace"), "sha256")


def _is_the_same(now: User, before: User) -> bool:
    """Tell whether what the password was checked against still holds."""
    return now.disabled_at is None and now.password_hash == before.password_hash


def _network(address: str) -> str:
    """Return who is counted as one address: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error
