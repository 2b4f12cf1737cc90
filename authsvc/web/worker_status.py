"""What a worker of jobs tells those who watch it: that it lives, and its metrics."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from authsvc.oauth.server import AuthorizationServer
from authsvc.web import health
from authsvc.web.connections import KEEP_ALIVE, DrainingConnection
from authsvc.web.middleware import RequestMiddleware

_CONNECTIONS: Final = 64
"""At once; beyond, the answer is 503. Nobody but a scraper and a probe has business here."""
_DRAIN_SECONDS: Final = 3
"""A scrape that is not read by then does not hold up the worker's end."""


@asynccontextmanager
async def show_status(server: AuthorizationServer, listener: socket.socket) -> AsyncIterator[None]:
    """Answer ``/healthz`` and ``/metrics`` at ``listener`` until the block ends; closes it."""
    http = _Http(
        uvicorn.Config(
            _make_app(server),
            http=DrainingConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        yield
    finally:
        http.should_exit = True
        await serving


def _make_app(server: AuthorizationServer) -> Starlette:
    app = Starlette(
        routes=[
            Route("/healthz", health.healthz, methods=["GET"]),
            Route("/metrics", health.metrics, methods=["GET"]),
        ],
        middleware=[Middleware(RequestMiddleware, settings=server.resources.settings)],
    )
    app.router.redirect_slashes = False
    app.state.server = server
    app.state.tracing = None
    return app


class _Http(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the worker, which finishes its work first."""
        yield
