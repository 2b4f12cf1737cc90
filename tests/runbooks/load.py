"""People whose apps refresh their tokens all the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.faults.replica import Replica
from tests.provider import Account, TestClient

FAMILIES = 4


@dataclass
class Load:
    """Refreshes that go on; ``done`` counts them."""

    done: int = 0


@asynccontextmanager
async def refreshing(replica: Replica, client: TestClient, account: Account) -> AsyncIterator[Load]:
    """Refresh as fast as it goes until the block ends; none of it may fail."""
    load = Load()
    tokens = [await replica.sign_in(client, account) for _ in range(FAMILIES)]

    async def go_on(refresh_token: str) -> None:
        while True:
            response = await replica.refresh(client, refresh_token)
            assert response.status_code == 200, response.text
            refresh_token = response.json()["refresh_token"]
            load.done += 1

    tasks = [asyncio.create_task(go_on(token["refresh_token"])) for token in tokens]
    try:
        yield load
        before = load.done
        # What harms it may have come at the end.
        while load.done == before and not any(task.done() for task in tasks):  # noqa: ASYNC110  # any of them
            await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
