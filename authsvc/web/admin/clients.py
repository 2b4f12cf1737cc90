"""``/clients``: registration by RFC 7591, management after RFC 7592, and secrets."""

from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

from pydantic import ConfigDict, Field

from authsvc.oauth.clients import Client, registration_response
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.unsupported_metadata import UNSUPPORTED_MEMBERS
from authsvc.storage.database import Transaction
from authsvc.web.admin.bodies import Body, Line
from authsvc.web.admin.holders import HeldRoles, held_roles, holder_operations
from authsvc.web.admin.idempotency import create_once
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, View, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit

_MEMBERS: Final = {field.name for field in fields(ClientMetadata)} | UNSUPPORTED_MEMBERS.keys()
_FIXED: Final = (
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
)


class ClientView(View):
    """A client's registration response (RFC 7591 §3.2.1); its metadata are more members.

    ``client_secret`` is there once: when the secret is new.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    client_id: str
    client_id_issued_at: int
    client_secret: str | None = None
    client_secret_expires_at: int | None = None


class NewClient(Body):
    """Client metadata (RFC 7591 §2); identifier and secret are made when absent."""

    model_config = ConfigDict(extra="allow")

    client_id: Line | None = None
    client_secret: Line | None = None


class ClientChange(Body):
    """Members of the client metadata to be set; null takes one away."""

    model_config = ConfigDict(extra="allow")


class SecretRotation(Body):
    """For how many seconds the secrets before stay valid."""

    overlap_seconds: int = Field(default=0, ge=0, le=31_536_000)


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    after = read_cursor(call, "clients")
    async with call.server.resources.database.reading() as tx:
        clients = await call.server.client_administration.list(tx, after=after, limit=limit + 1)
    return page_of(
        clients,
        limit=limit,
        collection="clients",
        place=lambda client: client.client_id,
        view=_view,
        page=Page[ClientView],
    )


async def _create(call: Call, body: NewClient) -> Answer:
    metadata = await call.server.client_administration.check(body.model_extra or {})

    async def create(tx: Transaction) -> Answer:
        registered = await call.server.client_administration.create(
            tx,
            metadata,
            call.origin,
            client_id=body.client_id,
            client_secret=body.client_secret,
        )
        location = call.location("clients", registered["client_id"])
        return ok(ClientView(**registered), status=201, location=location)

    return await create_once(call, create)


async def _show(call: Call) -> Answer:
    async with call.server.resources.database.reading() as tx:
        client = await call.server.client_administration.get(tx, call.path["client_id"])
    return ok(_view(client))


async def _change(call: Call, body: ClientChange) -> Answer:
    given = body.model_extra or {}
    for name in _FIXED:
        if name in given:
            raise InvalidRequest(f"{name} can not be changed")
    administration, client_id = call.server.client_administration, call.path["client_id"]
    change = await administration.check_change(client_id, _known(given))
    async with call.server.resources.database.transaction() as tx:
        changed = await administration.update(tx, client_id, change, call.origin)
    return ok(ClientView(**changed))


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """Return the members that mean something: others are ignored (RFC 7591 §2)."""
    return {name: given[name] for name in given if name.partition("#")[0] in _MEMBERS}


async def _delete(call: Call) -> Answer:
    async with call.server.resources.database.transaction() as tx:
        await call.server.client_administration.delete(tx, call.path["client_id"], call.origin)
    return NO_CONTENT


async def _rotate_secret(call: Call, body: SecretRotation) -> Answer:
    async def rotate(tx: Transaction) -> Answer:
        rotated = await call.server.client_administration.rotate_secret(
            tx,
            call.path["client_id"],
            call.origin,
            overlap=timedelta(seconds=body.overlap_seconds),
        )
        return ok(ClientView(**rotated))

    return await create_once(call, rotate)


async def _roles(call: Call) -> HeldRoles:
    async with call.server.resources.database.reading() as tx:
        client = await call.server.client_administration.get(tx, call.path["client_id"])
        return await held_roles(tx, client.role_ids)


def _view(client: Client) -> ClientView:
    return ClientView(**registration_response(client))


_CLIENT = "/clients/{client_id}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/clients",
        summary="List clients by client_id",
        run=_list,
        answer=Page[ClientView],
        query=PAGING,
        errors=(400,),
    ),
    Operation(
        method="POST",
        path="/clients",
        summary="Register a client",
        run=_create,
        body=NewClient,
        answer=ClientView,
        status=201,
        creates=True,
        errors=(400, 409, 415),
    ),
    Operation(
        method="GET",
        path=_CLIENT,
        summary="Show a client",
        run=_show,
        answer=ClientView,
        errors=(404,),
    ),
    Operation(
        method="PATCH",
        path=_CLIENT,
        summary="Change a client's metadata",
        run=_change,
        body=ClientChange,
        answer=ClientView,
        errors=(400, 404, 409, 415),
    ),
    Operation(
        method="DELETE",
        path=_CLIENT,
        summary="Delete a client and end all it was issued",
        run=_delete,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="POST",
        path=f"{_CLIENT}/rotate-secret",
        summary="Give a client a new secret",
        run=_rotate_secret,
        body=SecretRotation,
        answer=ClientView,
        creates=True,
        errors=(400, 404, 409, 415),
    ),
    *holder_operations("client", _CLIENT, _roles),
)
