"""Throttling sign-ins, exactly: an attempt is counted before its password is looked at.

So a hundred at once get no further than five one after the other. Three buckets are
counted: the account from this address, the account from everywhere, and the address over
all accounts. The delay for the account from everywhere stays short: whoever attacks it
from many addresses slows its person, who gets in between. A browser that has signed in to
the account before is counted by itself alone, so no attack keeps it out.

An account is counted by the name that was typed. By the person behind it, two names that
close together would tell that they are one account, and that it exists.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from authsvc.clock import Clock
from authsvc.protocol.addresses import network_of
from authsvc.protocol.errors import TooManyRequests
from authsvc.storage.database import Database, Transaction
from authsvc.storage.login_attempts import (
    count_attempt,
    find_closed_until,
    forget_attempts,
    take_back_attempt,
)
from authsvc.tokens.opaque import OpaqueHash

MAX_LINKS_A_DAY: Final = 20
"""Links for a forgotten password that are mailed to one person in a day."""


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
class Bucket:
    key: bytes
    free: int
    delays: list[timedelta]
    own: bool
    """Whether a right password clears it, and does not just take its own attempt back."""


class LoginThrottle:
    """Counts attempts in the database."""

    def __init__(
        self, database: Database, opaque_hash: OpaqueHash, clock: Clock, limits: LoginLimits
    ) -> None:
        self._database = database
        self._hash = opaque_hash
        self._clock = clock
        self._limits = limits

    def buckets(self, account: str, address: str, device_id: str | None) -> list[Bucket]:
        """Return what an attempt for the typed name ``account`` is counted in.

        ``device_id`` names the browser, if it is known at the account.
        """
        limits = self._limits
        if device_id is not None:
            # Nothing else counts: neither who attacks the account from elsewhere nor who
            # attacks others from this address keeps its person out.
            return [self._bucket(f"device {device_id}", limits.account, limits.delays(), own=True)]
        network = network_of(address)
        everywhere = limits.delays(limits.delay_max_everywhere)
        # What was typed comes last: no name can be typed so that it makes another's bucket.
        buckets = [
            self._bucket(
                f"account-at {network} {account}", limits.account, limits.delays(), own=True
            ),
            self._bucket(f"account {account}", limits.account_everywhere, everywhere, own=False),
            self._bucket(f"address {network}", limits.address, limits.delays(), own=False),
        ]
        # In one order everywhere: two transactions never wait for each other.
        return sorted(buckets, key=lambda bucket: bucket.key)

    def user_code_buckets(self, user_id: str, address: str) -> list[Bucket]:
        """Return what an attempt of a person at a device's user code is counted in.

        Neither is cleared by a right code, which anybody can have: from a device of theirs.
        """
        limits, network = self._limits, network_of(address)
        buckets = [
            self._bucket(f"user-code-of {user_id}", limits.account, limits.delays(), own=False),
            self._bucket(f"user-code-from {network}", limits.address, limits.delays(), own=False),
        ]
        return sorted(buckets, key=lambda bucket: bucket.key)

    def forgotten_buckets(self, account: str, address: str) -> list[Bucket]:
        """Return what a request for a new password is counted in: as a wrong password would be.

        Whether there is such an account makes no difference. Nothing clears them but time.
        """
        limits, network = self._limits, network_of(address)
        everywhere = limits.delays(limits.delay_max_everywhere)
        names = {
            f"forgotten-at {network} {account}": (limits.account, limits.delays()),
            f"forgotten {account}": (limits.account_everywhere, everywhere),
            f"forgotten-from {network}": (limits.address, limits.delays()),
        }
        buckets = [self._bucket(name, *found, own=False) for name, found in names.items()]
        return sorted(buckets, key=lambda bucket: bucket.key)

    async def may_mail_link(self, tx: Transaction, user_id: str) -> bool:
        """Count a link for a forgotten password that is to be mailed to a person.

        False, and nothing counted, once there were twenty in the day (UTC).
        """
        now, day = self._clock.now(), timedelta(days=1)
        return await count_attempt(
            tx,
            self._hash("login bucket", f"links-mailed {now:%Y-%m-%d} {user_id}"),
            free=MAX_LINKS_A_DAY,
            delays=[day],
            now=now,
            window=day,
        )

    def _bucket(self, name: str, free: int, delays: list[timedelta], *, own: bool) -> Bucket:
        return Bucket(self._hash("login bucket", name), free, delays, own)

    async def count(self, tx: Transaction, buckets: list[Bucket]) -> None:
        """Count an attempt; raises TooManyRequests, and counts nothing, at a closed bucket."""
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

    async def _check_open(self, tx: Transaction, buckets: list[Bucket], now: datetime) -> None:
        closed_until = await find_closed_until(tx, [bucket.key for bucket in buckets], now=now)
        if closed_until is not None:
            raise _delayed(closed_until - now)

    async def clear(self, tx: Transaction, buckets: list[Bucket]) -> None:
        """Note that the password was right."""
        for bucket in buckets:
            if bucket.own:
                await forget_attempts(tx, bucket.key)
            else:
                await take_back_attempt(tx, bucket.key)

    async def take_back(self, buckets: list[Bucket]) -> None:
        """Uncount an attempt at which no password was looked at."""
        async with self._database.transaction() as tx:
            for bucket in buckets:
                await take_back_attempt(tx, bucket.key)


def _delayed(wait: timedelta) -> TooManyRequests:
    return TooManyRequests(
        "Too many wrong passwords: wait a little before the next attempt",
        detail="login throttled",
        retry_after=int(wait.total_seconds()) + 1,
    )
