"""Metrics for Prometheus. Labels are bounded: never a client, a person or an address.

A gauge says how it is put together when several processes serve: ``livesum`` adds what
each has, ``livemax`` and ``livemin`` take the worst, ``livemostrecent`` is for what all of
them see alike. What a gauge shows is set by ``authsvc.web.gauges``.
"""

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_HASHING: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Requests, and what was answered.
HTTP_SECONDS = Histogram(
    "authsvc_http_request_seconds",
    "Time from the request's first byte to the response's last.",
    ["route", "method", "status"],
    buckets=_FAST,
)
ERRORS = Counter("authsvc_errors", "Errors answered, by their code.", ["route", "error"])
TOKENS_ISSUED = Counter("authsvc_tokens_issued", "Answers of the token endpoint.", ["grant"])
GRANT_FAILURES = Counter(
    "authsvc_grant_failures", "Errors of the token endpoint, by grant.", ["grant", "error"]
)
RATE_LIMIT_REFUSALS = Counter(
    "authsvc_rate_limit_refusals", "Requests refused by a rate limit.", ["limit"]
)
CLIENTS_REGISTERED = Counter(
    "authsvc_clients_registered", "Clients that registered themselves.", ["mode"]
)

# People.
LOGINS = Counter("authsvc_logins", "Sign-ins by outcome.", ["outcome"])
HASHES_WAITING = Gauge(
    "authsvc_password_hashes_waiting",
    "Password hashes waiting for a worker.",
    multiprocess_mode="livesum",
)
HASHES_RUNNING = Gauge(
    "authsvc_password_hashes_running",
    "Password hashes being computed.",
    multiprocess_mode="livesum",
)
HASHES_REFUSED = Counter(
    "authsvc_password_hashes_refused", "Password hashes refused because the queue was full."
)
HASH_WAIT_SECONDS = Histogram(
    "authsvc_password_hash_wait_seconds", "Time a hash waited for a worker.", buckets=_HASHING
)
HASH_SECONDS = Histogram(
    "authsvc_password_hash_seconds", "Time a hash took to compute.", buckets=_HASHING
)

# Theft, or a broken client.
REFRESH_WINDOW_USES = Counter(
    "authsvc_refresh_window_uses", "Repeated refreshes that got the same successor."
)
REFRESH_REUSES = Counter(
    "authsvc_refresh_reuses", "Refresh tokens used again, so that their family was revoked."
)
CODE_REPLAYS = Counter(
    "authsvc_code_replays", "Authorization codes used again, so that their tokens were revoked."
)

# Keys.
SIGNING_KEYS = Gauge(
    "authsvc_signing_keys",
    "Signing keys that were not revoked.",
    ["alg", "state"],
    multiprocess_mode="livemostrecent",
)
SIGNING_KEY_AGE_SECONDS = Gauge(
    "authsvc_signing_key_age_seconds",
    "Time since the oldest such key came into its state; 0 where there is none.",
    ["alg", "state"],
    multiprocess_mode="livemostrecent",
)
KEY_ROTATION_SECONDS = Gauge(
    "authsvc_signing_key_rotation_interval_seconds",
    "Age at which an active key is replaced; 0: by hand.",
    multiprocess_mode="livemostrecent",
)
MASTER_KEY_SEALED = Gauge(
    "authsvc_master_key_signing_keys",
    "Signing keys by the master key that seals them: the newest, or an older one.",
    ["position"],
    multiprocess_mode="livemostrecent",
)

# The database and Redis.
DATABASE_SECONDS = Histogram(
    "authsvc_database_statement_seconds", "Time of a statement.", ["operation"], buckets=_FAST
)
DATABASE_UNAVAILABLE = Counter(
    "authsvc_database_unavailable",
    "Statements that failed because the database was away, or no connection was free.",
    ["reason"],
)
DATABASE_CONNECTIONS = Gauge(
    "authsvc_database_connections",
    "Database connections in use.",
    ["pool"],
    multiprocess_mode="livesum",
)
DATABASE_CONNECTIONS_MAX = Gauge(
    "authsvc_database_connections_max",
    "Database connections there may be.",
    ["pool"],
    multiprocess_mode="livesum",
)
REDIS_CONFIGURED = Gauge(
    "authsvc_redis_configured", "1 where a Redis is set, else 0.", multiprocess_mode="livemax"
)
REDIS_LIVE = Gauge(
    "authsvc_redis_live",
    "1 while announcements over Redis arrive, else 0.",
    multiprocess_mode="livemin",
)
BREAKER_OPEN = Gauge(
    "authsvc_breaker_open",
    "1 while the dependency is left alone because it failed, else 0.",
    ["dependency"],
    multiprocess_mode="livemax",
)
ANNOUNCEMENT_SECONDS = Histogram(
    "authsvc_announcement_seconds",
    "Time until a process hears its own announcement over Redis.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ANNOUNCEMENTS_FAILED = Counter(
    "authsvc_announcements_failed", "Changes and revocations that could not be announced."
)
REVOCATIONS_LISTED = Gauge(
    "authsvc_revocations_listed",
    "Entries of the revocation list in memory.",
    multiprocess_mode="livemax",
)
REVOCATIONS_UNSHARED = Gauge(
    "authsvc_revocations_unshared",
    "Entries of the revocation list that Redis has not taken yet.",
    multiprocess_mode="livemax",
)
REGISTRY_RELOADS = Counter(
    "authsvc_registry_reloads", "Look-ups that memory could not answer.", ["registry"]
)
CLOCK_DIFFERENCE_SECONDS = Gauge(
    "authsvc_clock_difference_seconds",
    "How far the clock of the database is from ours, either way.",
    multiprocess_mode="livemax",
)

# The audit log.
AUDIT_POSITION = Gauge(
    "authsvc_audit_chain_position",
    "Position of the last event that is chained.",
    multiprocess_mode="livemax",
)
AUDIT_UNCHAINED_SECONDS = Gauge(
    "authsvc_audit_unchained_seconds",
    "Age of the oldest event that is not chained; 0 where all are.",
    multiprocess_mode="livemax",
)

# What goes out.
OUTBOX_ENTRIES = Counter(
    "authsvc_outbox_entries",
    "Attempts to deliver an outbox entry; a dead one is not tried again by itself.",
    ["kind", "outcome"],
)
OUTBOX_WAITING = Gauge(
    "authsvc_outbox_waiting",
    "Outbox entries not delivered yet; 10000 means that many or more.",
    multiprocess_mode="livemostrecent",
)
OUTBOX_OLDEST = Gauge(
    "authsvc_outbox_oldest_seconds",
    "Age of the oldest outbox entry that is not delivered yet.",
    multiprocess_mode="livemostrecent",
)
OUTBOX_DEAD = Gauge(
    "authsvc_outbox_dead",
    "Outbox entries given up; 10000 means that many or more.",
    multiprocess_mode="livemostrecent",
)
# Not ``job``, which is Prometheus's own label for what it scrapes.
JOB_LAG = Gauge(
    "authsvc_job_lag_seconds",
    "Time that a job is overdue, in the whole installation.",
    ["name"],
    multiprocess_mode="livemostrecent",
)
JOB_RUNS = Counter("authsvc_job_runs", "Runs of jobs by this process.", ["name", "outcome"])
PURGED_ROWS = Counter("authsvc_purged_rows", "Rows deleted because they were over.", ["table"])
OUTBOUND_REQUESTS = Counter(
    "authsvc_outbound_requests",
    "Requests that the service sent to URLs of clients, or would not send.",
    ["method", "outcome"],
)
OUTBOUND_BREAKERS_OPEN = Gauge(
    "authsvc_outbound_breakers_open",
    "Hosts and URLs of clients that are left alone because they failed.",
    ["level"],
    multiprocess_mode="livesum",
)

# The processes.
WORKERS = Gauge(
    "authsvc_workers",
    "Processes that serve; a worker of jobs counts 0.",
    multiprocess_mode="livesum",
)
LOOP_LAG_SECONDS = Histogram(
    "authsvc_event_loop_lag_seconds",
    "How much later than asked for the event loop came back, twice a second.",
    buckets=_FAST,
)
SAMPLES_FAILED = Counter("authsvc_gauge_samples_failed", "Samples of gauges that failed.")

# What has not happened yet is 0, not absent: a first time shows as an increase.
for _outcome in ("succeeded", "failed", "delayed", "unavailable"):
    LOGINS.labels(_outcome)
for _reason in ("away", "pool_exhausted"):
    DATABASE_UNAVAILABLE.labels(_reason)
for _dependency in ("database", "commits", "redis", "mail"):
    BREAKER_OPEN.labels(_dependency)


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the pattern of the route that an ASGI scope took: never a path, which is free."""
    route = scope.get("route")
    if route is None:
        return "unmatched"
    path = route.path if hasattr(route, "methods") else ""  # a mount is in the root path
    return f"{scope.get('root_path', '')}{path}"
