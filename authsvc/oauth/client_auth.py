"""Client authentication (RFC 6749 §2.3, RFC 7523, OpenID Connect Core §9).

Unknown client, wrong secret and wrong method are one answer. A request that uses two
methods at once is refused (RFC 6749 §2.3).
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from authsvc.oauth.capabilities import CAPABILITIES
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.protocol.errors import InvalidClient, InvalidRequest
from authsvc.signing.jwt import (
    InvalidJwt,
    parse_unverified_claims,
    parse_unverified_header,
    verify_with_jwk,
)
from authsvc.storage.client_assertions import consume_client_assertion

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_CREDENTIALS = 8_192
_FAMILY_OF_ALG: Final = {"ES256": "EC", "RS256": "RSA", "PS256": "RSA", "EdDSA": "OKP"}


@dataclass(frozen=True, slots=True)
class _Credentials:
    method: str
    client_id: str
    secret: str = ""


async def authenticate_client(request: ClientRequest) -> Client:
    """Return the client that makes the request; raises InvalidClient or InvalidRequest."""
    credentials = _read_credentials(request)
    client = await request.server.clients.find(credentials.client_id)
    try:
        await _check(request, client, credentials)
    except InvalidClient as error:
        if client is not None:
            await _record_failure(request, client, error)
        raise
    if client is None:
        raise _failed("unknown client")
    request.admit(client)
    return client


async def _check(request: ClientRequest, client: Client | None, credentials: _Credentials) -> None:
    right = await _is_right(request, client, credentials)
    if client is None:
        raise _failed("unknown client")
    if not client.check_endpoint_auth_method(credentials.method, "token"):
        raise _failed("another method is registered")
    if not right:
        raise _failed("wrong secret")
    if credentials.method == "private_key_jwt":
        await _check_assertion(request, client, credentials.secret)


async def _is_right(
    request: ClientRequest, client: Client | None, credentials: _Credentials
) -> bool:
    """Tell whether the secret is the client's; true for methods that use none."""
    if not credentials.method.startswith("client_secret"):
        return True
    # Computed for unknown clients as well: both answers take the same time.
    given = request.server.resources.opaque_hash("client secret", credentials.secret)
    right = False
    for secret in client.secrets if client else ():
        living = secret.expires_at is None or secret.expires_at > request.now
        right |= hmac.compare_digest(given, secret.secret_hash) and living
    return right


async def _record_failure(request: ClientRequest, client: Client, error: InvalidClient) -> None:
    await request.server.resources.audit.record(
        request.tx,
        "client.authentication_failed",
        request.origin,
        now=request.now,
        subject=client.client_id,
        client_id=client.client_id,
        reason=error.detail,
    )


def _read_credentials(request: ClientRequest) -> _Credentials:
    parameters = request.parameters
    found = []
    if request.authorization is not None:
        found.append(_parse_basic(request.authorization))
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        found.append(_read_assertion(request))
    client_id = parameters.get("client_id")
    if "client_secret" in parameters:
        if client_id is None:
            raise _failed("client_secret without client_id")
        secret = parameters.require("client_secret")
        found.append(_Credentials("client_secret_post", client_id, secret))
    if len(found) > 1:
        raise InvalidRequest("The client authenticates in more than one way")
    if not found:
        if client_id is None:
            raise _failed("no client authentication")
        return _Credentials("none", client_id)
    if client_id is not None and client_id != found[0].client_id:
        raise InvalidRequest("client_id is not that of the client that authenticates")
    return found[0]


def _parse_basic(header: str) -> _Credentials:
    """Read a Basic header; both parts are form-encoded (RFC 6749 §2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_CREDENTIALS:
        raise _failed("not a Basic header")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _failed("malformed Basic header") from error
    client_id, colon, secret = decoded.partition(":")
    if not colon or not client_id:
        raise _failed("malformed Basic header")
    return _Credentials("client_secret_basic", _form_decode(client_id), _form_decode(secret))


def _form_decode(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise _failed("malformed Basic header") from error
    if "\x00" in decoded:
        raise _failed("malformed Basic header")
    return decoded


def _read_assertion(request: ClientRequest) -> _Credentials:
    parameters = request.parameters
    assertion = parameters.require("client_assertion")
    if parameters.require("client_assertion_type") != ASSERTION_TYPE:
        raise _failed("unknown client_assertion_type")
    try:
        subject = parse_unverified_claims(assertion).get("sub")
    except InvalidJwt as error:
        raise _failed(f"assertion: {error}") from error
    if not isinstance(subject, str) or not subject or "\x00" in subject:
        raise _failed("assertion without sub")
    return _Credentials("private_key_jwt", subject, assertion)


async def _check_assertion(request: ClientRequest, client: Client, assertion: str) -> None:
    """Check a JWT by RFC 7523 §3 and OpenID Connect Core §9, and spend it."""
    claims = _verify_assertion(client, assertion)
    settings = request.server.resources.settings
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise _failed("assertion: iss or sub")
    issuer = request.server.issuer
    accepted = {issuer, f"{issuer}/token"}
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(value, str) and value in accepted for value in audiences):
        raise _failed("assertion: aud")
    leeway = settings.clock_leeway
    expires_at = _instant(claims, "exp", required=True)
    if expires_at is None or expires_at <= request.now - leeway:
        raise _failed("assertion: expired")
    if expires_at > request.now + settings.client_assertion_ttl + leeway:
        raise _failed("assertion: lives too long")
    for name in ("nbf", "iat"):
        at = _instant(claims, name, required=False)
        if at is not None and at > request.now + leeway:
            raise _failed(f"assertion: {name}")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= 255:
        raise _failed("assertion: jti")
    spent = request.server.resources.opaque_hash(
        "client assertion", f"{client.client_id}\n{token_id}"
    )
    if not await consume_client_assertion(request.tx, spent, expires_at=expires_at + leeway):
        raise _failed("assertion: used before")


def _verify_assertion(client: Client, assertion: str) -> dict[str, Any]:
    try:
        header = parse_unverified_header(assertion)
        alg = header.get("alg")
        registered = client.metadata.token_endpoint_auth_signing_alg
        if alg not in CAPABILITIES.token_endpoint_auth_signing_algs or (
            registered and alg != registered
        ):
            raise _failed("assertion: alg")
        for jwk in (client.metadata.jwks or {"keys": []})["keys"]:
            if jwk.get("kty") != _FAMILY_OF_ALG[alg] or jwk.get("alg", alg) != alg:
                continue
            if "kid" in header and jwk.get("kid", header["kid"]) != header["kid"]:
                continue
            try:
                return verify_with_jwk(assertion, jwk, alg)
            except InvalidJwt:
                continue
    except InvalidJwt as error:
        raise _failed(f"assertion: {error}") from error
    raise _failed("assertion: no key of the client verifies it")


def _instant(claims: dict[str, Any], name: str, *, required: bool) -> datetime | None:
    value = claims.get(name)
    if value is None and not required:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _failed(f"assertion: {name}")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _failed(f"assertion: {name}") from error


def _failed(detail: str) -> InvalidClient:
    return InvalidClient("Client authentication failed", detail=detail)
