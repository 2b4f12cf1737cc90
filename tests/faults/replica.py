"""A replica in a process of its own, reached at its own port under the issuer that all share."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx

from authsvc.config import Settings
from tests.browser import Browser
from tests.provider import MovableClock, Provider
from tests.served import Served

_PATIENCE = 30
"""Seconds a test waits for an answer."""


class _ToPort(httpx.AsyncBaseTransport):
    """Sends what is meant for the issuer to one replica, as a proxy would."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def client_at(settings: Settings, port: int) -> httpx.AsyncClient:
    """Return a client that reaches the issuer at one replica."""
    return httpx.AsyncClient(
        transport=_ToPort(port), base_url=settings.issuer, timeout=httpx.Timeout(_PATIENCE)
    )


@dataclass
class Replica(Provider):
    """What a test does with a replica: all over HTTP."""

    served: Served | None = None

    @classmethod
    def of(cls, served: Served, settings: Settings) -> "Replica":
        """Return the replica that ``served`` runs."""
        http = client_at(settings, served.port)
        return cls(None, settings, MovableClock(), http, served=served)

    def browser(self) -> Browser:
        """Return a fresh browser that reaches this replica."""
        assert self.served is not None
        browser = Browser(client_at(self.settings, self.served.port))
        self._browsers.append(browser)
        return browser

    def log_size(self) -> int:
        """Return how long the log is (bytes)."""
        assert self.served is not None
        return self.served.log.stat().st_size

    def log_from(self, begin: int) -> list[dict[str, Any]]:
        """Return the lines of the log from there on, as far as they are whole."""
        assert self.served is not None
        whole, _, _ = self.served.log.read_bytes()[begin:].rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    async def readiness(self) -> tuple[int, dict[str, str]]:
        """Return the status of ``/readyz`` and that of each check."""
        response = await self.http.get("/readyz")
        checks: dict[str, Any] = response.json()["checks"]
        return response.status_code, {name: check["status"] for name, check in checks.items()}

    async def gauge(self, sample: str) -> float:
        """Return the value of a sample of ``/metrics``, named with its labels."""
        lines = (await self.http.get("/metrics")).text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{sample} ")).split()[-1])

    async def until_current(self, is_current: bool = True, *, patience: float = 10.0) -> None:
        """Return when it trusts its memory, or no more."""
        async with asyncio.timeout(patience):
            while bool(await self.gauge("authsvc_redis_live")) is not is_current:  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Close the connections to it."""
        for browser in self._browsers:
            await browser.close()
        await self.http.aclose()
