"""What the public may reach: every path of the app but these."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount, Route

PRIVATE: Final = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/admin/v1"}
"""Health and metrics are the operators'; the admin API is theirs to show."""

EVERY_PATH: Final[dict[str, Any]] = {
    "registration": "open",
    "smtp_url": SecretStr("smtp://mail.example"),
    "mail_from": "login@example.com",
}
"""Settings under which there is no path that is not there."""


def paths_of(routes: Iterable[BaseRoute]) -> set[str]:
    """Return the paths that the app answers, with an example for each that has a parameter."""
    return set(_examples(routes))


def _examples(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            is_static = route.path.endswith("/static")
            yield f"{route.path}/authsvc.css" if is_static else route.path
        elif isinstance(route, Route):
            yield route.path.replace("{client_id:path}", "some").replace("{client_id}", "some")
