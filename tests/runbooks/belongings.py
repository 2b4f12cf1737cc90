"""What people and clients hold before something happens, and whether any of it still counts."""

from dataclasses import dataclass, field

from authsvc.guard import RemoteVerifier
from tests.browser import Browser
from tests.faults.replica import Replica
from tests.guarded import ORDERS
from tests.provider import SECRET, Account, Provider, TestClient
from tests.runbooks.installation import is_let_in


@dataclass(frozen=True)
class People:
    """Two people, an app, and the service elsewhere that asks about tokens."""

    ada: Account
    bob: Account
    app: TestClient
    orders: TestClient


async def make_people(operator: Provider) -> People:
    """Make all of them."""
    await operator.create_role("buyer", "orders:read")
    return People(
        await operator.create_user(username="ada"),
        await operator.create_user(username="bob"),
        await operator.create_client(client_id="app", resources=[ORDERS]),
        await operator.create_client(client_id="orders", grant_types=["client_credentials"]),
    )


@dataclass
class Belongings:
    """By name: access tokens, refresh tokens and codes with their clients, browsers."""

    access: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, tuple[TestClient, str]] = field(default_factory=dict)
    codes: dict[str, tuple[TestClient, str]] = field(default_factory=dict)
    browsers: dict[str, tuple[TestClient, Browser]] = field(default_factory=dict)

    async def sign_in(
        self, replica: Replica, name: str, client: TestClient, account: Account
    ) -> None:
        """Sign a person in, and keep all that came of it."""
        browser = replica.browser()
        tokens = await replica.sign_in(client, account, browser, resource=ORDERS)
        self.access[name] = tokens["access_token"]
        self.refresh[name] = (client, tokens["refresh_token"])
        self.browsers[name] = (client, browser)

    async def ask_for_code(
        self, replica: Replica, name: str, client: TestClient, account: Account
    ) -> None:
        """Keep a code that is not redeemed."""
        answer = await replica.authorize(replica.browser(), client, account)
        self.codes[name] = (client, answer["code"])

    async def act_for_itself(self, replica: Replica, name: str, client: TestClient) -> None:
        """Keep a token of a client for itself."""
        response = await replica.token(client, grant_type="client_credentials", resource=ORDERS)
        self.access[name] = response.json()["access_token"]

    async def find_good(self, replica: Replica, guards: list[RemoteVerifier]) -> set[str]:
        """Return what is still accepted by anybody, as kind and name. Codes are used up by it."""
        good = await self._find_good_access(replica, guards)
        for name, (client, token) in self.refresh.items():
            if (await replica.refresh(client, token)).status_code == 200:
                good.add(f"refresh: {name}")
        for name, (client, code) in self.codes.items():
            if (await replica.redeem(client, code)).status_code == 200:
                good.add(f"code: {name}")
        for name, (client, browser) in self.browsers.items():
            if await is_signed_in(replica, client, browser):
                good.add(f"session: {name}")
        return good

    async def _find_good_access(self, replica: Replica, guards: list[RemoteVerifier]) -> set[str]:
        good = set()
        orders = TestClient("orders", SECRET, {})
        for name, token in self.access.items():
            if (await replica.introspect(orders, token))["active"]:
                good.add(f"introspection: {name}")
            if (await replica.userinfo(token)).status_code == 200:
                good.add(f"userinfo: {name}")
            for number, guard in enumerate(guards):
                if await is_let_in(guard, token):
                    good.add(f"guard {number}: {name}")
        return good


async def is_signed_in(replica: Replica, client: TestClient, browser: Browser) -> bool:
    """Tell whether a browser is let through without a password."""
    # At this replica, whichever it was that the browser has met before.
    here = replica.browser()
    here.http.cookies = browser.http.cookies
    parameters = replica.authorization_parameters(client, prompt="none", resource=ORDERS)
    answer = await here.http.get("/authorize", params=parameters)
    return "code=" in answer.headers.get("location", "")
