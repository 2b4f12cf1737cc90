"""Software statements: client metadata that somebody trusted has signed (RFC 7591 §2.3)."""

from collections.abc import Mapping
from typing import Any, Final

from authsvc.oauth.client_keys import verify_with_keys_at
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import (
    InvalidSoftwareStatement,
    OAuthError,
    UnapprovedSoftwareStatement,
)
from authsvc.protocol.jwt_times import check_times
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.signing.jwt import InvalidJwt, parse_unverified_claims, parse_unverified_header

MEMBER: Final = "software_statement"
_JWT_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", MEMBER})


async def apply_software_statement(
    server: AuthorizationServer, raw: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata in ``raw``, in which what its software statement says wins.

    Without a statement it stays as it is. Raises InvalidSoftwareStatement,
    UnapprovedSoftwareStatement, or TemporarilyUnavailable when the keys of the statement's
    issuer can not be had.
    """
    statement = raw.get(MEMBER)
    if statement is None:
        return dict(raw)
    claims = await _verify(server, statement)
    stated = {
        name: value
        for name, value in claims.items()
        if name not in _JWT_CLAIMS and value is not None
    }
    # A name in another language is no way around the name that was signed.
    plain = {name: raw[name] for name in raw if name.partition("#")[0] not in stated}
    return {**plain, **stated}


async def _verify(server: AuthorizationServer, statement: object) -> dict[str, Any]:
    if not isinstance(statement, str):
        raise _invalid("not a text")
    try:
        alg = parse_unverified_header(statement).get("alg")
        issuer = parse_unverified_claims(statement).get("iss")
        if not isinstance(issuer, str) or not issuer:
            raise _invalid("no iss")
        jwks_uri = server.resources.settings.registration_statement_issuers.get(issuer)
        if jwks_uri is None:
            raise UnapprovedSoftwareStatement(
                "The issuer of the software_statement is not trusted here"
            )
        if alg not in ALGORITHMS:
            raise _invalid("alg")
        claims = await verify_with_keys_at(server, jwks_uri, statement, alg)
    except InvalidJwt as error:
        raise _invalid(str(error)) from error
    _check_claims(server, claims)
    return claims


def _check_claims(server: AuthorizationServer, claims: Mapping[str, Any]) -> None:
    """Check times, and the audience where there is one (RFC 7519 §4.1.3 to §4.1.6)."""
    try:
        check_times(
            claims,
            now=server.resources.clock.now(),
            leeway=server.resources.settings.clock_leeway,
        )
    except ValueError as error:
        raise _invalid(str(error)) from error
    if "aud" in claims:
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if server.issuer not in audience and f"{server.issuer}/register" not in audience:
            raise _invalid("for another audience")


def _invalid(detail: str) -> OAuthError:
    return InvalidSoftwareStatement("The software_statement is not valid", detail=detail)
