"""The decision at the authorization endpoint: sign in, ask for consent, or issue a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from authsvc.oauth.authorization_request import AuthorizationRequest, Target
from authsvc.oauth.resources import audience_of
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import AccessDenied, ConsentRequired, LoginRequired, OAuthError
from authsvc.protocol.scope import format_scope
from authsvc.storage.audit import Origin
from authsvc.storage.authorization_codes import AuthorizationCode, save_authorization_code
from authsvc.storage.consents import find_consent, save_consent
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.sessions import Session, hold_session
from authsvc.storage.users import find_role_ids
from authsvc.tokens.opaque import new_opaque_value

_ANSWER_TTL: Final = timedelta(minutes=10)
"""How long a sign-in or consent answers the request for which it was asked."""


@dataclass(frozen=True, slots=True)
class SignedInBrowser:
    """The session a browser has, and whose it is."""

    session: Session
    username: str


@dataclass(frozen=True, slots=True)
class LoginNeeded:
    """The person has to sign in."""


@dataclass(frozen=True, slots=True)
class ConsentNeeded:
    """The person has to be asked whether the client may have all of ``wanted``."""

    browser: SignedInBrowser
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """What the client is answered, by way of the browser (RFC 6749 §4.1.2, RFC 9207 §2)."""

    target: Target
    parameters: tuple[tuple[str, str], ...]


Decision = LoginNeeded | ConsentNeeded | AuthorizationResponse


async def decide(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    browser: SignedInBrowser | None,
    *,
    asked_at: datetime | None,
) -> Decision:
    """Return what comes next.

    ``asked_at`` is when this browser was first sent to sign in or consent for this
    request, None when it was not: what happened since then answers a ``prompt``. Raises
    LoginRequired or ConsentRequired where ``prompt=none`` forbids to ask.
    """
    now = server.resources.clock.now()
    if browser is None or _must_sign_in(request, browser.session, asked_at, now):
        if "none" in request.prompts:
            raise LoginRequired("The person has to sign in")
        if browser is not None and _answers(browser.session.auth_time, asked_at, now):
            # Signed in for this very request, yet not as whom the client expects.
            raise LoginRequired("Another person has signed in")
        return LoginNeeded()
    wanted = await find_wanted(server, tx, request, browser.session)
    if await _must_consent(tx, request, browser.session, wanted, asked_at, now):
        if "none" in request.prompts:
            raise ConsentRequired("The person has to consent")
        return ConsentNeeded(browser, wanted)
    await server.resources.sessions.touch(tx, browser.session)
    if await hold_session(tx, browser.session.id) is None:
        if "none" in request.prompts:
            raise LoginRequired("The person has to sign in")
        return LoginNeeded()
    return await _issue_code(server, tx, request, browser.session, now)


async def grant_consent(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    browser: SignedInBrowser,
    wanted: Sequence[str],
    origin: Origin,
) -> None:
    """Note that the person allows the client all of ``wanted``, as they were shown it."""
    now = server.resources.clock.now()
    client_id = request.target.client.client_id
    user_id = browser.session.user_id
    await save_consent(tx, user_id, client_id, frozenset(wanted), now=now)
    await server.resources.audit.record(
        tx,
        "consent.granted",
        origin,
        now=now,
        subject=user_id,
        client_id=client_id,
        scope=format_scope(wanted),
    )


def deny(server: AuthorizationServer, target: Target) -> AuthorizationResponse:
    """Return the answer that the person said no (RFC 6749 §4.1.2.1)."""
    return error_response(server, target, AccessDenied("The person said no"))


def error_response(
    server: AuthorizationServer, target: Target, error: OAuthError
) -> AuthorizationResponse:
    """Return the error as the client is told it."""
    return _respond(
        server, target, ("error", error.error), ("error_description", error.description)
    )


def _respond(
    server: AuthorizationServer, target: Target, *parameters: tuple[str, str]
) -> AuthorizationResponse:
    state = (("state", target.state),) if target.state is not None else ()
    return AuthorizationResponse(target, (*parameters, *state, ("iss", server.issuer)))


def _answers(at: datetime, asked_at: datetime | None, now: datetime) -> bool:
    """Tell whether what happened ``at`` answers what was asked ``asked_at``.

    Only for a while: a page that was left open answers nothing the next day.
    """
    return asked_at is not None and asked_at <= at and at > now - _ANSWER_TTL


def _must_sign_in(
    request: AuthorizationRequest,
    session: Session,
    asked_at: datetime | None,
    now: datetime,
) -> bool:
    if request.hinted_subject is not None and session.user_id != request.hinted_subject:
        return True
    if _answers(session.auth_time, asked_at, now):
        return False
    if request.prompts & {"login", "select_account"}:
        return True
    return request.max_age is not None and session.auth_time <= now - timedelta(
        seconds=request.max_age
    )


async def find_wanted(
    server: AuthorizationServer, tx: Transaction, request: AuthorizationRequest, session: Session
) -> tuple[str, ...]:
    """Return what the person has to allow: scopes, resources, and power over this service.

    Of that power, only what a token of this scope and these resources would carry.
    """
    graph = await server.resources.role_graph.get()
    reserved = graph.narrow(
        graph.reserved(await find_role_ids(tx, session.user_id)),
        scope=request.scope,
        audience=audience_of(server.issuer, request.resources, request.scope),
        resources=server.resources.settings.resources,
    )
    return tuple(dict.fromkeys((*request.scope, *request.resources, *reserved)))


async def _must_consent(
    tx: Transaction,
    request: AuthorizationRequest,
    session: Session,
    wanted: Sequence[str],
    asked_at: datetime | None,
    now: datetime,
) -> bool:
    given = await find_consent(tx, session.user_id, request.target.client.client_id)
    if given is None or not given[0].issuperset(wanted):
        return True
    return "consent" in request.prompts and not _answers(given[1], asked_at, now)


async def _issue_code(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    session: Session,
    now: datetime,
) -> AuthorizationResponse:
    code, target = new_opaque_value(), request.target
    await save_authorization_code(
        tx,
        server.resources.opaque_hash("authorization code", code),
        AuthorizationCode(
            id=new_id(now),
            client_id=target.client.client_id,
            user_id=session.user_id,
            session_id=session.id,
            redirect_uri=target.redirect_uri,
            redirect_uri_sent=target.redirect_uri_sent,
            scope=format_scope(request.scope),
            resources=request.resources,
            nonce=request.nonce,
            code_challenge=request.code_challenge,
            created_at=now,
            expires_at=now + server.resources.settings.authorization_code_ttl,
        ),
    )
    return _respond(server, target, ("code", code))
