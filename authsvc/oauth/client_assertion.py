"""JWTs that clients authenticate with (RFC 7523 §3, OpenID Connect Core §9).

Verified first and spent later: in between the keys of the client may be asked for, for
which no transaction waits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from authsvc.master_key import SealError
from authsvc.oauth.capabilities import HMAC_ALG
from authsvc.oauth.client_keys import verify_with_client_keys
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.protocol.errors import TemporarilyUnavailable
from authsvc.protocol.jwt_times import check_times, parse_instant
from authsvc.protocol.parameters import Parameters
from authsvc.signing.jwt import (
    InvalidJwt,
    parse_unverified_claims,
    parse_unverified_header,
    verify_with_secret,
)
from authsvc.storage.client_assertions import consume_client_assertion

METHODS: Final = ("client_secret_jwt", "private_key_jwt")
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# RFC 8725 §3.11: a JWT that says it is something else is not taken for this.
_TYPES: Final = frozenset({"", "jwt", "client-authentication+jwt"})
_MAX_ID: Final = 255


class InvalidAssertion(Exception):
    """The assertion does not authenticate the client; the text is for the log."""


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """An assertion that is the client's and good now, if it was not used before."""

    assertion_hash: bytes
    expires_at: datetime


def read_assertion(parameters: Parameters) -> tuple[str, str, str]:
    """Return method, client and assertion as they are claimed; raises InvalidAssertion."""
    assertion = parameters.require("client_assertion")
    if parameters.require("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidAssertion("unknown client_assertion_type")
    try:
        header = parse_unverified_header(assertion)
        subject = parse_unverified_claims(assertion).get("sub")
    except InvalidJwt as error:
        raise InvalidAssertion(str(error)) from error
    if str(header.get("typ", "")).lower().removeprefix("application/") not in _TYPES:
        raise InvalidAssertion("another type")
    if not isinstance(subject, str) or not subject or "\x00" in subject:
        raise InvalidAssertion("sub")
    method = "client_secret_jwt" if header.get("alg") == HMAC_ALG else "private_key_jwt"
    return method, subject, assertion


async def verify_assertion(
    request: ClientRequest, client: Client, assertion: str
) -> VerifiedAssertion:
    """Return the assertion, verified; raises InvalidAssertion, or TemporarilyUnavailable."""
    try:
        claims = await _verify_signature(request, client, assertion)
        settings = request.server.resources.settings
        check_times(claims, now=request.now, leeway=settings.clock_leeway)
        expires_at = parse_instant(claims, "exp")
    except (InvalidJwt, ValueError) as error:
        raise InvalidAssertion(str(error)) from error
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise InvalidAssertion("iss or sub")
    _check_audience(request, claims.get("aud"))
    if expires_at is None:
        raise InvalidAssertion("exp")
    if expires_at > request.now + settings.client_assertion_ttl + settings.clock_leeway:
        raise InvalidAssertion("lives too long")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _MAX_ID:
        raise InvalidAssertion("jti")
    assertion_hash = request.server.resources.opaque_hash(
        "client assertion", f"{client.client_id}\n{token_id}"
    )
    return VerifiedAssertion(assertion_hash, expires_at + settings.clock_leeway)


async def spend_assertion(request: ClientRequest, assertion: VerifiedAssertion) -> None:
    """Use the assertion, once and for all replicas; raises InvalidAssertion."""
    if not await consume_client_assertion(
        request.tx, assertion.assertion_hash, expires_at=assertion.expires_at
    ):
        raise InvalidAssertion("used before")


def _check_audience(request: ClientRequest, audience: object) -> None:
    issuer = request.server.issuer
    accepted = {issuer, f"{issuer}/token", request.endpoint}
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(value, str) and value in accepted for value in audiences):
        raise InvalidAssertion("aud")


async def _verify_signature(
    request: ClientRequest, client: Client, assertion: str
) -> dict[str, Any]:
    alg = parse_unverified_header(assertion).get("alg")
    registered = client.metadata.token_endpoint_auth_signing_alg
    supported = request.server.capabilities.token_endpoint_auth_signing_algs
    if alg not in supported or (registered and alg != registered):
        raise InvalidAssertion("alg")
    if alg == HMAC_ALG:
        return _verify_hmac(request, client, assertion)
    return await verify_with_client_keys(request.server, client, assertion, alg)


def _verify_hmac(request: ClientRequest, client: Client, assertion: str) -> dict[str, Any]:
    """Return the claims that the client signed with one of its living secrets."""
    for secret in client.secrets:
        living = secret.expires_at is None or secret.expires_at > request.now
        if secret.secret_sealed is None or not living:
            continue
        try:
            opened = request.server.client_secrets.open(secret.secret_sealed)
            return verify_with_secret(assertion, opened)
        except SealError as error:
            raise TemporarilyUnavailable(
                "The secret of the client can not be opened", detail=str(error), retry_after=60
            ) from error
        except InvalidJwt:
            continue
    raise InvalidJwt("no secret of the client verifies it")
