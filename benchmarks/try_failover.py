"""Promotes a standby that was behind, and shows what counts again that no longer did.

``python -m benchmarks.try_failover`` prints JSON: what became of a spent and revoked refresh
token, and of a revoked access token, before the fail-over, after it, and once all that the
person had was revoked, as after a restore.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.load import Load, serve_for_load
from benchmarks.standby import cut_off, follow, promote, start_standby
from tests.served import Served, serve
from tests.servers import start_postgres, start_redis


def try_failover() -> dict[str, dict[str, Any]]:
    """Return what the tokens were worth before, after, and once all was revoked."""
    with (
        start_postgres(wal_level="replica", max_wal_senders=5) as postgres,
        start_redis() as redis,
        start_standby(postgres) as standby,
        tempfile.TemporaryDirectory() as folder,
    ):
        primary = postgres.create_database()
        there = urlsplit(standby.url)._replace(path=urlsplit(primary).path).geturl()
        with serve_for_load(primary, redis.create_database()) as (served, app):
            tokens = asyncio.run(_spend_and_revoke(served, app, primary, there))
            found = {"before": _look(served, app, tokens)}
            moved = {**served._variables, "AUTHSVC_DATABASE_URL": there}
        postgres.process.stop()
        asyncio.run(promote(there))
        with serve(moved, Path(folder)) as served:
            found["after"] = _look(served, app, tokens)
            served.run("tokens", "revoke", "--user", "alice")
            found["revoked"] = _look(served, app, tokens)
    return found


async def _spend_and_revoke(
    served: Served, app: tuple[str, str], primary: str, standby: str
) -> Mapping[str, str]:
    """Sign in; cut the standby off; then spend the token, and revoke all that came of it."""
    async with httpx.AsyncClient(base_url=served.issuer, timeout=30) as http:
        load = Load(http, app)
        await load.sign_in()
        first = load.tokens
        await follow(primary, standby)
        await cut_off(standby)
        await load.refresh()
        await load.give_back()
        return first


def _look(served: Served, app: tuple[str, str], tokens: Mapping[str, str]) -> dict[str, Any]:
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as http:
        answer = http.post("/introspect", data={"token": tokens["access_token"]}, auth=app)
        given = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        return {
            "access token active": answer.json()["active"],
            "refresh token gets": http.post("/token", data=given, auth=app).status_code,
        }


def main() -> None:
    """Try it and print."""
    print(json.dumps(try_failover(), indent=2))


if __name__ == "__main__":
    main()
