"""The life of a signing key: next, active, retired, removed; or revoked.

A key is published as ``next`` for longer than clients may cache the JWKS before it
signs, and stays published as ``retired`` for longer than the longest token lives. So a
client never meets a ``kid`` it could not know. Every change happens under one lock in
the cluster.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization

from authsvc.clock import Clock
from authsvc.master_key import MasterKeys
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.signing.algorithms import (
    ALGORITHMS,
    PrivateKey,
    check_key_fits,
    generate_private_key,
    public_jwk,
    serialize,
)
from authsvc.signing.keyring import PRIVATE_KEY_PURPOSE
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.changes import Changes
from authsvc.storage.database import Transaction
from authsvc.storage.signing_keys import (
    KeyState,
    SigningKeyRow,
    load_signing_keys,
    lock_signing_keys,
    remove_signing_key,
    reseal_signing_key,
    save_signing_key,
    set_key_state,
)

REGISTRY = "keys"
_PROPAGATION = timedelta(seconds=5)
"""Time in which every replica publishes a new key."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did for one algorithm; without ``active`` it was too early."""

    alg: str
    retired: str | None
    active: str | None
    next_usable_at: datetime


class KeyRotation:
    """Moves signing keys on. Each method works in the transaction it is given."""

    def __init__(
        self,
        master_keys: MasterKeys,
        changes: Changes,
        audit: AuditLog,
        clock: Clock,
        *,
        jwks_max_age: timedelta,
        retired_ttl: timedelta,
    ) -> None:
        self._master_keys = master_keys
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._jwks_max_age = jwks_max_age
        self._retired_ttl = retired_ttl

    async def ensure_first_keys(self, tx: Transaction, origin: Origin) -> list[str]:
        """Make an active and a next key for each algorithm that has none; return the kids.

        Both may sign at once: no client has a JWKS from before.
        """
        await lock_signing_keys(tx)
        now = self._clock.now()
        known = {row.alg for row in await load_signing_keys(tx)}
        made = []
        for alg in ALGORITHMS:
            if alg not in known:
                made.append(await self._add(tx, alg, "active", usable_at=now))
                made.append(await self._add(tx, alg, "next", usable_at=now))
        if made:
            await self._changed(tx, "keys.created", origin, kids=made)
        return made

    async def rotate(
        self, tx: Transaction, origin: Origin, *, older_than: timedelta = timedelta()
    ) -> list[Rotation]:
        """Let each algorithm's next key sign, where it was published for long enough.

        Only active keys that sign for ``older_than`` or longer are replaced. Of two
        rotations at once the second finds nothing to do.
        """
        await lock_signing_keys(tx)
        now = self._clock.now()
        rows = await load_signing_keys(tx)
        outcomes = []
        for alg in sorted({row.alg for row in rows}):
            active = _first(rows, alg, "active")
            signs_since = active.activated_at if active else None
            if signs_since is not None and signs_since > now - older_than:
                continue
            outcomes.append(await self._promote(tx, rows, alg, now))
        rotated = [outcome for outcome in outcomes if outcome.active]
        if rotated:
            await self._changed(
                tx, "keys.rotated", origin, kids=[outcome.active for outcome in rotated]
            )
        return outcomes

    async def generate(self, tx: Transaction, alg: str, origin: Origin) -> str:
        """Publish one more next key for ``alg`` and return its kid; raises InvalidRequest."""
        await lock_signing_keys(tx)
        _check_algorithm(alg)
        kid = await self._add(tx, alg, "next", usable_at=self._usable_at())
        await self._changed(tx, "keys.created", origin, kids=[kid])
        return kid

    async def import_key(self, tx: Transaction, pem: bytes, alg: str, origin: Origin) -> str:
        """Publish a private key in PEM form as a next key and return its kid.

        Raises InvalidRequest when it is not a key for ``alg``, Conflict when it is here.
        """
        _check_algorithm(alg)
        key = await asyncio.to_thread(_parse_pem, pem, alg)
        await lock_signing_keys(tx)
        kid = public_jwk(key, alg)["kid"]
        if any(row.kid == kid for row in await load_signing_keys(tx)):
            raise Conflict("This key is in the keyring already")
        await self._store(tx, key, alg, "next", usable_at=self._usable_at())
        await self._changed(tx, "keys.imported", origin, kids=[kid])
        return str(kid)

    async def retire(self, tx: Transaction, kid: str, origin: Origin) -> SigningKeyRow:
        """Let the key sign no more; what it signed stays valid. Safe to repeat.

        An active key is followed by the next one; raises Conflict where there is none, or
        while that was not published for long enough, NotFound, or Conflict for a revoked key.
        """
        await lock_signing_keys(tx)
        now = self._clock.now()
        rows = await load_signing_keys(tx)
        key = _get(rows, kid)
        if key.state == "revoked":
            raise Conflict("This key was revoked")
        if key.state == "retired":
            return key
        if key.state == "next":
            await set_key_state(tx, kid, "retired", now=now)
        elif not _first(rows, key.alg, "next"):
            raise Conflict(f"There is no next {key.alg} key to take its place: generate one")
        elif not (rotation := await self._promote(tx, rows, key.alg, now)).active:
            usable_at = f"{rotation.next_usable_at:%Y-%m-%d %H:%M:%S} UTC"
            raise Conflict(
                "The next key was not published for long enough to sign yet: "
                f"it may from {usable_at} on, and this key can be retired then"
            )
        await self._changed(tx, "keys.retired", origin, kids=[kid])
        return _get(await load_signing_keys(tx), kid)

    async def revoke(self, tx: Transaction, kid: str, origin: Origin) -> SigningKeyRow:
        """Make everything the key has signed invalid at once. Safe to repeat.

        An active key is followed by the next one even if clients do not know it yet: a
        compromised key is worse than a ``kid`` that is looked up anew. Raises NotFound.
        """
        await lock_signing_keys(tx)
        now = self._clock.now()
        rows = await load_signing_keys(tx)
        key = _get(rows, kid)
        if key.state == "revoked":
            return key
        await set_key_state(tx, kid, "revoked", now=now)
        if key.state == "active":
            await self._promote(tx, [row for row in rows if row.kid != kid], key.alg, now, True)
        elif key.state == "next" and not _first([r for r in rows if r.kid != kid], key.alg, "next"):
            await self._add(tx, key.alg, "next", usable_at=self._usable_at())
        await self._changed(tx, "keys.revoked", origin, kids=[kid])
        return _get(await load_signing_keys(tx), kid)

    async def remove_expired(self, tx: Transaction, origin: Origin) -> list[str]:
        """Remove the keys that were retired longer ago than any token lives; return them."""
        await lock_signing_keys(tx)
        limit = self._clock.now() - self._retired_ttl
        removed = [
            row.kid
            for row in await load_signing_keys(tx)
            if row.state == "retired" and row.retired_at is not None and row.retired_at <= limit
        ]
        for kid in removed:
            await remove_signing_key(tx, kid)
        if removed:
            await self._changed(tx, "keys.removed", origin, kids=removed)
        return removed

    async def reseal(self, tx: Transaction, origin: Origin) -> int:
        """Put every private key under the newest master key; return how many changed."""
        await lock_signing_keys(tx)
        changed = []
        for row in await load_signing_keys(tx):
            if not self._master_keys.is_newest(row.private_key_sealed):
                opened = self._master_keys.open(row.private_key_sealed, purpose=PRIVATE_KEY_PURPOSE)
                sealed = self._master_keys.seal(opened, purpose=PRIVATE_KEY_PURPOSE)
                await reseal_signing_key(tx, row.kid, sealed)
                changed.append(row.kid)
        if changed:
            await self._changed(tx, "keys.resealed", origin, kids=changed)
        return len(changed)

    async def _promote(
        self,
        tx: Transaction,
        rows: list[SigningKeyRow],
        alg: str,
        now: datetime,
        at_once: bool = False,
    ) -> Rotation:
        active, following = _first(rows, alg, "active"), _first(rows, alg, "next")
        if following is None and not at_once:
            await self._add(tx, alg, "next", usable_at=self._usable_at())
            await self._changes.bump(tx, REGISTRY)
            return Rotation(alg, None, None, self._usable_at())
        if following is not None and following.usable_at > now and not at_once:
            return Rotation(alg, None, None, following.usable_at)
        if active is not None:
            await set_key_state(tx, active.kid, "retired", now=now)
        if following is not None:
            kid = following.kid
            await set_key_state(tx, kid, "active", now=now)
        else:
            kid = await self._add(tx, alg, "active", usable_at=now)
        remaining = [
            row for row in rows if row.alg == alg and row.state == "next" and row.kid != kid
        ]
        if not remaining:
            await self._add(tx, alg, "next", usable_at=self._usable_at())
        usable_at = remaining[0].usable_at if remaining else self._usable_at()
        return Rotation(alg, active.kid if active else None, kid, usable_at)

    async def _add(self, tx: Transaction, alg: str, state: KeyState, *, usable_at: datetime) -> str:
        key = await asyncio.to_thread(generate_private_key, alg)
        return await self._store(tx, key, alg, state, usable_at=usable_at)

    async def _store(
        self, tx: Transaction, key: PrivateKey, alg: str, state: KeyState, *, usable_at: datetime
    ) -> str:
        now = self._clock.now()
        jwk = public_jwk(key, alg)
        sealed = self._master_keys.seal(serialize(key), purpose=PRIVATE_KEY_PURPOSE)
        activated_at = now if state == "active" else None
        await save_signing_key(
            tx,
            SigningKeyRow(jwk["kid"], alg, state, sealed, jwk, now, usable_at, activated_at),
        )
        return str(jwk["kid"])

    async def _changed(self, tx: Transaction, event: str, origin: Origin, **details: Any) -> None:
        await self._changes.bump(tx, REGISTRY)
        await self._audit.record(tx, event, origin, now=self._clock.now(), **details)

    def _usable_at(self) -> datetime:
        return self._clock.now() + self._jwks_max_age + _PROPAGATION


def _check_algorithm(alg: str) -> None:
    if alg not in ALGORITHMS:
        raise InvalidRequest(f"The algorithm is one of {', '.join(ALGORITHMS)}")


def _parse_pem(pem: bytes, alg: str) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, PrivateKey):
            raise ValueError("unsupported kind of key")
        check_key_fits(key, alg)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"The file holds no unencrypted PEM private key for {alg}") from error
    return key


def _first(rows: list[SigningKeyRow], alg: str, state: KeyState) -> SigningKeyRow | None:
    return next((row for row in rows if row.alg == alg and row.state == state), None)


def _get(rows: list[SigningKeyRow], kid: str) -> SigningKeyRow:
    for row in rows:
        if row.kid == kid:
            return row
    raise NotFound("There is no such key")
