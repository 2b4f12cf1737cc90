"""One call of each endpoint, with what it needs made before the harm is done."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from tests.browser import Browser, Page
from tests.faults.replica import Replica
from tests.faults.world import World
from tests.provider import TestClient


@dataclass(frozen=True)
class Kit:
    """What the calls at one replica use up."""

    code: str
    refresh_token: str
    person_token: str
    client_token: str
    revocable: str
    admin_token: str
    browser: Browser
    login_page: Page


async def make_kit(world: World, replica: Replica) -> Kit:
    """Return a kit, and let the replica know the clients."""
    tokens = await world.new_tokens()
    browser = replica.browser()
    page = await browser.get("/authorize", replica.authorization_parameters(world.client))
    kit = Kit(
        code=await world.new_code(),
        refresh_token=tokens["refresh_token"],
        person_token=tokens["access_token"],
        client_token=await world.new_client_token(),
        revocable=await world.new_client_token(),
        admin_token=await world.new_client_token(world.admin),
        browser=browser,
        login_page=page,
    )
    for client in (world.client, world.admin):
        response = await replica.token(client, grant_type="client_credentials")
        assert response.status_code == 200, response.text
    return kit


async def introspect(replica: Replica, client: TestClient, token: str) -> httpx.Response:
    """Ask ``replica`` about ``token``."""
    return await replica.http.post(
        "/introspect", data={"token": token}, auth=client.auth or httpx.USE_CLIENT_DEFAULT
    )


async def _sign_in(world: World, replica: Replica, kit: Kit) -> httpx.Response:
    form = next(form for form in kit.login_page.forms if "#login-submit" in form.buttons)
    account = world.account
    data = {**form.fields, "username": account.username, "password": account.password}
    return await kit.browser.http.post(form.action, data=data)


async def _ask_for_code(world: World, replica: Replica, kit: Kit) -> httpx.Response:
    browser = replica.browser()
    browser.http.cookies = world.signed_in.http.cookies
    return await world.ask_for_code(browser)


Call = Callable[[World, Replica, Kit], Awaitable[httpx.Response]]

CALLS: Final[dict[str, Call]] = {
    "discovery": lambda _w, r, _k: r.http.get("/.well-known/openid-configuration"),
    "JWKS": lambda _w, r, _k: r.http.get("/jwks"),
    "token: client credentials": lambda w, r, _k: r.token(
        w.client, grant_type="client_credentials"
    ),
    "introspection: a client's token": lambda w, r, k: introspect(r, w.client, k.client_token),
    "introspection: a person's token": lambda w, r, k: introspect(r, w.client, k.person_token),
    "userinfo": lambda _w, r, k: r.userinfo(k.person_token),
    "admin API: reading": lambda w, r, k: w.administer(r, k.admin_token, "GET", "/clients"),
    "authorize: signed in": _ask_for_code,
    "login": _sign_in,
    "token: code": lambda w, r, k: r.redeem(w.client, k.code),
    "token: refresh": lambda w, r, k: r.refresh(w.client, k.refresh_token),
    "revocation": lambda w, r, k: r.revoke(w.client, k.revocable),
    "admin API: changing": lambda w, r, k: w.administer(
        r, k.admin_token, "POST", "/roles", json={"name": w.new_name()}
    ),
    "/readyz": lambda _w, r, _k: r.http.get("/readyz"),
    "/healthz": lambda _w, r, _k: r.http.get("/healthz"),
}
UNRELATED: Final = ("discovery", "JWKS", "token: client credentials")
"""What needs neither server while the other is there."""


async def timed(call: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    """Return the answer and the seconds that it took."""
    begun = time.perf_counter()
    response = await call
    return response, time.perf_counter() - begun


async def gather_latencies(
    world: World, kits: list[Kit], rounds: int = 10
) -> tuple[list[float], Counter[int]]:
    """Call what is unrelated at every replica; return the seconds and how many of each status."""
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    for _ in range(rounds):
        answers = await asyncio.gather(
            *(
                timed(CALLS[name](world, replica, kit))
                for replica, kit in zip(world.replicas, kits, strict=True)
                for name in UNRELATED
            )
        )
        seconds += [took for _, took in answers]
        statuses.update(response.status_code for response, _ in answers)
    return seconds, statuses
