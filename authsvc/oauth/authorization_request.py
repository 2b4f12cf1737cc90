"""Reading an authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).

In two steps, for an error has two fates: as long as it is not certain where the answer
may go, it is shown to the person; from then on the client is told.
"""

from dataclasses import dataclass, field
from typing import Final

from authsvc.oauth.capabilities import CAPABILITIES, REFRESH_TOKEN, RESPONSE_MODES
from authsvc.oauth.clients import Client
from authsvc.oauth.resources import read_resources
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol import pkce
from authsvc.protocol.errors import (
    InvalidClient,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, check_scope, parse_scope
from authsvc.signing.keyring import Keyring
from authsvc.tokens.id_token import parse_id_token_hint

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_MAX_STATE: Final = 4_096
_MAX_AGE_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Target:
    """Where the answer goes: certain, so errors may go there too."""

    client: Client
    redirect_uri: str
    redirect_uri_sent: bool
    response_mode: str
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """An authorization request that is well-formed and allowed for the client."""

    target: Target
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    prompts: frozenset[str]
    max_age: int | None
    nonce: str | None
    code_challenge: str | None
    hinted_subject: str | None
    parameters: Parameters = field(repr=False)


async def read_target(server: AuthorizationServer, parameters: Parameters) -> Target:
    """Return where the answer may go; raises an error that must be shown, not redirected.

    An unknown client and a redirect URI that is not registered never get a redirect
    (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
    """
    for name in ("client_id", "redirect_uri"):
        if len(parameters.get_all(name)) > 1:
            raise InvalidRequest(f"{name} is sent more than once")
    client = await server.clients.find(parameters.require("client_id"))
    if client is None:
        raise InvalidClient("There is no client with this client_id")
    sent = parameters.get("redirect_uri")
    redirect_uri = sent or client.get_default_redirect_uri()
    if redirect_uri is None or (sent is None and OPENID in _scopes(parameters)):
        raise InvalidRequest("Missing parameter: redirect_uri")
    if not client.check_redirect_uri(redirect_uri):
        raise InvalidRedirectUri("redirect_uri is not registered for this client")
    mode = parameters.get("response_mode") or "query"
    return Target(
        client,
        redirect_uri,
        sent is not None,
        mode if mode in RESPONSE_MODES else "query",
        parameters.get("state"),
    )


def _scopes(parameters: Parameters) -> list[str]:
    return (parameters.get("scope") or "").split()


async def read_authorization_request(
    server: AuthorizationServer, target: Target, parameters: Parameters
) -> AuthorizationRequest:
    """Return the request to ``target``; raises an OAuthError for the client to be told."""
    parameters.check_no_duplicates()
    _check_supported(parameters)
    _check_response(target.client, parameters)
    prompts = _read_prompts(parameters)
    keyring = await server.resources.keyring.get()
    return AuthorizationRequest(
        target=target,
        scope=_read_scope(target.client, parameters),
        resources=read_resources(parameters, target.client),
        prompts=prompts,
        max_age=_read_max_age(target.client, parameters),
        nonce=parameters.get("nonce"),
        code_challenge=_read_challenge(target.client, parameters),
        hinted_subject=_read_hint(parameters, keyring, server.issuer),
        parameters=parameters,
    )


def _check_supported(parameters: Parameters) -> None:
    if "request" in parameters:
        raise RequestNotSupported("The request parameter is not supported")
    if "request_uri" in parameters:
        raise RequestUriNotSupported("The request_uri parameter is not supported")
    if "registration" in parameters:
        raise RegistrationNotSupported("The registration parameter is not supported")
    for name in ("state", "nonce"):
        if len(parameters.get(name) or "") > _MAX_STATE:
            raise InvalidRequest(f"{name} is too long")


def _check_response(client: Client, parameters: Parameters) -> None:
    response_type = parameters.require("response_type")
    if response_type not in CAPABILITIES.response_types:
        raise UnsupportedResponseType("This response_type is not supported")
    if not client.check_response_type(response_type):
        raise UnauthorizedClient("The client is not registered for this response_type")
    if (parameters.get("response_mode") or "query") not in RESPONSE_MODES:
        raise InvalidRequest("This response_mode is not supported")


def _read_scope(client: Client, parameters: Parameters) -> tuple[str, ...]:
    scope = parse_scope(parameters.get("scope"))
    if not scope:
        raise InvalidScope("Missing parameter: scope")
    check_scope(scope, client.allowed_scopes | {OFFLINE_ACCESS})
    offline = OFFLINE_ACCESS in client.allowed_scopes and client.check_grant_type(REFRESH_TOKEN)
    # Offline access that the client can not use is ignored (OpenID Connect Core §11).
    return tuple(value for value in scope if value != OFFLINE_ACCESS or offline)


def _read_prompts(parameters: Parameters) -> frozenset[str]:
    prompts = frozenset((parameters.get("prompt") or "").split())
    if not prompts <= PROMPTS:
        raise InvalidRequest("This prompt is not supported")
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequest("prompt none excludes every other")
    return prompts


def _read_max_age(client: Client, parameters: Parameters) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return client.metadata.default_max_age
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_AGE_DIGITS):
        raise InvalidRequest("max_age is a whole number of seconds")
    return int(text)


def _read_challenge(client: Client, parameters: Parameters) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if challenge is None and method is None and not client.metadata.require_pkce:
        return None
    pkce.check_challenge(challenge, method)
    return challenge


def _read_hint(parameters: Parameters, keyring: Keyring, issuer: str) -> str | None:
    hint = parameters.get("id_token_hint")
    if hint is None:
        return None
    claims = parse_id_token_hint(hint, keyring, issuer=issuer)
    if claims is None:
        raise InvalidRequest("id_token_hint is not an ID token of this issuer")
    return str(claims["sub"])
