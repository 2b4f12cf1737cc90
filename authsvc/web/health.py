"""Whether the process lives, whether it can serve, and its metrics."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from authsvc.metrics import HASHES_WAITING, REDIS_LIVE
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import OAuthError
from authsvc.storage.health import probe_database, probe_redis
from authsvc.web.errors import json_response
from authsvc.web.requests import server_of


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
    """``GET /metrics``, in Prometheus' text format."""
    resources = server_of(request).resources
    REDIS_LIVE.set(resources.changes.live)
    HASHES_WAITING.set(resources.password_hashes.waiting)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _check(server: AuthorizationServer) -> dict[str, dict[str, Any]]:
    resources = server.resources
    problem = await probe_database(resources.database)
    checks: dict[str, dict[str, Any]] = {"database": _finding(problem, "error")}
    if resources.redis is None:
        checks["redis"] = {"status": "ok", "detail": "not configured: one process is assumed"}
    else:
        checks["redis"] = _finding(await probe_redis(resources.redis), "degraded")
    try:
        keyring = await resources.keyring.get()
        keyring.active(resources.settings.signing_alg)
        checks["keys"] = {"status": "ok"}
    except OAuthError as error:
        checks["keys"] = _finding(error.detail or error.description, "error")
    return checks


def _finding(problem: str | None, severity: str) -> dict[str, Any]:
    return {"status": "ok"} if problem is None else {"status": severity, "detail": problem}
