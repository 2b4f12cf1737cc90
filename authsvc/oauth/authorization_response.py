"""What a successful authorization response carries: a code, an access token, an ID token.

RFC 6749 §4.1.2, OpenID Connect Core §3.2.2.5 and §3.3.2.5.
"""

from dataclasses import dataclass
from datetime import datetime

from authsvc.metrics import TOKENS_ISSUED
from authsvc.oauth.authorization_request import AuthorizationRequest
from authsvc.oauth.families import begin_family
from authsvc.oauth.issuing import (
    PersonGrant,
    get_living_user,
    mint_access_token_for_person,
    mint_id_token_for_person,
    token_response,
)
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.response_types import CODE
from authsvc.protocol.scope import OFFLINE_ACCESS, format_scope
from authsvc.storage.authorization_codes import AuthorizationCode, save_authorization_code
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.sessions import Session
from authsvc.tokens.access_token import Authentication
from authsvc.tokens.opaque import new_opaque_value

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Issuing:
    """Where the authorization endpoint issues something."""

    server: AuthorizationServer
    tx: Transaction
    now: datetime


async def issue_response(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    session: Session,
    now: datetime,
) -> Pairs:
    """Issue what the response type names, on a session that the caller holds.

    All of it has one family: a code used twice takes back the access token that came along.
    """
    family_id = new_id(now)
    parameters: Pairs = []
    code = None
    if CODE in request.response_type:
        code = await _issue_code(server, tx, request, session, family_id, now)
        parameters.append(("code", code))
    if request.response_type != {CODE}:
        issuing = _Issuing(server, tx, now)
        granted = await _grant(issuing, request, session, family_id)
        parameters += await _issue_tokens(issuing, request, granted, code)
    return parameters


async def _issue_tokens(
    issuing: _Issuing, request: AuthorizationRequest, granted: PersonGrant, code: str | None
) -> Pairs:
    client, parameters, access_token = request.target.client, [], None
    if "token" in request.response_type:
        access_token = await mint_access_token_for_person(issuing, client, granted)
        response = token_response(issuing.server, access_token, granted.scope)
        parameters += [(name, str(value)) for name, value in response.items()]
        TOKENS_ISSUED.labels("implicit").inc()
    if "id_token" in request.response_type:
        id_token = await mint_id_token_for_person(
            issuing,
            client,
            granted,
            access_token=access_token,
            code=code,
            state=request.target.state,
            claims_of_scope=request.response_type == {"id_token"},
        )
        if request.encryption is not None:
            id_token = request.encryption.encrypt(id_token, content_type="JWT")
        parameters.append(("id_token", id_token))
    return parameters


async def _grant(
    issuing: _Issuing, request: AuthorizationRequest, session: Session, family_id: str
) -> PersonGrant:
    return PersonGrant(
        user=await get_living_user(issuing, session.user_id),
        family=begin_family(
            family_id,
            request.target.client.client_id,
            session,
            authentication=Authentication(
                auth_time=session.auth_time, acr=session.acr, amr=session.amr
            ),
            scope=format_scope(request.scope),
            resources=request.resources,
            claims=request.claims.as_json(),
            now=issuing.now,
            # No refresh token comes this way, so the family ends with its access token.
            expires_at=issuing.now,
        ),
        # Offline access needs a code (OpenID Connect Core §11).
        scope=tuple(scope for scope in request.scope if scope != OFFLINE_ACCESS),
        resources=request.resources,
        session_id=session.id,
        nonce=request.nonce,
    )


async def _issue_code(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    session: Session,
    code_id: str,
    now: datetime,
) -> str:
    code, target = new_opaque_value(), request.target
    await save_authorization_code(
        tx,
        server.resources.opaque_hash("authorization code", code),
        AuthorizationCode(
            id=code_id,
            client_id=target.client.client_id,
            user_id=session.user_id,
            session_id=session.id,
            redirect_uri=target.redirect_uri,
            redirect_uri_sent=target.redirect_uri_sent,
            scope=format_scope(request.scope),
            resources=request.resources,
            nonce=request.nonce,
            claims=request.claims.as_json(),
            code_challenge=request.code_challenge,
            auth_time=session.auth_time,
            acr=session.acr,
            amr=session.amr,
            created_at=now,
            expires_at=now + server.resources.settings.authorization_code_ttl,
        ),
    )
    return code
