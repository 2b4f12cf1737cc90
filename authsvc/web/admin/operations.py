"""What an operation of the admin API is: declared once, routed and documented from it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from authsvc.bearer import Principal
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import NotFound
from authsvc.storage.audit import Origin
from authsvc.storage.identifiers import is_id
from authsvc.web.admin.bodies import Body

PREFIX = "/admin/v1"

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class View(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to be: JSON or nothing, and where what was created lies."""

    status: int
    content: bytes = b""
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request for an operation, read and authorized."""

    server: AuthorizationServer
    principal: Principal
    origin: Origin
    target: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    raw_body: bytes = b""
    idempotency_key: str | None = None

    def id(self, name: str) -> str:
        """Return the identifier in the path; raises NotFound when it can not be one."""
        if not is_id(self.path[name]):
            raise NotFound("There is nothing here")
        return self.path[name]

    def location(self, *segments: str) -> str:
        """Return the path reference of a resource of this API."""
        base = self.server.resources.settings.base_path
        return f"{base}{PREFIX}/{'/'.join(quote(segment, safe='') for segment in segments)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method on a path. ``run`` takes the call, and the body where ``body`` is set.

    ``answer`` is None where there is no content. With ``creates`` an ``Idempotency-Key``
    is honoured: ``run`` goes through ``create_once``. ``query`` explains its parameters.
    """

    method: Method
    path: str
    summary: str
    run: Callable[..., Awaitable[Answer]]
    body: type[Body] | None = None
    answer: type[View] | None = None
    status: int = 200
    creates: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()


NO_CONTENT = Answer(204)


def ok(view: View, *, status: int = 200, location: str | None = None) -> Answer:
    """Return the answer that holds ``view``; members that were never set are left out."""
    return Answer(status, view.model_dump_json(exclude_unset=True).encode(), location)
