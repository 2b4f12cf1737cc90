"""Metrics for Prometheus. Labels are bounded: never a client, a person or an address."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

HTTP_SECONDS = Histogram(
    "authsvc_http_request_seconds",
    "Time from the request's first byte to the response's last.",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
TOKENS_ISSUED = Counter("authsvc_tokens_issued", "Answers of the token endpoint.", ["grant"])
ERRORS = Counter("authsvc_errors", "Errors answered, by their code.", ["route", "error"])
LOGINS = Counter("authsvc_logins", "Sign-ins by outcome.", ["outcome"])
REFRESH_WINDOW_USES = Counter(
    "authsvc_refresh_window_uses", "Repeated refreshes that got the same successor."
)
REFRESH_REUSES = Counter(
    "authsvc_refresh_reuses", "Refresh tokens used again, so that their family was revoked."
)
CODE_REPLAYS = Counter(
    "authsvc_code_replays", "Authorization codes used again, so that their tokens were revoked."
)
CLIENTS_REGISTERED = Counter(
    "authsvc_clients_registered", "Clients that registered themselves.", ["mode"]
)
OUTBOX_ENTRIES = Counter(
    "authsvc_outbox_entries",
    "Attempts to deliver an outbox entry; a dead one is not tried again by itself.",
    ["kind", "outcome"],
)
REDIS_LIVE = Gauge("authsvc_redis_live", "1 while announcements over Redis arrive, else 0.")
BREAKER_OPEN = Gauge(
    "authsvc_breaker_open",
    "1 while the dependency is left alone because it failed, else 0.",
    ["dependency"],
)
HASHES_WAITING = Gauge("authsvc_password_hashes_waiting", "Password hashes waiting for a worker.")

OUTBOUND_REQUESTS = Counter(
    "authsvc_outbound_requests",
    "Requests that the service sent to URLs of clients, or would not send.",
    ["method", "outcome"],
)


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the pattern of the route that an ASGI scope took: never a path, which is free."""
    route = scope.get("route")
    if route is None:
        return "unmatched"
    path = route.path if hasattr(route, "methods") else ""  # a mount is in the root path
    return f"{scope.get('root_path', '')}{path}"
