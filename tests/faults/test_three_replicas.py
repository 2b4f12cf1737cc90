"""Three replicas in processes of their own are one: what one changes, all know within a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.calls import timed
from tests.faults.harm import stop_postgres
from tests.faults.replica import Replica
from tests.faults.world import World
from tests.figures import Show
from tests.provider import TestClient, header_of

SECOND = 1.0
Knows = Callable[[Replica], Awaitable[bool]]
Change = Callable[[World, str], Awaitable[tuple[Callable[[], Awaitable[int]], Knows]]]


async def _kid(replica: Replica, client: TestClient) -> str:
    response = await replica.token(client, grant_type="client_credentials")
    return str(header_of(response.json()["access_token"])["kid"])


async def _rotated_key(world: World, admin: str) -> tuple[Callable[[], Awaitable[int]], Knows]:
    before = await _kid(world.replicas[0], world.client)

    async def change() -> int:
        # The next key has to have been published for as long as a JWKS may be cached.
        async with asyncio.timeout(30):
            while True:
                response = await world.administer(world.replicas[0], admin, "POST", "/keys/rotate")
                if any(item["retired"] for item in response.json().get("items", ())):
                    return response.status_code
                await asyncio.sleep(0.1)

    async def knows(replica: Replica) -> bool:
        return await _kid(replica, world.client) != before

    return change, knows


async def _changed_client(world: World, admin: str) -> tuple[Callable[[], Awaitable[int]], Knows]:
    created = await world.administer(
        world.replicas[0],
        admin,
        "POST",
        "/clients",
        json={"grant_types": ["client_credentials"], "scope": "api:read api:write"},
    )
    client = TestClient(created.json()["client_id"], created.json()["client_secret"], {})

    async def change() -> int:
        response = await world.administer(
            world.replicas[0],
            admin,
            "PATCH",
            f"/clients/{client.client_id}",
            json={"scope": "api:read"},
        )
        return response.status_code

    async def knows(replica: Replica) -> bool:
        response = await replica.token(client, grant_type="client_credentials", scope="api:write")
        return response.status_code == 400

    return change, knows


async def _changed_role(world: World, admin: str) -> tuple[Callable[[], Awaitable[int]], Knows]:
    role = world.new_name()
    first, holder = world.replicas[0], world.client.client_id
    body = {"name": role, "permissions": ["orders:read"]}
    await world.administer(first, admin, "POST", "/roles", json=body)
    await world.administer(first, admin, "PUT", f"/clients/{holder}/roles/{role}")
    token = await world.new_client_token()

    async def change() -> int:
        path = f"/roles/{role}/permissions/orders:read"
        return (await world.administer(first, admin, "DELETE", path)).status_code

    async def knows(replica: Replica) -> bool:
        told = await replica.introspect(world.client, token)
        return "orders:read" not in told["permissions"]

    return change, knows


async def _revoked_token(world: World, _admin: str) -> tuple[Callable[[], Awaitable[int]], Knows]:
    token = await world.new_client_token()

    async def change() -> int:
        return (await world.replicas[0].revoke(world.client, token)).status_code

    async def knows(replica: Replica) -> bool:
        return not (await replica.introspect(world.client, token))["active"]

    return change, knows


@pytest.mark.parametrize(
    "make",
    [_rotated_key, _changed_client, _changed_role, _revoked_token],
    ids=["a rotated key", "a changed client", "a changed role", "a revoked token"],
)
async def test_what_one_replica_changes_all_know_within_a_second(
    world: World, make: Change, show_figure: Show, request: pytest.FixtureRequest
) -> None:
    await world.until_well()
    change, knows = await make(world, await world.new_client_token(world.admin))
    for replica in world.replicas:
        assert not await knows(replica)

    assert await change() in (200, 204)
    begun = time.monotonic()
    took = await asyncio.gather(*(_seconds_until(knows, replica) for replica in world.replicas))

    assert max(took) < SECOND
    show_figure(
        f"{request.node.callspec.id} is known to three replicas "
        f"{max(took) * 1000:.0f} ms after the answer"
    )
    assert time.monotonic() - begun < 10 * SECOND


async def _seconds_until(knows: Knows, replica: Replica) -> float:
    begun = time.monotonic()
    async with asyncio.timeout(15):
        while not await knows(replica):  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.005)
    return time.monotonic() - begun


async def test_a_restart_of_postgres_costs_503s_and_loses_nothing(
    world: World, show_figure: Show
) -> None:
    await world.until_well()
    families = [(await world.new_tokens())["refresh_token"] for _ in world.replicas]
    answers: list[tuple[float, int, float]] = []
    is_over = asyncio.Event()

    async def refresh_on(number: int) -> None:
        while not is_over.is_set():
            response, took = await timed(
                world.replicas[number].refresh(world.client, families[number])
            )
            answers.append((time.monotonic(), response.status_code, took))
            if response.status_code == 200:
                # A client that got 503 presents the same token again: the window covers it.
                families[number] = response.json()["refresh_token"]
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(refresh_on(number)) for number in range(3)]
    await _until_served(answers, since=0.0)
    async with stop_postgres(world):
        pass
    restarted = time.monotonic()
    await _until_served(answers, since=restarted)
    is_over.set()
    await asyncio.gather(*tasks)

    refusals = [took for _, status, took in answers if status == 503]
    assert {status for _, status, _ in answers} == {200, 503}
    assert max(refusals) < 2 * SECOND
    first = min(when for when, status, _ in answers if status == 200 and when > restarted)
    show_figure(
        f"PostgreSQL restarted under load: {len(refusals)} x 503, at most "
        f"{max(refusals) * 1000:.0f} ms; {(first - restarted) * 1000:.0f} ms after it was back "
        "the first refresh is served; no family is lost"
    )


async def _until_served(answers: list[tuple[float, int, float]], *, since: float) -> None:
    """Return when a good many requests were served after ``since``."""
    async with asyncio.timeout(30):
        while sum(status == 200 for when, status, _ in answers if when > since) < 30:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
