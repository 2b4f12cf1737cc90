"""What a token says, whether it is good, and if not, why."""

from datetime import UTC, datetime
from typing import Any

from authsvc.cli.operation import Operation
from authsvc.oauth.bearer import check_access_token
from authsvc.protocol.errors import InvalidToken
from authsvc.signing.jwt import (
    InvalidJwt,
    parse_unverified_claims,
    parse_unverified_header,
    verify,
)
from authsvc.storage.refresh_tokens import RefreshToken, find_refresh_token
from authsvc.storage.signing_keys import load_signing_keys
from authsvc.tokens import access_token, id_token
from authsvc.tokens.opaque import MAX_LENGTH

_KINDS = {access_token.TYPE.lower(): "access_token", id_token.TYPE.lower(): "id_token"}


async def inspect_token(operation: Operation, text: str) -> dict[str, Any]:
    """Return what is known of the token ``text``: always ``active``, ``kind``, ``reason``.

    ``claims`` are verified, ``unverified_claims`` are what anybody may have written.
    """
    if "." not in text:
        return await _inspect_refresh_token(operation, text)
    try:
        header = parse_unverified_header(text)
        unverified_claims = parse_unverified_claims(text)
    except InvalidJwt as error:
        return _answer("unknown", f"it is no token of ours: {error}")
    typ = str(header.get("typ", ""))
    kind = _KINDS.get(typ.lower().removeprefix("application/"), "unknown")
    try:
        claims, _ = verify(text, await operation.resources.keyring.get(), typ=typ)
    except InvalidJwt as error:
        why = await _explain(operation, header, str(error))
        return _answer(kind, why, header=header, unverified_claims=unverified_claims)
    if kind == "access_token":
        return await _inspect_access_token(operation, text, header, claims)
    if kind == "id_token":
        reason = _find_fault(operation, claims)
    else:
        reason = "it is neither an access token nor an ID token"
    return _answer(kind, reason, header=header, claims=claims)


async def _inspect_access_token(
    operation: Operation, text: str, header: dict[str, Any], claims: dict[str, Any]
) -> dict[str, Any]:
    kind = "access_token"
    try:
        living = await check_access_token(operation.server, text)
    except InvalidToken as error:
        why = error.description + (f": {error.detail}" if error.detail else "")
        return _answer(kind, why, header=header, claims=claims)
    return _answer(
        kind,
        None,
        header=header,
        claims=claims,
        username=living.user.username if living.user else None,
        roles=list(living.roles),
        permissions=list(living.permissions),
    )


def _find_fault(operation: Operation, claims: dict[str, Any]) -> str | None:
    if claims.get("iss") != operation.server.issuer:
        return "another issuer made it"
    expires_at = claims.get("exp")
    now = operation.resources.clock.now()
    if not isinstance(expires_at, int) or datetime.fromtimestamp(expires_at, UTC) <= now:
        return "it has expired"
    return None


async def _explain(operation: Operation, header: dict[str, Any], error: str) -> str:
    if error != "unknown kid":
        return f"its signature is not valid: {error}"
    async with operation.database.reading() as tx:
        for key in await load_signing_keys(tx):
            if key.kid == header.get("kid"):
                return f"its signing key is {key.state}"
    return "its signing key is not ours, or was removed"


async def _inspect_refresh_token(operation: Operation, text: str) -> dict[str, Any]:
    resources = operation.resources
    found = None
    if len(text) <= MAX_LENGTH:
        async with operation.database.reading() as tx:
            found = await find_refresh_token(tx, resources.opaque_hash("refresh token", text))
    if found is None:
        return _answer("unknown", "it is no token of ours")
    family = found.family
    return _answer(
        "refresh_token",
        _find_end(found, resources.clock.now()),
        client_id=family.client_id,
        sub=family.user_id,
        scope=family.scope,
        auth_time=family.auth_time,
        session_id=family.session_id,
        family_id=family.id,
        issued_at=found.created_at,
        expires_at=min(found.expires_at, family.expires_at),
    )


def _find_end(token: RefreshToken, now: datetime) -> str | None:
    if token.family.revoked_at is not None:
        return "its family was revoked"
    if token.consumed_at is not None:
        return "it was exchanged for its successor"
    if min(token.expires_at, token.family.expires_at) <= now:
        return "it has expired"
    return None


def _answer(kind: str, reason: str | None, **more: Any) -> dict[str, Any]:
    return {"active": reason is None, "kind": kind, "reason": reason, **more}
