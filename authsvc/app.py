"""The application: everything wired together, in the one place that knows it all."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from authsvc import logs, metrics, metrics_folder
from authsvc.clock import Clock
from authsvc.config import ConfigError, Settings, load_settings
from authsvc.jobs.background import Work, keep_going, observe
from authsvc.jobs.scheduler import run_schedule
from authsvc.oauth.metadata import build_metadata, check_metadata
from authsvc.oauth.server import AuthorizationServer, open_authorization_server
from authsvc.resources import Resources, open_resources
from authsvc.storage.audit import Origin
from authsvc.storage.cancellation import end_all
from authsvc.storage.rate_counters import RateCounters
from authsvc.tracing import is_installed, open_tracing
from authsvc.web import gauges
from authsvc.web.connections import KEEP_ALIVE, DrainingConnection
from authsvc.web.draining import Draining, ending_late
from authsvc.web.errors import EXCEPTION_HANDLERS
from authsvc.web.health import Readiness
from authsvc.web.middleware import RequestMiddleware
from authsvc.web.people import open_people_edge
from authsvc.web.rate_limits import RateLimits
from authsvc.web.routes import CrossOrigin, build_routes
from authsvc.web.worker_status import show_status

log = logs.get_logger(__name__)

_BACKLOG = 2_048
_DRAIN_SECONDS = 30


def create_app(settings: Settings | None = None, *, clock: Clock | None = None) -> Starlette:
    """Return the ASGI app; what it runs on is opened when it starts.

    Without ``settings`` they come from the environment; raises ConfigError.
    """
    settings = settings or load_settings()
    logs.configure(level=settings.log_level, console=settings.log_format == "console")
    check_traces(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            resources = await stack.enter_async_context(open_resources(settings, clock=clock))
            tracing = open_tracing(enabled=settings.traces == "otlp")
            app.state.tracing = await stack.enter_async_context(tracing)
            app.state.draining = Draining()
            await stack.enter_async_context(_serving(app, resources))
            stack.enter_context(ending_late(app.state.draining, settings.drain_delay))
            yield

    return Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(RequestMiddleware, settings=settings),
            Middleware(CrossOrigin, issuer=settings.issuer),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )


@asynccontextmanager
async def _serving(app: Starlette, resources: Resources) -> AsyncIterator[None]:
    """Put the routes into ``app`` and keep the background work going."""
    settings = resources.settings
    counters = RateCounters(resources.clock)
    limits = RateLimits(counters, settings.rate_limit_table(), enabled=settings.rate_limits)
    server = open_authorization_server(resources)
    edge = open_people_edge(server)
    app.state.server = server
    app.state.readiness = Readiness(server)
    app.state.pages = edge.pages
    app.state.rate_limits = limits
    app.router.routes[:] = build_routes(server, edge, limits)
    # Starlette would send /token/ to an http URL made of the Host header, credentials and all.
    app.router.redirect_slashes = False
    async with resources.database.transaction() as tx:
        await resources.key_rotation.ensure_first_keys(tx, Origin("start"))
    keyring = await resources.keyring.get()
    # What the clients will read is right, or nothing is served at all.
    check_metadata(build_metadata(settings, server.capabilities, keyring.active_algorithms))
    resources.password_hashes.prepare()
    background: list[Work] = [
        resources.changes.hear,
        resources.changes.poll,
        partial(observe, server),
        partial(gauges.watch, server),
        partial(gauges.look_up, server),
    ]
    if settings.jobs:
        background.append(partial(run_schedule, server))
    if resources.redis is not None and settings.rate_limits:
        background.append(partial(counters.run, resources.redis))
    tasks = [asyncio.create_task(keep_going(work)) for work in background]
    # A worker of jobs is scraped, too, and an alert tells when none of these is.
    metrics.WORKERS.set(1)
    try:
        yield
    finally:
        await end_all(tasks)
        await app.state.readiness.close()
        await resources.changes.leave()


@asynccontextmanager
async def watched(server: AuthorizationServer, listener: socket.socket) -> AsyncIterator[None]:
    """Show at ``listener`` how a worker of jobs is, as a serving process does; closes it."""
    looking: list[Work] = [
        partial(observe, server),
        partial(gauges.watch, server),
        partial(gauges.look_up, server),
    ]
    tasks = [asyncio.create_task(keep_going(work)) for work in looking]
    try:
        async with show_status(server, listener):
            yield
    finally:
        await end_all(tasks)


def check_traces(settings: Settings) -> None:
    """Raise ConfigError when traces are wanted and the packages for them are not there."""
    if settings.traces != "off" and not is_installed():
        raise ConfigError("AUTHSVC_TRACES needs OpenTelemetry: pip install 'authsvc[otel]'")


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until told to stop, on a database whose schema is ready; raises ConfigError.

    On SIGTERM new connections are refused, after the delay that the settings name, and requests
    under way are answered.
    """
    check_traces(settings)
    with ExitStack() as stack:
        if workers > 1:
            try:
                stack.enter_context(metrics_folder.open_folder())
            except OSError as error:
                reason = f"the workers find no place for their metrics: {error.strerror}"
                raise ConfigError(reason) from error
        _run(host, port, workers)


def _run(host: str, port: int, workers: int) -> None:
    uvicorn.run(
        "authsvc.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http=DrainingConnection,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
