"""Dynamic client registration: a client registers itself.

RFC 7591 §3, OpenID Connect Registration §3. How it looks after what it registered is in
``registration_management``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.metrics import CLIENTS_REGISTERED
from authsvc.oauth.bearer import check_access_token
from authsvc.oauth.registration_rules import check_self_registered, limits_of_new_client
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import (
    InsufficientScope,
    InvalidToken,
    MissingToken,
    OAuthError,
    TemporarilyUnavailable,
)
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.initial_access_tokens import (
    consume_initial_access_token,
    find_initial_access_token,
)
from authsvc.storage.registered_clients import count_unused_clients
from authsvc.tokens.opaque import new_opaque_value

PATH: Final = "/register"
_RETRY_AFTER: Final = 3_600


@dataclass(frozen=True, slots=True)
class _Registrant:
    """Who registers a client: the holder of a token, or a stranger without an ``actor``."""

    actor: str | None = None
    token_hash: bytes | None = None
    """Of the initial access token that is used up by this."""


async def register_client(
    server: AuthorizationServer, raw: Mapping[str, Any], token: str | None, origin: Origin
) -> dict[str, Any]:
    """Register the client of the metadata ``raw``; return its client information response.

    ``token`` is an initial access token, or an access token of an administrator; a stranger
    has None. A registration that is refused uses no initial access token up. Raises
    MissingToken, InvalidToken, InsufficientScope, InvalidRedirectUri, InvalidClientMetadata,
    InvalidSoftwareStatement, UnapprovedSoftwareStatement or TemporarilyUnavailable.
    """
    resources = server.resources
    registrant = await _find_registrant(server, token)
    trusted = registrant.actor is not None
    limits = limits_of_new_client(resources.settings, trusted=trusted)
    metadata = await check_self_registered(server, raw, limits)
    registration_token = new_opaque_value()
    async with resources.database.transaction() as tx:
        now = resources.clock.now()
        if registrant.token_hash is not None and not await consume_initial_access_token(
            tx, registrant.token_hash, now=now
        ):
            raise _refused("initial access token was used up meanwhile")
        if not trusted:
            await _check_room(server, tx)
        registered = await server.client_administration.create(
            tx,
            metadata,
            replace(origin, actor=registrant.actor or origin.actor),
            registration_token_hash=resources.opaque_hash(
                "registration access token", registration_token
            ),
        )
    CLIENTS_REGISTERED.labels("token" if trusted else "open").inc()
    return with_management(server, registered, registration_token)


def with_management(
    server: AuthorizationServer, response: Mapping[str, Any], token: str
) -> dict[str, Any]:
    """Return the registration response with how the client is managed (RFC 7592 §3)."""
    return {
        **response,
        "registration_access_token": token,
        "registration_client_uri": f"{server.issuer}{PATH}/{response['client_id']}",
    }


async def _find_registrant(server: AuthorizationServer, token: str | None) -> _Registrant:
    """Return who registers; a token that is sent must be good, whatever the mode is."""
    resources = server.resources
    if token is None:
        if resources.settings.registration != "open":
            raise MissingToken("An initial access token is needed")
        return _Registrant()
    token_hash = resources.opaque_hash("initial access token", token)
    async with resources.database.reading() as tx:
        token_id = await find_initial_access_token(tx, token_hash, now=resources.clock.now())
    if token_id is not None:
        return _Registrant(f"initial_access_token:{token_id}", token_hash)
    if token.count(".") != 2:
        raise _refused("no initial access token")
    return _Registrant(await _find_administrator(server, token))


async def _find_administrator(server: AuthorizationServer, token: str) -> str:
    """Return whom the access token stands for; raises InvalidToken or InsufficientScope."""
    living = await check_access_token(server, token)
    if server.issuer not in living.token.audience:
        raise InvalidToken("The access token is for another audience")
    if ADMIN_PERMISSION not in living.permissions:
        raise InsufficientScope("The access token lacks the permission that is needed")
    if living.user is None:
        return f"client:{living.token.client_id}"
    return f"user:{living.user.id}"


async def _check_room(server: AuthorizationServer, tx: Transaction) -> None:
    """Raise TemporarilyUnavailable while too many clients wait for their first use.

    It holds strangers alone: they must not shut out who has a token.

    Registrations at the same instant do not see each other: so many may be beyond.
    """
    limit = server.resources.settings.registration_max_unused
    if await count_unused_clients(tx, limit=limit) >= limit:
        raise TemporarilyUnavailable(
            "Too many clients registered themselves and were not used yet",
            detail="registration_max_unused",
            retry_after=_RETRY_AFTER,
        )


def _refused(detail: str) -> OAuthError:
    return InvalidToken("The initial access token is not valid", detail=detail)
