"""What wraps every request: its id, its caller's address, its bounds, its line in the log."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authsvc.config import Settings
from authsvc.logs import get_logger
from authsvc.metrics import HTTP_SECONDS, route_of
from authsvc.protocol.errors import OAuthError, PayloadTooLarge
from authsvc.storage.identifiers import new_id
from authsvc.tracing import Tracing
from authsvc.web.password_reset import RESET_PATH
from authsvc.web.proxies import find_client_address, is_trusted_peer

log = get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestMiddleware:
    """Names the request, bounds its body, and writes one log line when it is answered.

    An error that nobody turned into a response becomes a bare 500, and its trace goes to
    the log alone.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._secret_path = settings.base_path + RESET_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        self._name(scope, headers)
        tracing: Tracing | None = scope["app"].state.tracing
        if tracing is None:
            await self._answer(scope, receive, send, headers, started)
            return
        method = _method_of(scope)
        with tracing.request(method, headers.getlist("traceparent")) as request_span:
            with structlog.contextvars.bound_contextvars(trace_id=request_span.trace_id):
                status = await self._answer(scope, receive, send, headers, started)
            request_span.finish(method, route_of(scope), status)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, started: float
    ) -> int:
        """Have the request answered, and return the status."""
        structlog.contextvars.bind_contextvars(request_id=scope["state"]["request_id"])
        status = 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope, message)
            await send(message)

        try:
            await self._app(scope, self._bounded(headers, receive), send_named)
        except Exception as error:
            log.exception("request_failed", error_type=type(error).__name__)
            if status == 500:
                await _send_server_error(send_named)
        finally:
            self._log(scope, status, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("request_id")
        return status

    def _name(self, scope: Scope, headers: Headers) -> None:
        """Set the request's id and its caller's address."""
        peer = (scope.get("client") or ("unknown", 0))[0]
        trusted = self._settings.trusted_proxies
        given = headers.get("x-request-id", "")
        known = _REQUEST_ID.fullmatch(given) and is_trusted_peer(peer, trusted)
        state = scope.setdefault("state", {})
        state["request_id"] = given if known else new_id(datetime.now(UTC))
        forwarded = headers.getlist("forwarded")
        x_forwarded_for = headers.getlist("x-forwarded-for")
        if forwarded or x_forwarded_for:
            peer = find_client_address(peer, forwarded, x_forwarded_for, trusted)
        scope["client"] = (peer, 0)

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """Return ``receive`` that raises PayloadTooLarge beyond the largest body."""
        limit = self._settings.max_body_bytes
        declared = headers.get("content-length", "")
        received = limit + 1 if _declares_more_than(limit, declared) else 0

        async def receive_bounded() -> Message:
            nonlocal received
            if received > limit:
                raise PayloadTooLarge("The request body is too large")
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise PayloadTooLarge("The request body is too large")
            return message

        return receive_bounded

    def _add_headers(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = scope["state"]["request_id"]
        headers.setdefault("X-Content-Type-Options", "nosniff")
        if scope["path"].startswith(self._secret_path):
            # Its URLs hold what opens an account, also where the answer is an error.
            headers["Referrer-Policy"] = "no-referrer"
        if self._settings.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        HTTP_SECONDS.labels(route, _method_of(scope), str(status)).observe(seconds)
        error: OAuthError | None = scope["state"].get("error")
        facts: dict[str, Any] = {
            "method": _method_of(scope),
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "address": scope["client"][0],
        }
        if client_id := scope["state"].get("client_id"):
            facts["client_id"] = client_id
        if error is not None:
            facts["error"] = error.error
            facts["description"] = error.description
            if error.detail:
                facts["detail"] = error.detail
        log.info("request", **facts)


def _declares_more_than(limit: int, length: str) -> bool:
    """Tell whether ``length``, a Content-Length, is above ``limit``, however long it is."""
    if not (length.isascii() and length.isdigit()):
        return False
    return len(length) > 18 or int(length) > limit


def _method_of(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


async def _send_server_error(send: Send) -> None:
    body = b'{"error":"server_error","error_description":"Something went wrong here"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
