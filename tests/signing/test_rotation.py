"""The staged life of a signing key, seen by clients that cache what they are told."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest

from authsvc.jobs.rotate_keys import rotate_keys
from authsvc.protocol.errors import Conflict, NotFound
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.signing.rotation import Rotation
from authsvc.storage.signing_keys import SigningKeyRow, load_signing_keys
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider, TestClient, header_of

JWKS_MAX_AGE, PROPAGATION = 300, 5
RETIRED_TTL = 86_400


@dataclass
class CachingClient:
    """A client that fetches the JWKS again when its max-age has passed, and never sooner."""

    provider: Provider
    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    fresh_until: datetime | None = None
    fetched: int = 0

    async def verify(self, token: str) -> None:
        """Verify the signature, as a resource server does."""
        now = self.provider.clock.now()
        if self.fresh_until is None or now >= self.fresh_until:
            response = await self.provider.http.get("/jwks")
            found = re.search(r"max-age=(\d+)", response.headers["cache-control"])
            assert found
            self.fresh_until = now + timedelta(seconds=int(found[1]))
            self.keys = {jwk["kid"]: jwt.PyJWK(jwk) for jwk in response.json()["keys"]}
            self.fetched += 1
        header = header_of(token)
        assert header["kid"] in self.keys, "a kid that the client does not know"
        key = self.keys[header["kid"]]
        jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
        )


async def _change(provider: Provider, change: Callable[[Any], Awaitable[Any]]) -> Any:
    async with provider.resources.database.transaction() as tx:
        return await change(tx)


async def rotate(provider: Provider) -> list[Rotation]:
    """Rotate by hand."""
    rotation = provider.resources.key_rotation
    outcomes: list[Rotation] = await _change(provider, lambda tx: rotation.rotate(tx, ORIGIN))
    return outcomes


async def keys_of(provider: Provider, alg: str = "ES256") -> dict[str, list[SigningKeyRow]]:
    """Return the keys of one algorithm by their state, oldest first."""
    async with provider.resources.database.reading() as tx:
        rows = await load_signing_keys(tx)
    states = ("next", "active", "retired", "revoked")
    return {
        state: [row for row in rows if row.alg == alg and row.state == state] for state in states
    }


async def issue(provider: Provider, client: TestClient) -> str:
    """Issue an access token."""
    response = await provider.token(client, grant_type="client_credentials")
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def published_kids(provider: Provider) -> set[str]:
    """Return the ``kid`` of every published key."""
    return {jwk["kid"] for jwk in (await provider.http.get("/jwks")).json()["keys"]}


@dataclass
class Year:
    """A year of issuing and verifying, looked at closely around each rotation."""

    provider: Provider
    client: TestClient
    caches: list[CachingClient]
    by_hand: list[timedelta]
    living: list[tuple[datetime, str]] = field(default_factory=list)

    async def pass_by(self) -> None:
        """Let the year pass."""
        begun = scheduled_at = self.provider.clock.now()
        signing, watched_until = "", begun
        number = 0
        while (now := self.provider.clock.now()) < begun + timedelta(days=365):
            if self.by_hand and now >= begun + self.by_hand[0]:
                self.by_hand.pop(0)
                await rotate(self.provider)
            if now >= scheduled_at + timedelta(seconds=300):
                await rotate_keys(self.provider.server)
                scheduled_at = now
            active = (await keys_of(self.provider))["active"][0]
            if active.kid != signing:
                signing, watched_until = active.kid, now + timedelta(minutes=11)
            await self._issue_and_verify(now, number)
            assert active.activated_at
            interesting = [active.activated_at + timedelta(days=90, minutes=-2)]
            interesting += [begun + after for after in self.by_hand[:1]]
            closely = now < watched_until or now >= interesting[0]
            step = timedelta(seconds=73) if closely else timedelta(days=1)
            # The seconds that are added keep the clients out of step with the schedule.
            pause = min(step, *(max(at - now, timedelta(seconds=7)) for at in interesting))
            self.provider.clock.move(seconds=pause.total_seconds())
            number += 1

    async def _issue_and_verify(self, now: datetime, number: int) -> None:
        token = await issue(self.provider, self.client)
        self.living = [(until, text) for until, text in self.living if until > now]
        self.living.append((now + self.provider.settings.access_token_ttl, token))
        # Each looks at other moments, so that their caches are of different ages.
        for index, cache in enumerate(self.caches):
            if number % (index + 1) == 0:
                for _, text in self.living:
                    await cache.verify(text)


async def test_who_caches_the_jwks_never_meets_an_unknown_key_in_a_year(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend)
    client = await provider.create_client()
    caches = [CachingClient(provider) for _ in range(3)]
    for cache in caches:
        await cache.verify(await issue(provider, client))
    # From the first start on and on another day, whenever the one before might be too recent.
    seconds = [*range(0, 1_000, 61), *range(864_000, 864_700, 61), 8_000_000]
    year = Year(provider, client, caches, [timedelta(seconds=after) for after in seconds])

    await year.pass_by()

    events = await provider.audit_events("keys.rotated")
    by_schedule = [event for event in events if event.actor == "schedule"]
    assert len(by_schedule) >= 3
    assert len(events) - len(by_schedule) >= 5
    assert all(cache.fetched > 20 for cache in caches)


async def test_a_next_key_is_published_for_longer_than_the_max_age_before_it_signs(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    first = await keys_of(provider)
    await rotate(provider)
    following = (await keys_of(provider))["next"][0]
    assert following.kid in await published_kids(provider)

    provider.clock.move(seconds=JWKS_MAX_AGE + PROPAGATION - 2)
    early = [outcome for outcome in await rotate(provider) if outcome.alg == "ES256"]
    assert [outcome.active for outcome in early] == [None]
    assert early[0].next_usable_at > provider.clock.now()
    assert header_of(await issue(provider, client))["kid"] == first["next"][0].kid
    provider.clock.move(seconds=2)
    await rotate(provider)

    assert header_of(await issue(provider, client))["kid"] == following.kid


async def test_the_first_next_key_may_sign_at_once_as_everybody_knows_it(
    sqlite_provider: Provider,
) -> None:
    known = await published_kids(sqlite_provider)
    client = await sqlite_provider.create_client()
    assert len(known) == 2 * len(ALGORITHMS)

    outcomes = await rotate(sqlite_provider)

    assert {outcome.alg for outcome in outcomes if outcome.active} == set(ALGORITHMS)
    assert header_of(await issue(sqlite_provider, client))["kid"] in known


async def test_a_retired_key_verifies_until_it_is_removed_and_is_removed_in_time(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    signed_with = header_of(await issue(provider, client))["kid"]
    provider.clock.move(seconds=10)
    token = await issue(provider, client)
    await rotate(provider)

    assert signed_with in await published_kids(provider)
    assert (await provider.introspect(client, token))["active"] is True
    provider.clock.move(seconds=RETIRED_TTL - 2)
    await rotate_keys(provider.server)
    assert signed_with in await published_kids(provider)
    provider.clock.move(seconds=2)
    await rotate_keys(provider.server)

    assert signed_with not in await published_kids(provider)
    removed = await provider.audit_events("keys.removed")
    assert signed_with in removed[0].details["kids"]


async def test_two_rotations_at_once_make_one(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    before = await keys_of(replicas[0])

    outcomes = await asyncio.gather(*(rotate(replica) for replica in replicas for _ in range(2)))

    promoted = [
        outcome.active
        for rotation in outcomes
        for outcome in rotation
        if outcome.alg == "ES256" and outcome.active
    ]
    after = await keys_of(replicas[0])
    assert promoted == [before["next"][0].kid]
    assert [key.kid for key in after["active"]] == promoted
    assert [key.kid for key in after["retired"]] == [before["active"][0].kid]
    assert len(after["next"]) == 1


async def test_two_first_starts_at_once_make_one_set_of_keys(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    async with replicas[0].resources.database.transaction() as tx:
        connection = await tx.connection()
        await connection.exec_driver_sql("DELETE FROM signing_keys")

    async def start(replica: Provider) -> list[str]:
        async with replica.resources.database.transaction() as tx:
            return await replica.resources.key_rotation.ensure_first_keys(tx, ORIGIN)

    made = await asyncio.gather(*(start(replica) for replica in replicas))

    assert sorted(len(kids) for kids in made) == [0, 2 * len(ALGORITHMS)]
    for alg in ALGORITHMS:
        states = await keys_of(replicas[0], alg)
        assert {state: len(keys) for state, keys in states.items()} == {
            "active": 1,
            "next": 1,
            "retired": 0,
            "revoked": 0,
        }


async def test_retiring_the_active_key_waits_for_one_that_clients_know(
    sqlite_provider: Provider,
) -> None:
    rotation = sqlite_provider.resources.key_rotation
    await rotate(sqlite_provider)
    keys = await keys_of(sqlite_provider)
    active, following = keys["active"][0], keys["next"][0]

    with pytest.raises(Conflict):
        await _change(sqlite_provider, lambda tx: rotation.retire(tx, active.kid, ORIGIN))
    sqlite_provider.clock.move(seconds=JWKS_MAX_AGE + PROPAGATION)
    for _ in range(2):
        retired = await _change(sqlite_provider, lambda tx: rotation.retire(tx, active.kid, ORIGIN))
        assert retired.state == "retired"

    keys = await keys_of(sqlite_provider)
    assert [key.kid for key in keys["active"]] == [following.kid]
    assert len(keys["next"]) == 1


async def test_a_next_key_that_is_retired_never_signs_and_another_takes_its_place(
    sqlite_provider: Provider,
) -> None:
    rotation = sqlite_provider.resources.key_rotation
    keys = await keys_of(sqlite_provider)
    skipped, active = keys["next"][0], keys["active"][0]
    await _change(sqlite_provider, lambda tx: rotation.retire(tx, skipped.kid, ORIGIN))

    early = [outcome for outcome in await rotate(sqlite_provider) if outcome.alg == "ES256"]
    assert [outcome.active for outcome in early] == [None]
    sqlite_provider.clock.move(seconds=JWKS_MAX_AGE + PROPAGATION)
    await rotate(sqlite_provider)

    keys = await keys_of(sqlite_provider)
    assert keys["active"][0].kid not in (skipped.kid, active.kid)


@pytest.mark.parametrize("change", ["retire", "revoke"])
async def test_a_key_that_is_not_there_is_not_found(sqlite_provider: Provider, change: str) -> None:
    rotation = sqlite_provider.resources.key_rotation

    with pytest.raises(NotFound):
        await _change(sqlite_provider, lambda tx: getattr(rotation, change)(tx, "x", ORIGIN))


async def test_the_schedule_leaves_a_young_key_alone_and_replaces_an_old_one(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, key_rotation_interval=10 * 86_400)
    active = (await keys_of(provider))["active"][0].kid

    provider.clock.move(days=9)
    await rotate_keys(provider.server)
    assert (await keys_of(provider))["active"][0].kid == active
    provider.clock.move(days=2)
    await rotate_keys(provider.server)
    replaced = (await keys_of(provider))["active"][0].kid
    assert replaced != active

    for _ in range(3):
        await rotate_keys(provider.server)
    assert (await keys_of(provider))["active"][0].kid == replaced


async def test_without_an_interval_keys_are_rotated_by_hand_alone(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, key_rotation_interval=0)
    active = (await keys_of(provider))["active"][0].kid

    provider.clock.move(days=10_000)
    await rotate_keys(provider.server)

    assert (await keys_of(provider))["active"][0].kid == active
