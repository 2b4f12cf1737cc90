"""``/initial-access-tokens``: with one of them a client may register itself (RFC 7591 §3)."""

from datetime import datetime, timedelta

from pydantic import Field

from authsvc.oauth.initial_access_tokens import (
    issue_initial_access_token,
    revoke_initial_access_token,
)
from authsvc.storage.database import Transaction
from authsvc.web.admin.bodies import Body
from authsvc.web.admin.idempotency import create_once
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, View, ok


class NewInitialAccessToken(Body):
    """For how long, and for how many registrations; ``uses`` null is for any number."""

    ttl_seconds: int = Field(default=86_400, ge=1, le=31_536_000)
    uses: int | None = Field(default=1, ge=1, le=1_000_000)


class InitialAccessTokenView(View):
    """An initial access token; ``token`` is shown this once."""

    id: str
    token: str
    uses: int | None
    expires_at: datetime


async def _create(call: Call, body: NewInitialAccessToken) -> Answer:
    async def create(tx: Transaction) -> Answer:
        issued = await issue_initial_access_token(
            call.server,
            tx,
            call.origin,
            uses=body.uses,
            ttl=timedelta(seconds=body.ttl_seconds),
        )
        view = InitialAccessTokenView(
            id=issued.id, token=issued.token, uses=issued.uses, expires_at=issued.expires_at
        )
        location = call.location("initial-access-tokens", issued.id)
        return ok(view, status=201, location=location)

    return await create_once(call, create)


async def _revoke(call: Call) -> Answer:
    async with call.server.resources.database.transaction() as tx:
        await revoke_initial_access_token(call.server, tx, call.id("token_id"), call.origin)
    return NO_CONTENT


_COLLECTION = "/initial-access-tokens"

OPERATIONS = (
    Operation(
        method="POST",
        path=_COLLECTION,
        summary="Make an initial access token",
        run=_create,
        body=NewInitialAccessToken,
        answer=InitialAccessTokenView,
        status=201,
        creates=True,
        errors=(400, 409, 415),
    ),
    Operation(
        method="DELETE",
        path=f"{_COLLECTION}/{{token_id}}",
        summary="Make an initial access token useless",
        run=_revoke,
        status=204,
        errors=(404,),
    ),
)
