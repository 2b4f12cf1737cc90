"""Initial access tokens: handed out by an administrator, so that clients may register.

RFC 7591 §3 and §5.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import NotFound
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.initial_access_tokens import (
    create_initial_access_token,
    delete_initial_access_token,
)
from authsvc.tokens.opaque import new_opaque_value


@dataclass(frozen=True, slots=True)
class InitialAccessToken:
    """A new token, in clear this once, for ``uses`` registrations or any number of them."""

    id: str
    token: str
    uses: int | None
    expires_at: datetime


async def issue_initial_access_token(
    server: AuthorizationServer,
    tx: Transaction,
    origin: Origin,
    *,
    uses: int | None,
    ttl: timedelta,
) -> InitialAccessToken:
    """Make a token that lives for ``ttl``."""
    resources = server.resources
    token, now = new_opaque_value(), resources.clock.now()
    token_id = await create_initial_access_token(
        tx,
        resources.opaque_hash("initial access token", token),
        uses=uses,
        now=now,
        expires_at=now + ttl,
    )
    await resources.audit.record(
        tx,
        "initial_access_token.created",
        origin,
        now=now,
        subject=token_id,
        uses=uses,
        ttl_seconds=int(ttl.total_seconds()),
    )
    return InitialAccessToken(token_id, token, uses, now + ttl)


async def revoke_initial_access_token(
    server: AuthorizationServer, tx: Transaction, token_id: str, origin: Origin
) -> None:
    """Make the token useless; raises NotFound."""
    if not await delete_initial_access_token(tx, token_id):
        raise NotFound("There is no such initial access token")
    await server.resources.audit.record(
        tx,
        "initial_access_token.revoked",
        origin,
        now=server.resources.clock.now(),
        subject=token_id,
    )
