"""What still works while a dependency can not be used: the one table of it.

The tests below take their expectations from here, and the table in docs/operations.md is
compared with it.
"""

from typing import Final

WORKS: Final = "yes"
REFUSED: Final = "503"
SLOWER: Final = "slower"
"""Served, once every process must have learnt of it: ``storage.changes.LEARNT``."""
IN_TIME: Final = "yes or 503"
"""Served where the answers come within the request's time, else 503."""
TOLD: Final = "told"
"""The client is told ``temporarily_unavailable`` at its redirect URI (RFC 6749 §4.1.2.1)."""
DEGRADED: Final = "degraded"
"""200, and the dependency is named as degraded."""

MODES: Final = (
    "PostgreSQL away",
    "PostgreSQL read-only",
    "a table locked",
    "PostgreSQL slow",
    "Redis away",
    "Redis emptied or replaced",
    "both away",
)

_MEMORY = (WORKS, WORKS, WORKS, WORKS, WORKS, WORKS, REFUSED)
_READS = (REFUSED, WORKS, WORKS, IN_TIME, WORKS, WORKS, REFUSED)
_WRITES = (REFUSED, REFUSED, WORKS, IN_TIME, WORKS, WORKS, REFUSED)
_ANNOUNCES = (REFUSED, REFUSED, WORKS, IN_TIME, SLOWER, WORKS, REFUSED)
_LOCKED_READS = (REFUSED, WORKS, REFUSED, IN_TIME, WORKS, WORKS, REFUSED)
_LOCKED_SLOWER = (REFUSED, REFUSED, REFUSED, IN_TIME, SLOWER, WORKS, REFUSED)
_TELLS = (TOLD, TOLD, WORKS, IN_TIME, WORKS, WORKS, REFUSED)
_LOCKED = (REFUSED, REFUSED, REFUSED, IN_TIME, WORKS, WORKS, REFUSED)

EXPECTED: Final[dict[str, tuple[str, ...]]] = {
    "discovery": _MEMORY,
    "JWKS": _MEMORY,
    "token: client credentials": _MEMORY,
    "introspection: a client's token": _MEMORY,
    "introspection: a person's token": _READS,
    "userinfo": _READS,
    "introspection: a refresh token": _LOCKED_READS,
    "admin API: reading": _READS,
    "admin API: changing": _ANNOUNCES,
    "start page: signed in": _READS,
    "start page: nobody": _MEMORY,
    "authorize: signed in": _TELLS,
    "authorize: nobody": _MEMORY,
    "authorize: going on": (TOLD, WORKS, WORKS, IN_TIME, WORKS, WORKS, REFUSED),
    "consent": _TELLS,
    "login: page": _MEMORY,
    "login": _WRITES,
    "session check": _MEMORY,
    "client's logo": _MEMORY,
    "token: code": _LOCKED,
    "token: refresh": _LOCKED,
    "token: device code": _LOCKED,
    "revocation: an access token": _ANNOUNCES,
    "revocation: a refresh token": _LOCKED_SLOWER,
    "device: start": _WRITES,
    "device: page": _MEMORY,
    "device: code": _WRITES,
    "device: going on": _WRITES,
    "device: answer": _WRITES,
    "registration": _WRITES,
    "registration: reading": _READS,
    "registration: changing": _ANNOUNCES,
    "registration: deleting": _ANNOUNCES,
    "forgotten password: page": _MEMORY,
    "forgotten password": _WRITES,
    "new password: page": _READS,
    "new password": _ANNOUNCES,
    "logout": _READS,
    "logout: nobody": _MEMORY,
    "logout: answer": _ANNOUNCES,
    "/readyz": (REFUSED, DEGRADED, WORKS, IN_TIME, DEGRADED, WORKS, REFUSED),
    "/healthz": (WORKS,) * 7,
    "/metrics": (WORKS,) * 7,
    "/openapi.json": (WORKS,) * 7,
    "/static": (WORKS,) * 7,
}
"""What each endpoint does, by mode. The locked table is that of refresh tokens."""


def expected(endpoint: str, mode: str) -> str:
    """Return what is expected of the endpoint in the mode."""
    return EXPECTED[endpoint][MODES.index(mode)]
