"""Whether the process lives, whether it can serve, and its metrics."""

import asyncio
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from authsvc import metrics_folder
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import OAuthError
from authsvc.storage.health import bounded, probe_database, probe_redis
from authsvc.storage.redis import RedisClient
from authsvc.web.errors import json_response
from authsvc.web.gauges import sample
from authsvc.web.requests import server_of

_NO_REDIS: Final = {"status": "ok", "detail": "not configured: one process is assumed"}


async def healthz(_request: Request) -> Response:
    """``GET /healthz``: this process answers."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """``GET /readyz``: 200 when requests can be served, each dependency named.

    Redis away is ``degraded`` and still ready: everything is served, from the database.
    """
    checks = await _check(server_of(request))
    ready = all(check["status"] != "error" for check in checks.values())
    status = "ok" if ready else "error"
    return json_response({"status": status, "checks": checks}, status=200 if ready else 503)


async def metrics(request: Request) -> Response:
    """``GET /metrics``, in Prometheus' text format, of all processes that serve as one."""
    sample(server_of(request))
    if metrics_folder.is_shared():
        text = await asyncio.to_thread(metrics_folder.export_all)
    else:
        text = generate_latest()
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _check(server: AuthorizationServer) -> dict[str, dict[str, Any]]:
    """Ask all at once: that one hangs takes no time from the others."""
    resources = server.resources
    database, redis, keys = await asyncio.gather(
        probe_database(resources.database),
        _probe_redis(resources.redis),
        bounded(_probe_keys(server)),
    )
    return {
        "database": _finding(database, "error"),
        "redis": _NO_REDIS if resources.redis is None else _finding(redis, "degraded"),
        "keys": _finding(keys, "error"),
    }


async def _probe_redis(redis: RedisClient | None) -> str | None:
    return None if redis is None else await probe_redis(redis)


async def _probe_keys(server: AuthorizationServer) -> str | None:
    """Return None when there is a key that signs access tokens, else why not."""
    try:
        keyring = await server.resources.keyring.get()
        keyring.active(server.resources.settings.signing_alg)
    except OAuthError as error:
        return error.detail or error.description
    return None


def _finding(problem: str | None, severity: str) -> dict[str, Any]:
    return {"status": "ok"} if problem is None else {"status": severity, "detail": problem}
