"""Whether the process lives, whether it can serve, and its metrics."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from authsvc import metrics_folder
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import OAuthError
from authsvc.resources import Resources
from authsvc.storage.cancellation import end_all
from authsvc.storage.health import Problem, probe_database, probe_redis
from authsvc.web.errors import json_response
from authsvc.web.gauges import sample
from authsvc.web.requests import server_of

FRESH_SECONDS: Final = 0.5
"""How long a finding is passed on: however many ask, the dependencies are asked twice a second."""

_Checks = Mapping[str, Mapping[str, Any]]


class Readiness:
    """What the dependencies answered last; asked anew by one caller for all who wait."""

    def __init__(
        self, server: AuthorizationServer, *, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self.fresh_seconds = fresh_seconds
        self._server = server
        self._probe: asyncio.Task[_Checks] | None = None
        self._fresh_until = 0.0

    async def find(self) -> _Checks:
        """Return each dependency and how it is, half a second old at most."""
        probe = self._probe
        if probe is None or (probe.done() and time.monotonic() >= self._fresh_until):
            probe = self._probe = asyncio.create_task(self._ask())
        # That one caller leaves must not take the answer from the others.
        return await asyncio.shield(probe)

    async def close(self) -> None:
        """End what is under way."""
        if self._probe is not None:
            await end_all([self._probe])

    async def _ask(self) -> _Checks:
        checks = await _check(self._server)
        self._fresh_until = time.monotonic() + self.fresh_seconds
        return checks


async def healthz(_request: Request) -> Response:
    """``GET /healthz``: this process answers."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """``GET /readyz``: 200 when requests can be served, each dependency named.

    Redis away is ``degraded`` and still ready: everything is served, from the database. So is a
    database that is read-only: what only reads is served. A process that was told to end is
    not ready for more.
    """
    readiness: Readiness = request.app.state.readiness
    checks = {**await readiness.find()}
    if request.app.state.draining.begun:
        checks["process"] = {"status": "error", "detail": "it was told to end"}
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


async def _check(server: AuthorizationServer) -> _Checks:
    """Ask all at once: that one hangs takes no time from the others."""
    resources = server.resources
    database, redis, keys = await asyncio.gather(
        probe_database(resources.database), _check_redis(resources), _check_keys(resources)
    )
    return {"database": _finding(database), "redis": redis, "keys": _finding(keys)}


async def _check_redis(resources: Resources) -> dict[str, Any]:
    if resources.redis is None:
        return {"status": "ok", "detail": "not configured: one process is assumed"}
    problem = await probe_redis(resources.redis, resources.changes)
    if problem is None and (reason := resources.revocations.why_not_whole):
        problem = "degraded", f"it may drop revocations: {reason}"
    return _finding(problem)


async def _check_keys(resources: Resources) -> Problem | None:
    try:
        with resources.database.bounded():
            keyring = await resources.keyring.get()
        keyring.active(resources.settings.signing_alg)
    except OAuthError as error:
        return "error", error.detail or error.description
    return None


def _finding(problem: Problem | None) -> dict[str, Any]:
    if problem is None:
        return {"status": "ok"}
    severity, detail = problem
    return {"status": severity, "detail": detail}
