"""``/keys``: the signing keys and their stages. Private keys never leave the service."""

from datetime import datetime
from typing import Any

from authsvc.protocol.errors import NotFound
from authsvc.storage.database import Transaction
from authsvc.storage.signing_keys import KeyState, SigningKeyRow, load_signing_keys
from authsvc.web.admin.bodies import Body, Line
from authsvc.web.admin.idempotency import create_once
from authsvc.web.admin.operations import Answer, Call, Operation, View, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit


class KeyView(View):
    """A signing key. ``usable_at`` is when it may begin to sign."""

    kid: str
    alg: str
    state: KeyState
    created_at: datetime
    usable_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    revoked_at: datetime | None


class NewKey(Body):
    """The algorithm that a new key is for."""

    alg: Line


class RotationView(View):
    """What a rotation did for an algorithm; without ``active`` it was too early."""

    alg: str
    retired: str | None
    active: str | None
    next_usable_at: datetime


class Rotations(View):
    """What a rotation did, by algorithm."""

    items: tuple[RotationView, ...]
    next_cursor: None


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    after = read_cursor(call, "keys")
    async with call.server.resources.database.reading() as tx:
        keys = await load_signing_keys(tx)
    following = [key for key in keys if after is None or _place(key) > after]
    return page_of(
        following, limit=limit, collection="keys", place=_place, view=_view, page=Page[KeyView]
    )


async def _show(call: Call) -> Answer:
    async with call.server.resources.database.reading() as tx:
        return ok(await _read(tx, call.path["kid"]))


async def _generate(call: Call, body: NewKey) -> Answer:
    async def generate(tx: Transaction) -> Answer:
        kid = await call.server.resources.key_rotation.generate(tx, body.alg, call.origin)
        return ok(await _read(tx, kid), status=201, location=call.location("keys", kid))

    return await create_once(call, generate)


async def _rotate(call: Call) -> Answer:
    async def rotate(tx: Transaction) -> Answer:
        outcomes = await call.server.resources.key_rotation.rotate(tx, call.origin)
        items = tuple(
            RotationView(
                alg=outcome.alg,
                retired=outcome.retired,
                active=outcome.active,
                next_usable_at=outcome.next_usable_at,
            )
            for outcome in outcomes
        )
        return ok(Rotations(items=items, next_cursor=None))

    return await create_once(call, rotate)


async def _retire(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        return ok(_view(await resources.key_rotation.retire(tx, call.path["kid"], call.origin)))


async def _revoke(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        await resources.key_rotation.revoke(tx, call.path["kid"], call.origin)
        return ok(await _read(tx, call.path["kid"]))


async def _read(tx: Transaction, kid: str) -> KeyView:
    for key in await load_signing_keys(tx):
        if key.kid == kid:
            return _view(key)
    raise NotFound("There is no such key")


def _place(key: SigningKeyRow) -> str:
    return f"{key.created_at.timestamp():020.6f} {key.kid}"


def _view(key: SigningKeyRow) -> KeyView:
    members: dict[str, Any] = {name: getattr(key, name) for name in KeyView.model_fields}
    return KeyView(**members)


_KEY = "/keys/{kid}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/keys",
        summary="List signing keys, oldest first",
        run=_list,
        answer=Page[KeyView],
        query=PAGING,
        errors=(400,),
    ),
    Operation(
        method="GET",
        path=_KEY,
        summary="Show a signing key",
        run=_show,
        answer=KeyView,
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/keys/generate",
        summary="Publish one more key, to sign next",
        run=_generate,
        body=NewKey,
        answer=KeyView,
        status=201,
        creates=True,
        errors=(400, 409, 415),
    ),
    Operation(
        method="POST",
        path="/keys/rotate",
        summary="Let the next keys sign",
        run=_rotate,
        answer=Rotations,
        creates=True,
        errors=(400, 409, 415),
    ),
    Operation(
        method="POST",
        path=f"{_KEY}/retire",
        summary="Let a key sign no more; what it signed stays valid",
        run=_retire,
        answer=KeyView,
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path=f"{_KEY}/revoke",
        summary="Make invalid at once what a compromised key has signed",
        run=_revoke,
        answer=KeyView,
        errors=(404,),
    ),
)
