"""Three replicas in processes of their own, and the servers they stand on, which come to harm."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qs, urlsplit

import httpx

from authsvc.web.admin.operations import PREFIX
from tests.browser import Browser
from tests.faults.relay import Relay
from tests.faults.replica import Replica
from tests.mail_catcher import MailCatcher
from tests.provider import Account, TestClient
from tests.servers import PostgresServer, RedisServer


@dataclass
class World:
    """Replicas 0 and 1 reach PostgreSQL directly, 2 over a relay; Redis all over another."""

    replicas: Sequence[Replica]
    postgres: PostgresServer
    redis: RedisServer
    standby: RedisServer
    to_postgres: Relay
    to_redis: Relay
    database_url: str
    client: TestClient
    admin: TestClient
    device: TestClient
    mail: MailCatcher
    account: Account
    signed_in: Browser
    names: int = 0
    _addresses: Iterator[int] = field(default_factory=lambda: count(1))

    def new_name(self) -> str:
        """Return a name that nothing has yet."""
        self.names += 1
        return f"name-{self.names}"

    def browser_elsewhere(self, replica: Replica) -> Browser:
        """Return a browser of an address that nobody else has: what one may ask for is bounded."""
        browser = replica.browser()
        browser.http.headers["X-Forwarded-For"] = f"2001:db8:{next(self._addresses):x}::1"
        return browser

    async def new_code(self) -> str:
        """Return a fresh code of the person who is signed in."""
        answer = await self.ask_for_code(self.signed_in)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def ask_for_code(self, browser: Browser) -> httpx.Response:
        """Send the authorization request."""
        parameters = self.replicas[0].authorization_parameters(self.client)
        return await browser.http.get("/authorize", params=parameters)

    async def new_tokens(self) -> dict[str, str]:
        """Return a fresh token response for that person."""
        response = await self.replicas[0].redeem(self.client, await self.new_code())
        assert response.status_code == 200, response.text
        tokens: dict[str, str] = response.json()
        return tokens

    async def new_client_token(self, client: TestClient | None = None) -> str:
        """Return an access token of a client for itself."""
        response = await self.replicas[0].token(
            client or self.client, grant_type="client_credentials"
        )
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token

    async def administer(
        self, replica: Replica, token: str, method: str, path: str, **options: object
    ) -> httpx.Response:
        """Call the admin API of a replica."""
        return await replica.http.request(
            method,
            f"{PREFIX}{path}",
            headers={"Authorization": f"Bearer {token}"},
            **options,  # type: ignore[arg-type]  # httpx' own
        )

    async def until_well(self, patience: float = 30.0) -> None:
        """Return when every replica says that all is well."""
        async with asyncio.timeout(patience):
            for replica in self.replicas:
                while not await _is_well(replica):  # noqa: ASYNC110  # it is another process
                    await asyncio.sleep(0.02)


async def _is_well(replica: Replica) -> bool:
    status, checks = await replica.readiness()
    return status == 200 and set(checks.values()) == {"ok"}
