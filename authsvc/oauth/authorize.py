"""The decision at the authorization endpoint: sign in, ask for consent, or answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from authsvc.oauth.authorization_request import AuthorizationRequest, Target
from authsvc.oauth.authorization_response import issue_response
from authsvc.oauth.clients import note_client_use
from authsvc.oauth.consent import (
    CLAIM,
    DESTINATION,
    destination_of,
    find_power,
    record_consent,
)
from authsvc.oauth.logout_notices import note_session_client
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.session_management import session_state
from authsvc.protocol.claims import is_reached_by
from authsvc.protocol.errors import AccessDenied, ConsentRequired, LoginRequired, OAuthError
from authsvc.protocol.scope import OPENID
from authsvc.storage.audit import Origin
from authsvc.storage.consents import find_consent
from authsvc.storage.database import Transaction
from authsvc.storage.sessions import Session, hold_session

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
class SelectionNeeded:
    """The person has to say whether to go on as who is signed in (``select_account``)."""

    browser: SignedInBrowser


@dataclass(frozen=True, slots=True)
class ConsentNeeded:
    """The person has to be asked whether the client may have all of ``wanted``."""

    browser: SignedInBrowser
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """What the client is answered, by way of the browser (RFC 6749 §4.1.2, RFC 9207 §2).

    ``session_id`` is the session on which something was issued, None for an error.
    """

    target: Target
    parameters: tuple[tuple[str, str], ...]
    session_id: str | None = None


Decision = LoginNeeded | SelectionNeeded | ConsentNeeded | AuthorizationResponse


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
    selected = _answers(browser.session.auth_time, asked_at, now)
    if "select_account" in request.prompts and not selected:
        return SelectionNeeded(browser)
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
    client = request.target.client
    await note_session_client(tx, browser.session.id, client)
    await note_client_use(tx, client, now)
    issued = await issue_response(server, tx, request, browser.session, now)
    if OPENID in request.scope:
        redirect_uri = request.target.redirect_uri
        state = session_state(server, client.client_id, redirect_uri, browser.session.id)
        issued.append(("session_state", state))
    response = _respond(server, request.target, *issued)
    return replace(response, session_id=browser.session.id)


async def grant_consent(
    server: AuthorizationServer,
    tx: Transaction,
    request: AuthorizationRequest,
    browser: SignedInBrowser,
    wanted: Sequence[str],
    origin: Origin,
) -> SignedInBrowser:
    """Note that the person allows the client all of ``wanted``, unless the session has ended.

    The session is held first, as for whatever is issued: in the other order this and the
    approval of a device would wait for each other. Return the browser, with its session as
    it is now.
    """
    touched = await server.resources.sessions.touch(tx, browser.session)
    if await hold_session(tx, touched.id) is None:
        return browser
    await record_consent(
        server,
        tx,
        user_id=browser.session.user_id,
        client_id=request.target.client.client_id,
        wanted=wanted,
        origin=origin,
    )
    return replace(browser, session=touched)


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
    if request.expected_users is not None and session.user_id not in request.expected_users:
        return True
    if _answers(session.auth_time, asked_at, now):
        return False
    if "login" in request.prompts:
        return True
    return request.max_age is not None and session.auth_time <= now - timedelta(
        seconds=request.max_age
    )


async def find_wanted(
    server: AuthorizationServer, tx: Transaction, request: AuthorizationRequest, session: Session
) -> tuple[str, ...]:
    """Return what the person has to allow: scopes, claims, resources, power over this service.

    Of that power, only what a token of this scope and these resources would carry.
    """
    power = await find_power(
        server,
        tx,
        session.user_id,
        request.target.client,
        scope=request.scope,
        resources=request.resources,
    )
    claims = (
        f"{CLAIM}{name}"
        for name in request.claims.about_person()
        if not is_reached_by(request.scope, name)
    )
    destination: tuple[str, ...] = ()
    if request.target.client.self_registered:
        # A stranger's client can change where it lives after it was allowed something.
        destination = (f"{DESTINATION}{destination_of(request.target.redirect_uri)}",)
    return tuple(dict.fromkeys((*request.scope, *claims, *request.resources, *power, *destination)))


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
    must_ask = "consent" in request.prompts or _may_be_another(request.target)
    return must_ask and not _answers(given[1], asked_at, now)


def _may_be_another(target: Target) -> bool:
    """Tell whether any program on the person's machine could have sent the request.

    A native app without a secret, whose answer goes to a loopback port or a private-use
    scheme: what was once allowed it is never given silently (RFC 8252 §8.6).
    """
    client = target.client
    is_native = client.is_public and client.metadata.application_type == "native"
    return is_native and not target.redirect_uri.startswith("https:")
