"""One call of each endpoint: the rows of the table of degraded modes."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

from tests.browser import Browser, Page
from tests.devices import ask, poll
from tests.faults.kit import Kit
from tests.faults.replica import Replica
from tests.faults.world import World
from tests.provider import TestClient
from tests.registration import WEB, manage, register

Call = Callable[[World, Replica, Kit], Awaitable[httpx.Response]]


async def introspect(replica: Replica, client: TestClient, token: str) -> httpx.Response:
    """Ask ``replica`` about ``token``."""
    return await replica.http.post(
        "/introspect", data={"token": token}, auth=client.auth or httpx.USE_CLIENT_DEFAULT
    )


async def _submit(
    browser: Browser, page: Page, button: str, values: Mapping[str, str] | None = None
) -> httpx.Response:
    """Press a button of a page, and follow no redirection."""
    form = next(form for form in page.forms if button in form.buttons)
    name, value = form.buttons[button]
    data: dict[str, Any] = {**form.fields, **(values or {}), **({name: value} if name else {})}
    return await browser.http.post(form.action, data=data)


async def _sign_in(world: World, _replica: Replica, kit: Kit) -> httpx.Response:
    account = world.account
    values = {"username": account.username, "password": account.password}
    return await _submit(kit.stranger, kit.login_page, "#login-submit", values)


async def _ask_for_code(world: World, replica: Replica, _kit: Kit) -> httpx.Response:
    browser = replica.browser()
    browser.http.cookies = world.signed_in.http.cookies
    return await world.ask_for_code(browser)


async def _ask_as_a_stranger(world: World, replica: Replica, _kit: Kit) -> httpx.Response:
    return await world.ask_for_code(replica.browser())


async def _reset_password(_world: World, _replica: Replica, kit: Kit) -> httpx.Response:
    values = {"password": "another horse battery", "password_again": "another horse battery"}
    return await _submit(kit.stranger, kit.reset_page, "#reset-submit", values)


async def _change_a_role(world: World, replica: Replica, kit: Kit) -> httpx.Response:
    return await world.administer(
        replica, kit.admin_token, "POST", "/roles", json={"name": world.new_name()}
    )


CALLS: Final[dict[str, Call]] = {
    "discovery": lambda _w, r, _k: r.http.get("/.well-known/openid-configuration"),
    "JWKS": lambda _w, r, _k: r.http.get("/jwks"),
    "token: client credentials": lambda w, r, _k: r.token(
        w.client, grant_type="client_credentials"
    ),
    "introspection: a client's token": lambda w, r, k: introspect(r, w.client, k.client_token),
    "introspection: a person's token": lambda w, r, k: introspect(r, w.client, k.person_token),
    "introspection: a refresh token": lambda w, r, k: introspect(
        r, w.client, k.known_refresh_token
    ),
    "userinfo": lambda _w, r, k: r.userinfo(k.person_token),
    "admin API: reading": lambda w, r, k: w.administer(r, k.admin_token, "GET", "/clients"),
    "admin API: changing": _change_a_role,
    "start page: signed in": lambda _w, _r, k: k.signed_in.http.get("/"),
    "start page: nobody": lambda _w, r, _k: r.browser().http.get("/"),
    "authorize: signed in": _ask_for_code,
    "authorize: nobody": _ask_as_a_stranger,
    "authorize: going on": lambda _w, _r, k: k.signed_in.http.get(
        "/authorize/resume", params={"continue": k.continuation}
    ),
    "consent": lambda _w, _r, k: _submit(k.signed_in, k.consent_page, "#consent-approve"),
    "login: page": lambda _w, r, k: r.browser().http.get(
        "/login", params={"continue": k.continuation}
    ),
    "login": _sign_in,
    "session check": lambda _w, r, _k: r.http.get("/session/check"),
    "client's logo": lambda w, r, _k: r.http.get(f"/clients/{w.client.client_id}/logo"),
    "token: code": lambda w, r, k: r.redeem(w.client, k.code),
    "token: refresh": lambda w, r, k: r.refresh(w.client, k.refresh_token),
    "token: device code": lambda w, r, k: poll(r, w.device, dict(k.connected)),
    "revocation: an access token": lambda w, r, k: r.revoke(w.client, k.revocable),
    "revocation: a refresh token": lambda w, r, k: r.revoke(w.client, k.revocable_refresh_token),
    "device: start": lambda w, r, _k: ask(r, w.device),
    "device: page": lambda _w, r, _k: r.browser().http.get("/device"),
    "device: code": lambda _w, _r, k: _submit(
        k.signed_in, k.device_page, "#device-submit", {"user_code": k.user_code}
    ),
    "device: going on": lambda _w, _r, k: k.signed_in.http.get(
        "/device/resume", params={"continue": k.device_continuation}
    ),
    "device: answer": lambda _w, _r, k: _submit(k.signed_in, k.device_question, "#device-approve"),
    "registration": lambda _w, r, _k: register(r),
    "registration: reading": lambda _w, r, k: manage(r, "GET", k.registered),
    "registration: changing": lambda _w, r, k: manage(
        r, "PUT", k.registered, {**WEB, "client_id": k.registered["client_id"], "client_name": "B"}
    ),
    "registration: deleting": lambda _w, r, k: manage(r, "DELETE", k.registered),
    "logout": lambda _w, _r, k: k.signed_in.http.get("/logout"),
    "logout: nobody": lambda _w, r, _k: r.browser().http.get("/logout"),
    "logout: answer": lambda _w, _r, k: _submit(k.signed_in, k.logout_page, "#logout-confirm"),
    "forgotten password: page": lambda _w, r, _k: r.browser().http.get("/password/forgot"),
    "forgotten password": lambda _w, _r, k: _submit(
        k.stranger, k.forgot_page, "#forgot-submit", {"username": k.person.username}
    ),
    "new password: page": lambda _w, r, k: r.browser().http.get(k.reset_link),
    "new password": _reset_password,
    "/readyz": lambda _w, r, _k: r.http.get("/readyz"),
    "/healthz": lambda _w, r, _k: r.http.get("/healthz"),
    "/metrics": lambda _w, r, _k: r.http.get("/metrics"),
    "/openapi.json": lambda _w, r, _k: r.http.get("/openapi.json"),
    "/static": lambda _w, r, _k: r.http.get("/static/authsvc.css"),
}
"""In this order: the later ones change what the earlier ones need."""
ROUTES: Final[dict[str, set[str]]] = {
    "GET /.well-known/openid-configuration": {"discovery"},
    "GET /.well-known/oauth-authorization-server": {"discovery"},
    "GET /jwks": {"JWKS"},
    "POST /token": {
        "token: client credentials", "token: code", "token: refresh", "token: device code",
    },
    "POST /introspect": {
        "introspection: a client's token", "introspection: a person's token",
        "introspection: a refresh token",
    },
    "POST /revoke": {"revocation: an access token", "revocation: a refresh token"},
    "GET /userinfo": {"userinfo"},
    "POST /userinfo": {"userinfo"},
    "POST /device_authorization": {"device: start"},
    "POST /register": {"registration"},
    "GET /register/{client_id}": {"registration: reading"},
    "PUT /register/{client_id}": {"registration: changing"},
    "DELETE /register/{client_id}": {"registration: deleting"},
    "GET /": {"start page: signed in", "start page: nobody"},
    "GET /authorize": {"authorize: signed in", "authorize: nobody"},
    "POST /authorize": {"authorize: signed in", "authorize: nobody"},
    "GET /authorize/resume": {"authorize: going on"},
    "POST /consent": {"consent"},
    "GET /login": {"login: page"},
    "POST /login": {"login"},
    "GET /password/forgot": {"forgotten password: page"},
    "POST /password/forgot": {"forgotten password"},
    "GET /password/reset": {"new password: page"},
    "POST /password/reset": {"new password"},
    "GET /device": {"device: page"},
    "POST /device": {"device: code"},
    "GET /device/resume": {"device: going on"},
    "POST /device/confirm": {"device: answer"},
    "GET /logout": {"logout", "logout: nobody"},
    "POST /logout": {"logout: nobody"},
    "POST /logout/confirm": {"logout: answer"},
    "GET /session/check": {"session check"},
    "GET /clients/{client_id:path}/logo": {"client's logo"},
    "/admin/v1": {"admin API: reading", "admin API: changing"},
    "/static": {"/static"},
    "GET /readyz": {"/readyz"},
    "GET /healthz": {"/healthz"},
    "GET /metrics": {"/metrics"},
    "GET /openapi.json": {"/openapi.json"},
}  # fmt: skip
"""The rows that say what a route does."""
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
