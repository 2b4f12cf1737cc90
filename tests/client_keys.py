"""Keys of clients that authenticate with private_key_jwt, and the JWTs they make."""

import base64
import time
from functools import cache
from typing import Any
from uuid import uuid4

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@cache
def private_key(alg: str, number: int = 0) -> Any:
    """Return a private key that is the same for the whole run: RSA keys are slow to make."""
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(alg: str, number: int = 0, /, **members: Any) -> dict[str, Any]:
    """Return the JWK that the client registers; a member that is None is left out."""
    key = private_key(alg, number).public_key()
    made: dict[str, Any] = get_default_algorithms()[alg].to_jwk(key, as_dict=True)
    made.pop("key_ops", None)
    made |= {"alg": alg, "use": "sig", "kid": f"{alg}-{number}", **members}
    return {name: value for name, value in made.items() if value is not None}


def claims_for(client_id: str, **changes: Any) -> dict[str, Any]:
    """Return the claims of RFC 7523 §3; a claim that is None is left out."""
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": "http://127.0.0.1:8000",
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid4()),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def sign(claims: dict[str, Any], alg: str, number: int = 0, **header: Any) -> str:
    """Return ``claims`` signed with a key of ``private_key``."""
    headers = {"kid": f"{alg}-{number}", **header}
    headers = {name: value for name, value in headers.items() if value is not None}
    key = private_key(alg, number)
    return jwt.PyJWS().encode(orjson.dumps(claims), key, algorithm=alg, headers=headers)


def encode(part: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def assertion_parameters(assertion: str) -> dict[str, str]:
    """Return the parameters of a request with an assertion (RFC 7523 §2.2)."""
    return {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
