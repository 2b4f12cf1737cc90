"""Clients that use the replicas as clients do: they try again where no answer came."""

import asyncio
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.browser import Browser
from tests.conftest import ISSUER
from tests.crash.fleet import Replica
from tests.crash.history import Family, Kind, Operation, Outcome
from tests.provider import CHALLENGE, PASSWORD, REDIRECT_URI, VERIFIER

_TRIES = 40
_PAUSE = 0.05
_SCOPE = "openid offline_access api:read"
_TIMEOUT = httpx.Timeout(10)
# A connection that breaks while it is made is an AttributeError to anyio on this event loop.
_BROKEN = (httpx.TransportError, AttributeError)


class _At(httpx.AsyncHTTPTransport):
    """Reaches the issuer at one of the replicas, as a proxy would choose one."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the replica."""
        request.url = request.url.copy_with(port=self._port)
        return await super().handle_async_request(request)


@dataclass(frozen=True)
class App:
    """A registered client."""

    client_id: str
    secret: str


@dataclass
class Person:
    """A person with a browser, at an app: one family after the other, until told to stop."""

    username: str
    app: App
    replicas: Sequence[Replica]
    chance: random.Random
    families: list[Family] = field(default_factory=list)
    unanswered: int = 0
    _cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    async def run(self, stop: asyncio.Event) -> None:
        """Live until ``stop``; each family is asked to its end."""
        async with httpx.AsyncClient(timeout=_TIMEOUT) as http:
            self._http = http
            while not stop.is_set():
                code = await self._get_code()
                if code is not None:
                    await self._live(code)

    async def _get_code(self) -> str | None:
        """Walk through the pages at one replica after the other until there is a code."""
        for _ in range(_TRIES):
            with suppress(*_BROKEN, KeyError, StopIteration):
                location = await self._walk(self.chance.choice(self.replicas))
                if location is not None:
                    return parse_qs(urlsplit(location).query)["code"][0]
            await asyncio.sleep(_PAUSE)
        return None

    async def _walk(self, replica: Replica) -> str | None:
        """Return where the browser leaves the provider, None when it does not."""
        async with httpx.AsyncClient(
            base_url=ISSUER, cookies=self._cookies, timeout=_TIMEOUT, transport=_At(replica.port)
        ) as http:
            browser = Browser(http)
            page = await browser.get("/authorize", self._authorization())
            for _ in range(3):
                if browser.left_for is not None:
                    break
                if page.has("input[name=password]"):
                    given = {"username": self.username, "password": PASSWORD}
                    page = await browser.submit(page, given, button="#login-submit")
                elif page.has("#consent-approve"):
                    page = await browser.submit(page, {}, button="#consent-approve")
            self._cookies = http.cookies
            return browser.left_for

    def _authorization(self) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": self.app.client_id,
            "redirect_uri": REDIRECT_URI,
            "scope": _SCOPE,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }

    async def _live(self, code: str) -> None:
        """Redeem the code, refresh what came of it, and perhaps misuse it."""
        family = Family()
        self.families.append(family)
        twice = self.chance.random() < 0.15
        await asyncio.gather(*(self._redeem(family, code) for _ in range(1 + twice)))
        for _ in range(self.chance.randint(2, 7)):
            tokens = _tokens_of(family)
            if not tokens:
                return
            await self._act(family, code, tokens)
        await self._settle(family)

    async def _act(self, family: Family, code: str, tokens: list[str]) -> None:
        newest, any_of_them = tokens[-1], self.chance.choice(tokens)
        match self.chance.random():
            case draw if draw < 0.5:
                await self._insist(family, "refresh", newest)
            case draw if draw < 0.7:
                times = self.chance.randint(2, 3)
                await asyncio.gather(*(self._ask(family, "refresh", newest) for _ in range(times)))
            case draw if draw < 0.85:
                await self._check(family)
            case draw if draw < 0.9:
                await self._ask(family, "refresh", any_of_them)
            case draw if draw < 0.93:
                await self._redeem(family, code)
            case _:
                await self._insist(family, "revoke", any_of_them)
                await self._check(family)

    async def _settle(self, family: Family) -> None:
        """Ask once more, so that nothing that was answered can have been lost unseen."""
        await self._check(family)
        await self._insist(family, "refresh", _tokens_of(family)[-1])

    async def _redeem(self, family: Family, code: str) -> None:
        await self._insist(family, "redeem", code)

    async def _check(self, family: Family) -> None:
        tokens = [o.access_token for o in family.operations if o.access_token]
        await self._insist(family, "check", self.chance.choice(tokens))

    async def _insist(self, family: Family, kind: Kind, presented: str) -> None:
        """Ask until there is an answer, as a client does whose connection broke."""
        for _ in range(_TRIES):
            if (await self._ask(family, kind, presented)).outcome != "unknown":
                return
            await asyncio.sleep(_PAUSE)

    async def _ask(self, family: Family, kind: Kind, presented: str) -> Operation:
        replica = self.chance.choice([r for r in self.replicas if r.is_running()] or self.replicas)
        path, form = _request(kind, presented)
        with family.asking(kind, presented) as operation:
            try:
                response = await self._http.post(
                    f"{replica.url}{path}",
                    data=form,
                    auth=(self.app.client_id, self.app.secret),
                )
            except httpx.ConnectError:
                # Nobody was there to hear it.
                family.operations.remove(operation)
            except _BROKEN:
                self.unanswered += 1
            else:
                _fill_in(operation, response)
        return operation


def _request(kind: Kind, presented: str) -> tuple[str, dict[str, str]]:
    match kind:
        case "redeem":
            return "/token", {
                "grant_type": "authorization_code",
                "code": presented,
                "redirect_uri": REDIRECT_URI,
                "code_verifier": VERIFIER,
            }
        case "refresh":
            return "/token", {"grant_type": "refresh_token", "refresh_token": presented}
        case "revoke":
            return "/revoke", {"token": presented}
        case "check":
            return "/introspect", {"token": presented}


def _fill_in(operation: Operation, response: httpx.Response) -> None:
    """Read the answer; raises ValueError when it is none that a provider may give."""
    answer: dict[str, Any] = response.json() if response.content else {}
    operation.outcome = _outcome(operation.kind, response.status_code, answer)
    if operation.outcome == "yes" and operation.kind in {"redeem", "refresh"}:
        operation.refresh_token = answer["refresh_token"]
        operation.access_token = answer["access_token"]


def _outcome(kind: Kind, status: int, answer: dict[str, Any]) -> Outcome:
    if status == 503:
        return "unknown"
    if kind == "check" and status == 200:
        return "yes" if answer["active"] else "no"
    if status == 200:
        return "yes"
    if status == 400 and answer.get("error") == "invalid_grant" and kind != "revoke":
        return "no"
    raise ValueError(f"{kind} is answered with {status} {re.sub(r'[^ -~]', '?', str(answer))}")


def _tokens_of(family: Family) -> list[str]:
    """Return the family's refresh tokens that the client was given, the newest last."""
    given = [o.refresh_token for o in family.operations if o.refresh_token is not None]
    return list(dict.fromkeys(given))
