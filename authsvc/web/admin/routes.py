"""The routes of the admin API, made from the table of its operations."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.bearer import Guard, Principal
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import InvalidRequest, NotFound
from authsvc.protocol.text import is_storable
from authsvc.web.admin import (
    audit,
    clients,
    initial_access_tokens,
    keys,
    roles,
    sessions,
    users,
)
from authsvc.web.admin.bodies import NoMembers, read_body
from authsvc.web.admin.idempotency import read_idempotency_key
from authsvc.web.admin.operations import Answer, Call, Operation
from authsvc.web.admin.segments import SegmentRoute
from authsvc.web.admin.verifier import LocalVerifier
from authsvc.web.errors import NO_STORE
from authsvc.web.requests import origin_of, query_parameters

Endpoint = Callable[[Request], Awaitable[Response]]

OPERATIONS: Final[tuple[Operation, ...]] = (
    *users.OPERATIONS,
    *roles.OPERATIONS,
    *clients.OPERATIONS,
    *initial_access_tokens.OPERATIONS,
    *keys.OPERATIONS,
    *sessions.OPERATIONS,
    *audit.OPERATIONS,
)


def admin_routes(
    server: AuthorizationServer, *, wrap: Callable[[Endpoint], Endpoint] = lambda e: e
) -> list[Route]:
    """Return the routes to be mounted at ``operations.PREFIX`` below the issuer.

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


async def _run(server: AuthorizationServer, operation: Operation, request: Request) -> Answer:
    principal: Principal = request.state.principal
    request.state.client_id = principal.client_id
    if not all(map(is_storable, request.path_params.values())):
        raise NotFound("There is nothing here")
    body, raw_body = await read_body(request, operation.body or NoMembers)
    call = Call(
        server=server,
        principal=principal,
        origin=origin_of(request, _actor(principal)),
        target=f"{request.method} {request.scope['raw_path'].decode('latin-1')}",
        path=request.path_params,
        query=_read_query(request, operation),
        raw_body=raw_body,
        idempotency_key=read_idempotency_key(request) if operation.creates else None,
    )
    return await (operation.run(call, body) if operation.body else operation.run(call))


def _actor(principal: Principal) -> str:
    if principal.is_client:
        return f"client:{principal.client_id}"
    return f"user:{principal.subject}"


def _read_query(request: Request, operation: Operation) -> dict[str, str]:
    """Return the query; an unknown parameter would be a filter that does not filter."""
    parameters = query_parameters(request)
    parameters.check_no_duplicates()
    query = dict(parameters.pairs())
    if not query.keys() <= operation.query.keys():
        raise InvalidRequest("The query holds a parameter that is not known here")
    if not all(query.values()):
        raise InvalidRequest("The query holds a parameter without a value")
    return query
