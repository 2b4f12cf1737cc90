"""Request objects: authorization requests as JWTs (RFC 9101, OpenID Connect Core §6).

By value (``request``) or by reference (``request_uri``), signed, or unsigned where the client
registered ``none``. What is inside wins over what is outside. Parameters that are outside
alone count for OpenID Connect requests (§6.1), unless the client registered that its requests
must be signed; for any other request only what is inside counts (RFC 9101 §6.3).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from authsvc.oauth.client_keys import verify_with_client_keys
from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.protocol.errors import InvalidRequest, InvalidRequestObject, InvalidRequestUri
from authsvc.protocol.jwt_times import check_times
from authsvc.protocol.parameters import REPEATABLE, Parameters
from authsvc.protocol.scope import OPENID
from authsvc.signing.jwt import (
    InvalidJwt,
    parse_unsecured_claims,
    parse_unverified_header,
)

TYPE: Final = "oauth-authz-req+jwt"
_TYPES: Final = frozenset({"", "jwt", TYPE})
_MAX_BYTES: Final = 65_536
# Of the JWT itself (RFC 7519 §4.1), not of the authorization request.
_JWT_CLAIMS: Final = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
_HASH: Final = re.compile(r"[A-Za-z0-9_\-]{43}=?")
_NEVER_INSIDE: Final = ("request", "request_uri")


def has_request_object(client: Client, parameters: Parameters) -> bool:
    """Tell whether the request comes in a request object; raises when it must and does not.

    Raises InvalidRequest for both kinds at once (RFC 9101 §5), or InvalidRequestObject.
    """
    by_value, by_reference = "request" in parameters, "request_uri" in parameters
    if by_value and by_reference:
        raise InvalidRequest("request and request_uri exclude each other")
    if not (by_value or by_reference) and client.metadata.require_signed_request_object:
        raise InvalidRequestObject("The client is registered for signed request objects alone")
    return by_value or by_reference


async def open_request_object(
    server: AuthorizationServer, client: Client, parameters: Parameters
) -> Parameters:
    """Return the parameters of the request that the request object makes of ``parameters``.

    Raises InvalidRequestObject, InvalidRequestUri or TemporarilyUnavailable.
    """
    jwt = parameters.get("request") or await _fetch(server, client, parameters)
    claims = await _verify(server, client, jwt)
    _check_claims(server, client, claims)
    inside = _as_parameters(claims)
    for name in ("client_id", "response_type"):
        outside = parameters.get(name)
        if name in inside and outside is not None and inside[name] != [outside]:
            raise InvalidRequestObject(f"{name} in the request object is another one")
    strict = client.metadata.require_signed_request_object or OPENID not in (
        parameters.get("scope") or ""
    ).split(" ")
    kept = ("client_id",) if strict else tuple(name for name, _ in parameters.pairs())
    return Parameters(
        [
            *((name, text) for name, texts in inside.items() for text in texts),
            *(
                (name, value)
                for name, value in parameters.pairs()
                if name in kept and name not in inside and name not in _NEVER_INSIDE
            ),
        ]
    )


async def _fetch(server: AuthorizationServer, client: Client, parameters: Parameters) -> str:
    """Return the JWT at the ``request_uri``, which the client must have registered.

    Anybody could have us fetch anything otherwise. The fragment is no part of what is
    fetched: it is the hash of the content, and so tells that what is cached is old
    (OpenID Connect Core §6.2).
    """
    uri, _, content_hash = parameters.require("request_uri").partition("#")
    if uri not in {registered.partition("#")[0] for registered in client.metadata.request_uris}:
        raise InvalidRequestUri("request_uri is not registered for this client")
    try:
        content = await _get(server, uri, renew=False)
        if _HASH.fullmatch(content_hash) and not _is_hash_of(content, content_hash):
            content = await _renewed(server, uri) or content
        return content.decode("ascii").strip()
    except OutboundError as error:
        raise InvalidRequestUri("request_uri can not be read", detail=error.reason) from error
    except UnicodeDecodeError as error:
        raise InvalidRequestUri("request_uri does not hold a request object") from error


async def _renewed(server: AuthorizationServer, uri: str) -> bytes | None:
    """Return what is there now; None when it was asked for too often already."""
    try:
        return await _get(server, uri, renew=True)
    except OutboundError as error:
        if error.outcome == "busy":
            return None
        raise


async def _get(server: AuthorizationServer, uri: str, *, renew: bool) -> bytes:
    return await server.resources.outbound.get(
        uri,
        accept="application/oauth-authz-req+jwt, application/jwt",
        max_bytes=_MAX_BYTES,
        renew=renew,
    )


def _is_hash_of(content: bytes, text: str) -> bool:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    return text.rstrip("=") == digest.rstrip("=")


async def _verify(server: AuthorizationServer, client: Client, jwt: str) -> dict[str, Any]:
    try:
        header = parse_unverified_header(jwt)
        typ = str(header.get("typ", "")).lower().removeprefix("application/")
        if typ not in _TYPES:
            raise InvalidRequestObject("The request object is a JWT of another type")
        alg, registered = header.get("alg"), client.metadata.request_object_signing_alg
        if alg not in server.capabilities.request_object_signing_algs:
            raise InvalidRequestObject("The request object has an alg that is not supported")
        if alg != (registered or alg) or (alg == "none" and registered != "none"):
            raise InvalidRequestObject("The request object has an alg that is not registered")
        if alg == "none":
            return parse_unsecured_claims(jwt)
        return await verify_with_client_keys(server, client, jwt, str(alg))
    except InvalidJwt as error:
        raise InvalidRequestObject(
            "The request object is malformed or not signed by the client", detail=str(error)
        ) from error


def _check_claims(server: AuthorizationServer, client: Client, claims: Mapping[str, Any]) -> None:
    """Check what concerns the JWT itself (RFC 9101 §4, §6.1 and §10.8)."""
    if any(name in claims for name in _NEVER_INSIDE):
        raise InvalidRequestObject("A request object must not hold another one")
    if claims.get("iss", client.client_id) != client.client_id:
        raise InvalidRequestObject("The request object is of another issuer")
    if claims.get("sub") == client.client_id:
        # A client assertion looks like that: it is not to be used twice over.
        raise InvalidRequestObject("The request object must not have the client as sub")
    audience = claims.get("aud", server.issuer)
    if server.issuer not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidRequestObject("The request object is for another audience")
    try:
        check_times(
            claims,
            now=server.resources.clock.now(),
            leeway=server.resources.settings.clock_leeway,
        )
    except ValueError as error:
        raise InvalidRequestObject(
            "The request object has expired or is not valid yet", detail=str(error)
        ) from error


def _as_parameters(claims: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the claims as the values of request parameters.

    Numbers and objects come as JSON (RFC 9101 §4); what may be repeated comes as a list, and
    what is null is not there.
    """
    inside = {}
    for name, value in claims.items():
        if name in _JWT_CLAIMS or value is None:
            continue
        texts = value if isinstance(value, list) and name in REPEATABLE else [value]
        try:
            inside[name] = [
                text if isinstance(text, str) else orjson.dumps(text).decode() for text in texts
            ]
        except orjson.JSONEncodeError:
            # JSON is read deeper than it is written.
            raise InvalidRequestObject("The request object is nested too deep") from None
        if any(_CONTROL_CHARACTER.search(text) for text in inside[name]):
            raise InvalidRequestObject("The request object holds control characters")
    return inside
