"""The routes of the admin API, made from the table of its operations."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.guard import Guard, Principal
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import InvalidRequest, NotFound
from authsvc.protocol.text import is_storable
from authsvc.web.admin import audit, clients, keys, roles, sessions, users
from authsvc.web.admin.bodies import NoMembers, read_body
from authsvc.web.admin.idempotency import read_idempotency_key
from authsvc.web.admin.operations import PREFIX, Call, Operation
from authsvc.web.admin.segments import SegmentRoute
from authsvc.web.admin.verifier import LocalVerifier
from authsvc.web.errors import NO_STORE
from authsvc.web.requests import origin_of, query_parameters

Endpoint = Callable[[Request], Awaitable[Response]]

OPERATIONS: Final[tuple[Operation, ...]] = (
    *users.OPERATIONS,
    *roles.OPERATIONS,
    *clients.OPERATIONS,
    *keys.OPERATIONS,
    *sessions.OPERATIONS,
    *audit.OPERATIONS,
)


def admin_routes(
    server: AuthorizationServer, *, wrap: Callable[[Endpoint], Endpoint] = lambda e: e
) -> list[Route]:
    """Return the routes to be mounted at ``PREFIX``.

    ``wrap`` goes around each endpoint, outside of the guard: that is the place of a rate
    limit.
    """
    guard = Guard(LocalVerifier(server), audience=server.issuer)
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    return [
        SegmentRoute(
            path,
            wrap(guard.require(ADMIN_PERMISSION)(_endpoint(server, operations))),
            methods=[operation.method for operation in operations],
            name=f"admin:{path}",
        )
        for path, operations in by_path.items()
    ]


def _endpoint(server: AuthorizationServer, operations: Sequence[Operation]) -> Endpoint:
    by_method = {operation.method: operation for operation in operations}

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = by_method[method]  # type: ignore[index]  # the route let no other through
        answer = await _run(server, operation, request)
        headers = dict(NO_STORE)
        if answer.location is not None:
            headers["Location"] = answer.location
        if answer.status == 204:
            return Response(status_code=204, headers=headers)
        return Response(
            answer.content, answer.status, headers=headers, media_type="application/json"
        )

    return endpoint


async def _run(server: AuthorizationServer, operation: Operation, request: Request):  # type: ignore[no-untyped-def]
    ...
