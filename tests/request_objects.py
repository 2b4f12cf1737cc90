"""Request objects as clients make them (RFC 9101)."""

from typing import Any

import orjson

from tests.client_keys import encode, public_jwk, sign
from tests.provider import Provider, TestClient

ISSUER = "http://127.0.0.1:8000"
TYPE = "oauth-authz-req+jwt"


async def client_with_keys(provider: Provider, alg: str = "ES256", **metadata: Any) -> TestClient:
    """Create a client that has a key for ``alg``."""
    return await provider.create_client(
        **{"jwks": {"keys": [public_jwk(alg)]}, "response_types": ["code"], **metadata}
    )


def claims_inside(provider: Provider, client: TestClient, **changes: Any) -> dict[str, Any]:
    """Return the claims of a whole request; what is None is left out."""
    claims = {
        **provider.authorization_parameters(client),
        "iss": client.client_id,
        "aud": provider.settings.issuer,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], alg: str = "ES256", number: int = 0, **header: Any) -> str:
    """Return the claims signed with a key of the client."""
    return sign(claims, alg, number, **{"typ": TYPE, **header})


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    """Return the claims with ``alg`` none (RFC 7519 §6.1)."""
    head = {"alg": "none", "typ": TYPE, **header}
    return f"{encode(orjson.dumps(head))}.{encode(orjson.dumps(claims))}."


def outside(client: TestClient, **changes: Any) -> dict[str, Any]:
    """Return what OpenID Connect Core §6.1 wants outside, and nothing more."""
    nothing = dict.fromkeys(
        ("redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method")
    )
    return {**nothing, "scope": "openid", "client_id": client.client_id, **changes}
