"""Argon2id as it is really computed, and the bound on how much of it at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from authsvc.identity.passwords import PasswordHashes
from authsvc.protocol.errors import TemporarilyUnavailable
from tests.conftest import Backend, OpenProvider
from tests.identity.visitors import attempt, is_signed_in, visitor
from tests.provider import ORIGIN, PASSWORD, Provider


class HeldHasher:
    """A hasher that computes nothing until it is let go."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self.let_go = threading.Event()
        self.verifications: list[str] = []
        self.begun = threading.Semaphore(0)

    def hash(self, password: str) -> str:
        """Hash once let go."""
        self._hold()
        return self._hasher.hash(password)

    def verify(self, password_hash: str, password: str) -> bool:
        """Verify once let go."""
        self.verifications.append(password_hash)
        self._hold()
        return self._hasher.verify(password_hash, password)

    def check_needs_rehash(self, password_hash: str) -> bool:
        """Compare the parameters."""
        return self._hasher.check_needs_rehash(password_hash)

    def _hold(self) -> None:
        self.begun.release()
        assert self.let_go.wait(30)

    async def wait_until_begun(self) -> None:
        """Return when one more hash is in a worker."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=30)


@asynccontextmanager
async def _held(hashes: PasswordHashes) -> AsyncIterator[HeldHasher]:
    # Once this is answered, the decoy that a start prepares is there as well.
    await hashes.verify(None, "a password")
    await _until(lambda: hashes._decoy is not None)
    real: Any = hashes._hasher
    held = HeldHasher(real)
    hashes._hasher = held  # type: ignore[assignment]  # stands in for the real one
    try:
        yield held
    finally:
        held.let_go.set()
        hashes._hasher = real


@pytest.fixture
def small_pool() -> Iterator[PasswordHashes]:
    """Return a pool with room for two: one computed and one that waits."""
    hashes = PasswordHashes(time_cost=1, memory_kib=8_192, parallelism=1, workers=1, queue=1)
    yield hashes
    hashes.close()


@pytest.fixture
async def crowded(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider with room for two hashes at once."""
    running: Provider = await open_providers(sqlite_backend, argon2_workers=1, argon2_queue=1)
    return running


async def test_a_stored_hash_is_argon2id_with_the_parameters_of_the_settings(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend, argon2_time_cost=2, argon2_memory_kib=9_216, argon2_parallelism=3
    )
    account = await provider.create_user()

    async with provider.resources.database.reading() as tx:
        stored = await provider.resources.people.update(tx, account.id, ORIGIN, {})

    parameters = extract_parameters(stored.password_hash)
    assert parameters.type is Type.ID
    assert (parameters.version, parameters.salt_len, parameters.hash_len) == (19, 16, 32)
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (2, 9_216, 3)


async def test_equal_passwords_have_different_hashes(small_pool: PasswordHashes) -> None:
    assert await small_pool.hash(PASSWORD) != await small_pool.hash(PASSWORD)


async def test_a_full_queue_is_refused_at_once_and_says_when_to_come_back(
    small_pool: PasswordHashes,
) -> None:
    async with _held(small_pool) as held:
        let_in = [asyncio.create_task(small_pool.verify(None, "a password")) for _ in range(2)]
        await held.wait_until_begun()

        with pytest.raises(TemporarilyUnavailable) as refused:
            await small_pool.hash("a password")
        assert refused.value.retry_after

        held.let_go.set()
        assert await asyncio.gather(*let_in) == [False, False]
        assert await small_pool.verify(None, "a password") is False


async def test_who_stops_waiting_gives_the_place_back_when_the_work_is_done_and_not_before(
    small_pool: PasswordHashes,
) -> None:
    async with _held(small_pool) as held:
        for _ in range(5):
            waiters = [asyncio.create_task(small_pool.verify(None, "word")) for _ in range(2)]
            await held.wait_until_begun()
            for waiter in waiters:
                waiter.cancel()
            await asyncio.gather(*waiters, return_exceptions=True)
            with pytest.raises(TemporarilyUnavailable):
                await small_pool.verify(None, "a password")

            held.let_go.set()
            await _until(lambda: small_pool._room == 2)
            held.let_go.clear()
            while held.begun.acquire(blocking=False):
                pass

        held.let_go.set()
        answers = await asyncio.gather(*(small_pool.verify(None, "a password") for _ in range(2)))
        assert answers == [False, False]


async def test_a_storm_of_sign_ins_gets_503_while_tokens_are_issued_as_ever(
    crowded: Provider,
) -> None:
    account, client = await crowded.create_user(), await crowded.create_client()
    async with _held(crowded.resources.password_hashes) as held:
        waiting = [
            asyncio.create_task(attempt(visitor(crowded), account.username, account.password))
            for _ in range(2)
        ]
        await held.wait_until_begun()
        await _until(lambda: crowded.resources.password_hashes._room == 0)

        refused = await attempt(visitor(crowded), account.username, account.password)
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.alert
        assert "seconds" in refused.alert
        issued = await crowded.token(client, grant_type="client_credentials")
        assert issued.status_code == 200

        held.let_go.set()
        assert [page.status for page in await asyncio.gather(*waiting)] == [200, 200]
        late = visitor(crowded)
        await attempt(late, account.username, account.password)
        assert is_signed_in(late)


async def test_an_unknown_name_costs_a_hash_with_the_parameters_of_today(
    sqlite_provider: Provider,
) -> None:
    known = await sqlite_provider.create_user()
    async with _held(sqlite_provider.resources.password_hashes) as held:
        held.let_go.set()

        await attempt(visitor(sqlite_provider), "nobody", "a wrong password")
        await attempt(visitor(sqlite_provider), known.username, "a wrong password")

    decoy, stored = (extract_parameters(used) for used in held.verifications)
    assert decoy == stored


async def test_an_account_without_a_password_costs_a_hash_and_lets_nobody_in(
    sqlite_provider: Provider,
) -> None:
    resources = sqlite_provider.resources
    async with resources.database.transaction() as tx:
        await resources.people.create(tx, ORIGIN, username="passwordless")
    async with _held(resources.password_hashes) as held:
        held.let_go.set()
        browser = visitor(sqlite_provider)

        page = await attempt(browser, "passwordless", "any password")

    assert page.status == 400
    assert not is_signed_in(browser)
    assert len(held.verifications) == 1


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0)
