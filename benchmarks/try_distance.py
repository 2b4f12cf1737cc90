"""Puts a distance between the service and PostgreSQL, and shows what that costs each request.

``python -m benchmarks.try_distance`` prints JSON: how often each kind of request goes to and
fro, found from the time that a line takes which holds each piece of data back.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx

from benchmarks.load import Load, serve_for_load
from tests.faults.relay import Relay
from tests.servers import start_postgres, start_redis

_ONE_WAY = 0.05
"""Seconds; long beside what a request takes without it, so that noise does not count."""


async def count_round_trips(
    issuer: str, app: tuple[str, str], relay: Relay, times: int
) -> dict[str, float]:
    """Return how often each kind of request waits for PostgreSQL, one wait after the other."""
    async with httpx.AsyncClient(base_url=issuer, timeout=60) as http:
        load = Load(http, app)
        # A token that is issued to the app is revoked later: as many of the one as of the other.
        asked = {
            "client_credentials": load.client_credentials,
            "revocation": load.revocation,
            "sign_in": load.sign_in,
            "refresh": load.refresh,
            "introspection": load.introspection,
            "userinfo": load.userinfo,
        }
        found = {}
        for name, ask in asked.items():
            relay.delay = 0.0
            near = await _median(ask, times)
            relay.delay = _ONE_WAY
            far = await _median(ask, times)
            found[name] = round((far - near) / (2 * _ONE_WAY), 1)
        return found


async def _median(ask: Callable[[], Awaitable[None]], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Try it and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="requests of each kind, near and far")
    times = parser.parse_args().times
    with start_postgres() as postgres, start_redis() as redis:
        url = urlsplit(postgres.create_database())
        with Relay(url.port or 5432) as relay:
            far = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{relay.port}"))
            with serve_for_load(far.geturl(), redis.create_database()) as (served, app):
                found = asyncio.run(count_round_trips(served.issuer, app, relay, times))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
