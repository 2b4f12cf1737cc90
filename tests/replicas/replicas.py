"""What a test does with several replicas at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.provider import Provider, TestClient

PATIENCE = 15.0
"""Seconds after which what has not happened is taken not to happen."""


@dataclass
class Replicas:
    """Replicas of one provider. The first is where a test makes its changes."""

    providers: Sequence[Provider]

    @property
    def first(self) -> Provider:
        """The replica that changes something."""
        return self.providers[0]

    @property
    def others(self) -> Sequence[Provider]:
        """The replicas that have to learn of it."""
        return self.providers[1:]

    async def until_live(self, live: bool = True) -> None:
        """Return when every replica hears announcements, or none does any more."""
        await until(
            lambda: all(replica.resources.changes.live is live for replica in self.providers)
        )

    async def issue(self, client: TestClient, number: int = 1) -> list[str]:
        """Issue access tokens to the client itself."""
        tokens = []
        for _ in range(number):
            response = await self.first.token(client, grant_type="client_credentials")
            assert response.status_code == 200, response.text
            tokens.append(response.json()["access_token"])
        return tokens

    async def is_good_anywhere(self, client: TestClient, token: str) -> bool:
        """Ask every replica about a token."""
        answers = [await replica.introspect(client, token) for replica in self.providers]
        return any(answer["active"] for answer in answers)

    async def is_good_everywhere(self, client: TestClient, token: str) -> bool:
        """Ask every replica about a token."""
        answers = [await replica.introspect(client, token) for replica in self.providers]
        return all(answer["active"] for answer in answers)


async def until(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Return when the condition holds; TimeoutError when it does not come to hold."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.005)


async def seconds_until(condition: Callable[[], Awaitable[bool]]) -> float:
    """Ask again and again; return after how many seconds the answer was yes."""
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # the other replica sets no event
            await asyncio.sleep(0.005)
    return time.monotonic() - begun


@dataclass
class Watch:
    """Asks all replicas about revoked tokens again and again, and times each answer."""

    replicas: Replicas
    client: TestClient
    revoked: list[str] = field(default_factory=list)
    accepted: list[tuple[int, float]] = field(default_factory=list)
    slowest: float = 0.0
    asked: int = 0

    async def run(self) -> None:
        """Watch until cancelled. One task for each replica: a slow one hides no other."""
        await asyncio.gather(
            *(self._watch(number) for number in range(len(self.replicas.providers)))
        )

    async def _watch(self, number: int) -> None:
        replica = self.replicas.providers[number]
        while True:
            for token in list(self.revoked):
                begun = time.monotonic()
                answer = await replica.introspect(self.client, token)
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.asked += 1
                if answer["active"]:
                    self.accepted.append((number, begun))
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(replicas: Replicas, client: TestClient) -> AsyncIterator[Watch]:
    """Watch what is put on ``Watch.revoked``; nothing there may ever be accepted again."""
    watch = Watch(replicas, client)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
        # What is still on its way is answered by now.
        enough = watch.asked + 2 * len(replicas.providers) * max(len(watch.revoked), 1)
        await until(lambda: watch.asked >= enough or task.done())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and (error := task.exception()):
        raise error
