"""What must hold through any fault: single use stays single, what is revoked stays revoked."""

import asyncio
from dataclasses import dataclass, field

import httpx

from tests.faults.world import World


@dataclass
class SingleUse:
    """A code and a refresh token that everybody tries, and tokens that were revoked."""

    code: str
    refresh_token: str
    revoked_access_token: str
    revoked_refresh_token: str
    codes: list[httpx.Response] = field(default_factory=list)
    refreshes: list[httpx.Response] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    @classmethod
    async def prepare(cls, world: World) -> "SingleUse":
        """Make them, while all is well."""
        spent = (await world.new_tokens())["refresh_token"]
        access_token = await world.new_client_token()
        for token in (spent, access_token):
            assert (await world.replicas[0].revoke(world.client, token)).status_code == 200
        return cls(
            await world.new_code(),
            (await world.new_tokens())["refresh_token"],
            access_token,
            spent,
        )

    async def try_everywhere(self, world: World) -> None:
        """Try everything at every replica at once, as an attacker does."""
        client = world.client
        self.codes += await asyncio.gather(
            *(replica.redeem(client, self.code) for replica in world.replicas)
        )
        self.refreshes += await asyncio.gather(
            *(replica.refresh(client, self.refresh_token) for replica in world.replicas)
        )
        for replica in world.replicas:
            refreshed = await replica.refresh(client, self.revoked_refresh_token)
            if refreshed.status_code == 200:
                self.accepted.append("a revoked refresh token")
            asked = await replica.http.post(
                "/introspect",
                data={"token": self.revoked_access_token},
                auth=client.auth or httpx.USE_CLIENT_DEFAULT,
            )
            if asked.status_code != 503 and asked.json()["active"]:
                self.accepted.append("a revoked access token")

    async def check(self, world: World) -> None:
        """Try everything once more, now that all is well again, and look at all answers."""
        await self.try_everywhere(world)
        assert self.accepted == []
        assert len([answer for answer in self.codes if answer.status_code == 200]) <= 1
        successors = {
            answer.json()["refresh_token"] for answer in self.refreshes if answer.status_code == 200
        }
        assert len(successors) <= 1
        assert {answer.status_code for answer in self.refreshes} <= {200, 400, 503}
