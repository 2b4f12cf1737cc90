"""The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5, RFC 9700 §4.5)."""

from typing import Any

from authsvc.metrics import CODE_REPLAYS
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.families import issue_for_code
from authsvc.oauth.resources import narrow_resources
from authsvc.protocol import pkce
from authsvc.protocol.errors import InvalidGrant
from authsvc.storage.authorization_codes import (
    AuthorizationCode,
    consume_authorization_code,
    find_consumed_code,
)
from authsvc.storage.sessions import Session, hold_session_of_code
from authsvc.tokens.opaque import MAX_LENGTH


async def redeem_authorization_code(request: ClientRequest, client: Client) -> dict[str, Any]:
    """Spend the code and return what it stands for.

    The code is spent first: a second attempt, however the first ended, gets nothing, and
    takes back what the first one got. Raises InvalidGrant or InvalidTarget.
    """
    presented = request.parameters.require("code")
    code, session = await _consume(request, client, presented)
    _check_redirect_uri(request, code)
    _check_verifier(request, code)
    resources = narrow_resources(request.parameters, code.resources)
    if session is None:
        raise _invalid("session")
    return await issue_for_code(
        request,
        client,
        code,
        session,
        resources=resources,
        grant="authorization_code",
        claims=code.claims,
        nonce=code.nonce,
    )


async def _consume(
    request: ClientRequest, client: Client, presented: str
) -> tuple[AuthorizationCode, Session | None]:
    """Spend the code; return what it stands for, and its session unless that has ended."""
    if len(presented) > MAX_LENGTH:
        raise _invalid("too long")
    code_hash = request.server.resources.opaque_hash("authorization code", presented)
    session = await hold_session_of_code(request.tx, code_hash)
    code = await consume_authorization_code(
        request.tx, code_hash, client_id=client.client_id, now=request.now
    )
    if code is not None:
        return code, session
    spent = await find_consumed_code(request.tx, code_hash)
    if spent is None or spent[1] != client.client_id:
        raise _invalid("unknown, expired or of another client")
    # RFC 6749 §4.1.2: somebody else holds the code, so all that came of it goes.
    await request.server.resources.revoker.revoke_family(request.tx, spent[0])
    await request.server.resources.audit.record(
        request.tx,
        "code.replayed",
        request.origin_of(client),
        now=request.now,
        subject=spent[0],
        client_id=client.client_id,
    )
    CODE_REPLAYS.inc()
    raise _invalid("used before")


def _check_redirect_uri(request: ClientRequest, code: AuthorizationCode) -> None:
    given = request.parameters.get("redirect_uri")
    if given is None and not code.redirect_uri_sent:
        return
    if given != code.redirect_uri:
        raise InvalidGrant("redirect_uri is not the one of the authorization request")


def _check_verifier(request: ClientRequest, code: AuthorizationCode) -> None:
    verifier = request.parameters.get("code_verifier")
    if code.code_challenge is None:
        # A verifier without a challenge: somebody took the challenge out (RFC 9700 §4.8.2).
        if verifier is not None:
            raise InvalidGrant("The authorization request had no code_challenge")
        return
    if verifier is None or not pkce.verify(verifier, code.code_challenge):
        raise InvalidGrant("code_verifier does not match the code_challenge")


def _invalid(detail: str) -> InvalidGrant:
    return InvalidGrant("The code is invalid, expired or used", detail=detail)
