"""JWTs that nobody should accept, made the way attackers make them."""

import base64
import hmac
import time
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.signing.algorithms import implementation
from authsvc.signing.keyring import SigningKey
from tests.provider import Provider, claims_of, header_of


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def assemble(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes) -> str:
    """Return the signing input of header and claims, given as they are or as JSON."""
    parts = (part if isinstance(part, bytes) else orjson.dumps(part) for part in (header, claims))
    return ".".join(encode(part) for part in parts)


def signed(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: Any) -> str:
    """Return a JWT signed with ES256 by ``key``."""
    signing_input = assemble(header, claims)
    signature = implementation("ES256").sign(signing_input.encode(), key)
    return f"{signing_input}.{encode(signature)}"


def hmac_signed(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """Return a JWT signed with HS256."""
    signing_input = assemble(header, claims)
    return f"{signing_input}.{encode(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


async def signing_key(provider: Provider, alg: str = "ES256") -> SigningKey:
    """Return the key that signs now."""
    return (await provider.resources.keyring.get()).active(alg)


def public_forms(key: SigningKey) -> list[bytes]:
    """Return what of the public key could be taken for a shared secret."""
    public = key.public_key
    formats = (
        (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
    )
    forms = [public.public_bytes(*form) for form in formats]
    forms += [forms[0].rstrip(b"\n"), orjson.dumps(dict(key.public_jwk))]
    forms += [orjson.dumps(dict(key.public_jwk), option=orjson.OPT_SORT_KEYS), b""]
    return forms


async def forgeries(provider: Provider, genuine: str) -> dict[str, str]:
    """Return what could be made of a genuine access token without the private key."""
    header, claims = header_of(genuine), claims_of(genuine)
    first, second, signature = genuine.split(".")
    key = await signing_key(provider)
    foreign = ec.generate_private_key(ec.SECP256R1())
    foreign_jwk = {**implementation("ES256").to_jwk(foreign.public_key(), as_dict=True)}
    odd_kids: list[Any] = ["", [], {}, 1, "../../etc/passwd", "' OR 1=1"]
    odd_algs: list[Any] = ["none", "None", "NONE", "nOnE", "", None, [], {}, 1, "ES256K", "ES384"]
    rsa_kid = (await signing_key(provider, "RS256")).kid
    forged = {
        f"alg {alg!r}, {kind}": f"{assemble({**header, 'alg': alg}, claims)}.{end}"
        for alg in odd_algs
        for kind, end in (("unsigned", ""), ("with a signature", signature))
    }
    forged |= {
        f"{alg} with our public key, form {number}": hmac_signed(
            {**header, "alg": alg}, claims, form
        )
        for alg in ("HS256", "ES256")
        for number, form in enumerate(public_forms(key))
    }
    own: dict[str, dict[str, Any]] = {"a foreign key": {}, "kid of another key": {"kid": rsa_kid}}
    own |= {"an unknown kid": {"kid": "unknown"}, "no kid": {"kid": None}}
    own |= {f"kid {kid!r}": {"kid": kid} for kid in odd_kids}
    own |= {"jwk": {"jwk": foreign_jwk}, "jwk and kid": {"jwk": foreign_jwk, "kid": "mine"}}
    own |= {name: {name: "https://evil.example/keys"} for name in ("jku", "x5u")}
    own |= {"x5c": {"x5c": ["MIIB"]}, "crit": {"crit": ["exp"]}, "b64": {"b64": False}}
    own |= {"b64 and crit": {"b64": False, "crit": ["b64"]}, "crit empty": {"crit": []}}
    forged |= {
        f"{name}, own key": signed({**header, **members}, claims, foreign)
        for name, members in own.items()
    }
    later = {**claims, "exp": claims["exp"] + 3600}
    flipped = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    return forged | {
        "changed claims": f"{assemble(header, later)}.{signature}",
        "changed signature": f"{first}.{second}.{flipped}",
        "cut signature": f"{first}.{second}.{signature[:-4]}",
        "zero signature": f"{first}.{second}.{encode(bytes(64))}",
        "no signature": f"{first}.{second}.",
        "two parts": f"{first}.{second}",
        "five parts": f"{genuine}.{second}.{signature}",
        "nested": f"{assemble({**header, 'cty': 'JWT'}, genuine.encode())}.{signature}",
        "deflated": f"{encode(orjson.dumps({**header, 'zip': 'DEF'}))}."
        f"{encode(zlib.compress(bytes(10_000)))}.{signature}",
        "header twice alg": f"{encode(_twice(header, 'alg', 'none'))}.{second}.{signature}",
        "header no object": f"{encode(b'[]')}.{second}.{signature}",
        "header deep": f"{encode(b'[' * 5000)}.{second}.{signature}",
        "header not JSON": f"{encode(b'{')}.{second}.{signature}",
        "header not UTF-8": f"{encode(bytes([0xFF, 0xFE]))}.{second}.{signature}",
        "not base64": f"{first}.%%%.{signature}",
        "padded": f"{first}=.{second}=.{signature}=",
        "huge": f"{first}.{'A' * 20_000}.{signature}",
        "dots": "...",
        "a dot": ".",
        "not ASCII": f"{first}.{second}.\u00e9",
    }


def _twice(header: Mapping[str, Any], name: str, value: str) -> bytes:
    return orjson.dumps({name: value})[:-1] + b"," + orjson.dumps(header)[1:]


async def wrong_claims(provider: Provider, genuine: str) -> dict[str, str]:
    """Return tokens with our very signature that still must not count.

    Nobody can make them but us; a bug in an older version, or a key that is shared, could.
    """
    header, claims = header_of(genuine), claims_of(genuine)
    key = (await signing_key(provider)).private_key
    now = int(time.time())
    changes: dict[str, dict[str, Any]] = {
        "another issuer": {"iss": "https://evil.example"},
        "the issuer with a slash": {"iss": f"{claims['iss']}/"},
        "issuers": {"iss": [claims["iss"]]},
        "expired": {"exp": now - 1},
        "expires at zero": {"exp": 0},
        "expires before the epoch": {"exp": -1},
        "expires as text": {"exp": str(now + 300)},
        "expires never": {"exp": None},
        "expires in a list": {"exp": [now + 300]},
        "expires beyond years": {"exp": -(10**15)},
        "no token identifier": {"jti": None},
        "identifier of another kind": {"jti": "not-a-uuid"},
        "identifier of the past": {"jti": "00000000-0000-7000-8000-000000000000"},
        "identifier, not time-ordered": {"jti": "9a1f7d7c-8b6f-4c66-9b6b-0d8f3f1f1a11"},
        "no audience": {"aud": None},
        "audience a number": {"aud": 5},
        "no client": {"client_id": None},
        "another client": {"client_id": "nobody"},
        "scope a list": {"scope": ["openid"]},
        "another person": {"sub": "0198c0de-0000-7000-8000-000000000000"},
    }
    made = {name: signed(header, {**claims, **change}, key) for name, change in changes.items()}
    for typ in ("JWT", "at", "application/jwt", "logout+jwt", "", None, 1):
        made[f"typ {typ!r}"] = signed({**header, "typ": typ}, claims, key)
    raw = orjson.dumps(claims)
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400):
        made[f"exp {number[:10]}"] = signed(header, raw[:-1] + f',"exp":{number}}}'.encode(), key)
    made["exp twice"] = signed(header, raw[:-1] + b',"exp":1}', key)
    for name, content in {"no object": b"[]", "deep": b"[" * 5000, "empty": b""}.items():
        made[f"claims {name}"] = signed(header, content, key)
    made["claims not UTF-8"] = signed(header, bytes([0x7B, 0xFF]), key)
    return made
