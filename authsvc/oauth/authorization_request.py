"""Reading an authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).

In two steps, for an error has two fates: as long as it is not certain where the answer
may go, it is shown to the person; from then on the client is told.
"""

from dataclasses import dataclass, field
from typing import Final

from authsvc.identity.browser_sessions import PASSWORD_ACR
from authsvc.oauth.capabilities import REFRESH_TOKEN
from authsvc.oauth.client_keys import Encryption, find_encryption
from authsvc.oauth.clients import Client
from authsvc.oauth.request_object import has_request_object, open_request_object
from authsvc.oauth.resources import read_resources
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.subjects import find_user_id
from authsvc.protocol import pkce
from authsvc.protocol.claims_request import ClaimsRequest, ClaimWish, parse_claims_request
from authsvc.protocol.errors import (
    InvalidClient,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    RegistrationNotSupported,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
)
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.response_types import (
    ResponseMode,
    default_response_mode,
    find_response_mode,
    parse_response_type,
)
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, check_scope, parse_scope
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
    response_mode: ResponseMode
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """An authorization request that is well-formed and allowed for the client.

    ``expected_users`` are the people of whom one must sign in; None: anybody may.
    """

    target: Target
    response_type: frozenset[str]
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    claims: ClaimsRequest
    prompts: frozenset[str]
    max_age: int | None
    nonce: str | None
    code_challenge: str | None
    expected_users: frozenset[str | None] | None
    encryption: Encryption | None
    parameters: Parameters = field(repr=False)


async def find_client(server: AuthorizationServer, parameters: Parameters) -> Client:
    """Return the client that the request names; raises an error that must be shown."""
    for name in ("client_id", "redirect_uri"):
        if len(parameters.get_all(name)) > 1:
            raise InvalidRequest(f"{name} is sent more than once")
    client = await server.clients.find(parameters.require("client_id"))
    if client is None:
        raise InvalidClient("There is no client with this client_id")
    return client


async def open_parameters(
    server: AuthorizationServer, client: Client, parameters: Parameters
) -> Parameters:
    """Return what the request says, taken out of its request object if it comes in one.

    Raises an OAuthError for the client to be told.
    """
    if not has_request_object(client, parameters):
        return parameters
    parameters.check_no_duplicates()
    return await open_request_object(server, client, parameters)


async def read_target(server: AuthorizationServer, parameters: Parameters) -> Target:
    """Return where the answer may go; raises an error that must be shown, not redirected.

    An unknown client and a redirect URI that is not registered never get a redirect
    (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
    """
    client = await find_client(server, parameters)
    sent = parameters.get("redirect_uri")
    redirect_uri = sent or client.get_default_redirect_uri()
    if redirect_uri is None or (sent is None and OPENID in _scopes(parameters)):
        raise InvalidRequest("Missing parameter: redirect_uri")
    if not client.check_redirect_uri(redirect_uri):
        raise InvalidRedirectUri("redirect_uri is not registered for this client")
    response_type = parse_response_type(parameters.get("response_type") or "")
    mode = find_response_mode(parameters.get("response_mode"), response_type)
    return Target(
        client,
        redirect_uri,
        sent is not None,
        mode or default_response_mode(response_type),
        parameters.get("state"),
    )


def _scopes(parameters: Parameters) -> list[str]:
    return (parameters.get("scope") or "").split()


async def read_authorization_request(
    server: AuthorizationServer, target: Target, parameters: Parameters
) -> AuthorizationRequest:
    """Return the request to ``target``; raises an OAuthError for the client to be told."""
    parameters.check_no_duplicates()
    client = target.client
    _check_supported(parameters)
    response_type = _read_response_type(server, client, parameters)
    scope = read_scope(client, parameters)
    if "id_token" in response_type and OPENID not in scope:
        raise InvalidScope("The scope openid is needed for an ID token")
    claims = parse_claims_request(parameters.get("claims") if OPENID in scope else None)
    if client.self_registered:
        claims = claims.within(client.allowed_scopes)
    _check_acr(claims)
    encryption = None
    if "id_token" in response_type:
        encryption = await find_encryption(server, client, "id_token")
    return AuthorizationRequest(
        target=target,
        response_type=response_type,
        scope=scope,
        resources=read_resources(parameters, client),
        claims=claims,
        prompts=_read_prompts(parameters),
        max_age=_read_max_age(client, parameters),
        nonce=_read_nonce(response_type, parameters),
        code_challenge=_read_challenge(client, response_type, parameters),
        expected_users=await _read_expected_users(server, client, parameters, claims),
        encryption=encryption,
        parameters=parameters,
    )


def _check_supported(parameters: Parameters) -> None:
    if "registration" in parameters:
        raise RegistrationNotSupported("The registration parameter is not supported")
    for name in ("state", "nonce"):
        if len(parameters.get(name) or "") > _MAX_STATE:
            raise InvalidRequest(f"{name} is too long")


def _read_response_type(
    server: AuthorizationServer, client: Client, parameters: Parameters
) -> frozenset[str]:
    response_type = parse_response_type(parameters.require("response_type"))
    if response_type not in server.capabilities.response_types:
        raise UnsupportedResponseType("This response_type is not supported")
    if not client.check_response_type(response_type):
        raise UnauthorizedClient("The client is not registered for this response_type")
    if find_response_mode(parameters.get("response_mode"), response_type) is None:
        raise InvalidRequest("This response_mode is not supported with this response_type")
    return frozenset(response_type.split())


def _read_nonce(response_type: frozenset[str], parameters: Parameters) -> str | None:
    # OpenID Connect Core §3.2.2.1, §3.3.2.11: an ID token from here could be replayed.
    if "id_token" in response_type:
        return parameters.require("nonce")
    return parameters.get("nonce")


def _check_acr(claims: ClaimsRequest) -> None:
    """Refuse an essential ``acr`` that no sign-in here reaches (OpenID Connect Core §5.5.1.1)."""
    wish = claims.id_token.get("acr", ClaimWish())
    if wish.essential and wish.values and PASSWORD_ACR not in wish.values:
        raise UnmetAuthenticationRequirements("No sign-in here reaches the acr that is essential")


async def _read_expected_users(
    server: AuthorizationServer, client: Client, parameters: Parameters, claims: ClaimsRequest
) -> frozenset[str | None] | None:
    """Return the people that the hint and a wanted ``sub`` leave (Core §3.1.2.1, §5.5.1)."""
    expected = None
    wanted = claims.wanted_subjects()
    if wanted:
        expected = frozenset(
            find_user_id(server, client, subject) if isinstance(subject, str) else None
            for subject in wanted
        )
    hint = parameters.get("id_token_hint")
    if hint is None:
        return expected
    keyring = await server.resources.keyring.get()
    hinted = parse_id_token_hint(hint, keyring, issuer=server.issuer)
    issued_to = await server.clients.find(hinted["aud"]) if hinted else None
    if hinted is None or issued_to is None:
        raise InvalidRequest("id_token_hint is not an ID token of this issuer")
    user = frozenset({find_user_id(server, issued_to, hinted["sub"])})
    return user if expected is None else user & expected


def read_scope(client: Client, parameters: Parameters) -> tuple[str, ...]:
    """Return the scope that the client asks a person for; raises InvalidScope."""
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


def _read_challenge(
    client: Client, response_type: frozenset[str], parameters: Parameters
) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if "code" not in response_type:
        return None
    if challenge is None and method is None and not client.metadata.require_pkce:
        return None
    pkce.check_challenge(challenge, method)
    return challenge
