"""Passwords: which are acceptable, and Argon2id in a bounded pool (RFC 9106).

A hash takes tens of megabytes and milliseconds. So as many are computed at once as there
are workers, a bounded number waits, and beyond that the answer is 503: a storm of
sign-ins never starves the rest of the service. argon2-cffi releases the GIL.
"""

import asyncio
import base64
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from authsvc.metrics import HASH_SECONDS, HASH_WAIT_SECONDS, HASHES_REFUSED
from authsvc.protocol.errors import InvalidRequest, TemporarilyUnavailable
from authsvc.storage.users import fold
from authsvc.tracing import span

MIN_LENGTH = 8
MAX_LENGTH = 1024
_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[0-9]{1,7}),t=(?P<passes>[0-9]{1,3}),p=(?P<lanes>[0-9]{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]{1,128})\$(?P<hash>[A-Za-z0-9+/]{1,256})"
)

T = TypeVar("T")


def normalize_password(password: str) -> str:
    """Return the form that is hashed: NFKC, so that every keyboard types the same one.

    Raises InvalidRequest for what is not text, such as half a surrogate pair.
    """
    if len(password) > MAX_LENGTH:
        raise InvalidRequest(f"A password has at most {MAX_LENGTH} characters")
    try:
        password.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("A password is Unicode text") from error
    return unicodedata.normalize("NFKC", password)


def check_new_password(password: str, *, names: tuple[str | None, ...] = ()) -> None:
    """Raise InvalidRequest when ``password`` is too short, too long, or one everybody tries.

    ``names`` are the account's own names, which are refused as well. There are no rules
    of composition (NIST SP 800-63B §3.1.1.2).
    """
    normal = normalize_password(password)
    if len(normal) < MIN_LENGTH:
        raise InvalidRequest(f"A password has at least {MIN_LENGTH} characters")
    folded = normal.casefold()
    if folded in _common_passwords() or len(set(folded)) < 3:
        raise InvalidRequest("This password is among the first that are tried: choose another")
    if fold(normal) in {fold(name) for name in names if name}:
        raise InvalidRequest("A password must not be the name of the account")


def check_password_hash(encoded: str) -> None:
    """Raise InvalidRequest unless ``encoded`` is an Argon2id hash that a sign-in can verify.

    The form is that of the PHC string format. A hash that would take more memory or
    passes than any sensible setting is refused: each sign-in would pay for it.
    """
    match = _PHC.fullmatch(encoded)
    if match is None:
        raise InvalidRequest("A password hash looks like $argon2id$v=19$m=65536,t=3,p=4$...$...")
    memory_kib, passes, lanes = (int(match[name]) for name in ("memory", "passes", "lanes"))
    if not (8 * lanes <= memory_kib <= 1_048_576 and 1 <= passes <= 100 and 1 <= lanes <= 64):
        raise InvalidRequest("The parameters of the password hash are out of bounds")
    for part, least in (("salt", 8), ("hash", 16)):
        try:
            decoded = base64.b64decode(match[part] + "=" * (-len(match[part]) % 4))
        except ValueError:
            decoded = b""
        if len(decoded) < least or base64.b64encode(decoded).decode().rstrip("=") != match[part]:
            raise InvalidRequest(f"The {part} in the password hash is too short or cut off")


@cache
def _common_passwords() -> frozenset[str]:
    # Imported here: the lists take memory that a process which sets no password need not.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415  # see above

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH)


class PasswordHashes:
    """Makes and checks Argon2id hashes, a bounded number at a time."""

    def __init__(
        self, *, time_cost: int, memory_kib: int, parallelism: int, workers: int, queue: int
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        workers = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._queue = queue
        self._workers = workers
        self._room = workers + queue
        self._decoy: str | None = None

    @property
    def waiting(self) -> int:
        """How many hashes wait for a worker."""
        return max(0, self._queue - self._room)

    @property
    def running(self) -> int:
        """How many hashes are being computed."""
        return min(self._workers, self._workers + self._queue - self._room)

    async def hash(self, password: str) -> str:
        """Return the encoded hash of ``password``; raises TemporarilyUnavailable."""
        normal = normalize_password(password)
        return await self._run(lambda: self._hasher.hash(normal))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether ``password`` is the one; without a hash a decoy takes the same time.

        Raises TemporarilyUnavailable when the queue is full.
        """
        normal = normalize_password(password)
        return await self._run(lambda: self._verify(password_hash, normal))

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether the hash was made with other parameters than today's."""
        try:
            return self._hasher.check_needs_rehash(password_hash)
        except InvalidHashError:
            return True

    def close(self) -> None:
        """Let the workers finish and go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, normal: str) -> bool:
        # Made in a worker, once: see ``prepare``.
        self._decoy = self._decoy or self._hasher.hash(secrets.token_urlsafe())
        try:
            self._hasher.verify(password_hash or self._decoy, normal)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def prepare(self) -> None:
        """Compute the decoy's hash now: the first unknown user must not take longer."""
        self._pool.submit(self._verify, None, "")

    async def _run(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            HASHES_REFUSED.inc()
            raise TemporarilyUnavailable(
                "Too many people are signing in right now",
                detail="hash queue is full",
                retry_after=1,
            )
        self._room -= 1
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, _timed, work, time.perf_counter()
        )
        # The place is free when the work is done, not when a caller stops waiting for it.
        future.add_done_callback(self._leave)
        with span("hash password"):
            return await asyncio.shield(future)

    def _leave(self, _future: object) -> None:
        self._room += 1


def _timed(work: Callable[[], T], asked_at: float) -> T:
    """Do ``work`` in a worker, and note how long it waited and took."""
    started = time.perf_counter()
    HASH_WAIT_SECONDS.observe(started - asked_at)
    try:
        return work()
    finally:
        HASH_SECONDS.observe(time.perf_counter() - started)
