"""Measures what one request costs a served process, PostgreSQL and its WAL.

``python -m benchmarks.measure_requests`` serves one process on a real PostgreSQL and a real
Redis, asks it and prints JSON; ``--times`` says how often. CPU time of the servers' processes
is counted, not requests a second: it says little of what else the machine does, and the load
itself is not in it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import psutil

from tests.browser import Browser
from tests.conftest import MASTER_KEY
from tests.provider import CHALLENGE, PASSWORD, REDIRECT_URI, VERIFIER
from tests.served import Served, serve
from tests.servers import start_postgres, start_redis

CLIENT = {
    "client_name": "App",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "openid profile email offline_access",
}

Ask = Callable[[], Awaitable[Any]]


class Meter:
    """Counts CPU seconds of the service and of PostgreSQL, and what is written."""

    def __init__(self, served: Served, database: asyncpg.Connection, idle_seconds: float) -> None:
        self._service = psutil.Process(served.process.pid)
        self._database = database
        self._idle_seconds = idle_seconds

    async def _read(self) -> tuple[float, ...]:
        """Return the instant, and what was spent until then."""
        # The parent of our backend is the server; its other children are all backends.
        backend = psutil.Process(await self._database.fetchval("SELECT pg_backend_pid()"))
        service = [self._service, *self._service.children(recursive=True)]
        # Transactions that write take a number each; PostgreSQL's own count of commits is late.
        written = await self._database.fetchrow(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
            " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,"
            " (SELECT count(*) FROM audit_events)"
        )
        postgres = _cpu_seconds((backend.parent() or backend).children())
        return time.perf_counter(), _cpu_seconds(service), postgres, *written

    def memory(self) -> int:
        """Return the bytes that the service's process has in memory."""
        return int(self._service.memory_info().rss)

    async def cost(self, ask: Ask, times: int) -> dict[str, float]:
        """Return what one of ``times`` requests cost, without what goes on beside them.

        Heartbeats and polls cost the same however much is asked: they are measured before.
        """
        await ask()
        idle = await self._read()
        await asyncio.sleep(self._idle_seconds)
        before = await self._read()
        for _ in range(times):
            await ask()
        after = await self._read()
        share = (after[0] - before[0]) / (before[0] - idle[0])
        service, postgres, transactions, wal, events = (
            max(0.0, end - begin - share * (begin - start)) / times
            for start, begin, end in list(zip(idle, before, after, strict=True))[1:]
        )
        return {
            "cpu_ms": round(service * 1000, 2),
            "postgres_cpu_ms": round(postgres * 1000, 2),
            "transactions": round(transactions, 1),
            "wal_bytes": round(wal),
            "audit_events": round(events, 1),
        }


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


class Load:
    """Asks a provider as an app, a resource server and a person's browser do."""

    def __init__(self, http: httpx.AsyncClient, app: tuple[str, str]) -> None:
        self._http = http
        self._app = app
        self._tokens: dict[str, str] = {}
        self._to_revoke: list[str] = []

    async def discovery(self) -> None:
        """Read the metadata."""
        (await self._http.get("/.well-known/openid-configuration")).raise_for_status()

    async def client_credentials(self) -> None:
        """Get a token for the app itself, and keep it to be revoked."""
        self._to_revoke.append((await self._token(grant_type="client_credentials"))["access_token"])

    async def revocation(self) -> None:
        """Revoke a token of those that were kept."""
        await self._post("/revoke", token=self._to_revoke.pop())

    async def sign_in(self) -> None:
        """Sign in with a fresh browser, and redeem the code."""
        async with httpx.AsyncClient(base_url=self._http.base_url, timeout=30) as http:
            browser = Browser(http)
            asked = {
                "response_type": "code",
                "client_id": self._app[0],
                "redirect_uri": REDIRECT_URI,
                "scope": "openid profile email offline_access",
                "code_challenge": CHALLENGE,
                "code_challenge_method": "S256",
            }
            page = await browser.get("/authorize", asked)
            given = {"username": "alice", "password": PASSWORD}
            page = await browser.submit(page, given, button="#login-submit")
            if browser.left_for is None:
                await browser.submit(page, {}, button="#consent-approve")
            code = parse_qs(urlsplit(browser.left_for or "").query)["code"][0]
        self._tokens = await self._token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT_URI,
            code_verifier=VERIFIER,
        )

    async def refresh(self) -> None:
        """Exchange the refresh token of the last sign-in for the next."""
        self._tokens = await self._token(
            grant_type="refresh_token", refresh_token=self._tokens["refresh_token"]
        )

    async def introspection(self) -> None:
        """Ask about a person's living token, as a resource server does."""
        answer = await self._post("/introspect", token=self._tokens["access_token"])
        if answer.json()["active"] is not True or "username" not in answer.json():
            raise AssertionError("the token must be living, and a person's")

    async def userinfo(self) -> None:
        """Ask who the person is."""
        bearer = {"Authorization": f"Bearer {self._tokens['access_token']}"}
        (await self._http.get("/userinfo", headers=bearer)).raise_for_status()

    async def _token(self, **given: str) -> dict[str, str]:
        tokens: dict[str, str] = (await self._post("/token", **given)).json()
        return tokens

    async def _post(self, path: str, **given: str) -> httpx.Response:
        return (await self._http.post(path, data=given, auth=self._app)).raise_for_status()


async def measure(
    served: Served, database_url: str, app: tuple[str, str], times: int, idle: float
) -> dict[str, Any]:
    """Return the cost of each kind of request, and the memory of the process after them."""
    database = await asyncpg.connect(database_url)
    try:
        async with httpx.AsyncClient(base_url=served.issuer, timeout=30) as http:
            meter, load = Meter(served, database, idle), Load(http, app)
            # In this order: what is asked about a token comes soon after it was issued.
            asked = {
                "discovery": (load.discovery, times),
                "client_credentials": (load.client_credentials, times),
                "revocation": (load.revocation, times - 1),
                "sign_in": (load.sign_in, max(2, times // 8)),
                "refresh": (load.refresh, times),
                "introspection": (load.introspection, times),
                "userinfo": (load.userinfo, times),
            }
            requests = {name: await meter.cost(*how) for name, how in asked.items()}
            return {"requests": requests, "process_bytes": meter.memory()}
    finally:
        await database.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=400, help="requests of each kind")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds to measure without load")
    given = parser.parse_args()
    with (
        start_postgres(wal_level="replica", full_page_writes="on", autovacuum="off") as postgres,
        start_redis() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        variables = {
            "AUTHSVC_ENV": "development",
            "AUTHSVC_DATABASE_URL": (database_url := postgres.create_database()),
            "AUTHSVC_REDIS_URL": redis.create_database(),
            "AUTHSVC_MASTER_KEY": MASTER_KEY,
            "AUTHSVC_RATE_LIMITS": "off",
            "AUTHSVC_JOBS": "off",
        }
        subprocess.run(
            [sys.executable, "-m", "authsvc", "init"],
            env={**os.environ, **variables, "AUTHSVC_ISSUER": "http://127.0.0.1:8000"},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with serve(variables, Path(folder)) as served:
            client = served.run("clients", "create", "--metadata", "-", stdin=json.dumps(CLIENT))
            person = ("users", "create", "alice", "--email", "alice@example.com")
            served.run(*person, "--password-stdin", stdin=PASSWORD)
            app = client["client_id"], client["client_secret"]
            found = asyncio.run(measure(served, database_url, app, given.times, given.idle))
            print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
