"""What is refused as a JWT of ours, whoever signed it (RFC 8725)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authsvc.signing.jwt import MAX_LENGTH, InvalidJwt, sign, verify
from authsvc.signing.keyring import Keyring, SigningKey
from tests.provider import Provider

TYPE = "at+jwt"
CLAIMS = {"sub": "somebody"}


def _encode(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _forge(
    key: SigningKey, header: dict[str, Any] | bytes, claims: Any = None, *, sign_with: Any = None
) -> str:
    """Sign with the real key, and a header of choice."""
    content = f"{_encode(header)}.{_encode(CLAIMS if claims is None else claims)}"
    signer = sign_with or (lambda data: _raw_signature(key, data))
    return f"{content}.{_encode(signer(content.encode()))}"


def _raw_signature(key: SigningKey, data: bytes) -> bytes:
    algorithm = pyjwt.algorithms.get_default_algorithms()[key.alg]
    signature: bytes = algorithm.sign(data, key.private_key)
    return signature


def _der_signature(key: SigningKey, data: bytes) -> bytes:
    assert isinstance(key.private_key, ec.EllipticCurvePrivateKey)
    return key.private_key.sign(data, ec.ECDSA(hashes.SHA256()))


def _header(key: SigningKey, **members: Any) -> dict[str, Any]:
    header = {"alg": key.alg, "typ": TYPE, "kid": key.kid, **members}
    return {name: value for name, value in header.items() if value is not None}


def _mac_with_public_key(key: SigningKey) -> Callable[[bytes], bytes]:
    secret = json.dumps(dict(key.public_jwk)).encode()
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


FORGERIES: dict[str, Callable[[SigningKey], str]] = {
    "alg none without a signature": lambda key: (
        f"{_encode(_header(key, alg='none'))}.{_encode(CLAIMS)}."
    ),
    "alg None in other letters": lambda key: (
        f"{_encode(_header(key, alg='nOnE'))}.{_encode(CLAIMS)}."
    ),
    "alg none with a signature": lambda key: _forge(key, _header(key, alg="none")),
    "HS256 with the public key as the secret": lambda key: _forge(
        key, _header(key, alg="HS256"), sign_with=_mac_with_public_key(key)
    ),
    "another algorithm in the header": lambda key: _forge(key, _header(key, alg="PS256")),
    "no algorithm": lambda key: _forge(key, _header(key, alg=None)),
    "algorithm that is no text": lambda key: _forge(key, _header(key, alg=7)),
    "an unknown kid": lambda key: _forge(key, _header(key, kid="unknown")),
    "no kid": lambda key: _forge(key, _header(key, kid=None)),
    "a kid that is no text": lambda key: _forge(key, _header(key, kid=["a"])),
    "a key of its own in the header": lambda key: _forge(
        key,
        _header(key, kid="own", jwk=dict(key.public_jwk)),
    ),
    "another typ": lambda key: _forge(key, _header(key, typ="JWT")),
    "the typ of a logout token": lambda key: _forge(key, _header(key, typ="logout+jwt")),
    "no typ": lambda key: _forge(key, _header(key, typ=None)),
    "a critical extension": lambda key: _forge(key, _header(key, crit=["exp"], exp=1)),
    "an empty list of critical extensions": lambda key: _forge(key, _header(key, crit=[])),
    "an unencoded payload": lambda key: _forge(key, _header(key, b64=False, crit=["b64"])),
    "claims that are a list": lambda key: _forge(key, _header(key), ["sub"]),
    "claims that are a text": lambda key: _forge(key, _header(key), "sub"),
    "claims that are null": lambda key: _forge(key, _header(key), b"null"),
    "claims that are no JSON": lambda key: _forge(key, _header(key), b"{"),
    "claims that are no UTF-8": lambda key: _forge(key, _header(key), b'{"a":"\xff"}'),
    "no claims": lambda key: _forge(key, _header(key), b""),
    "too long": lambda key: _forge(key, _header(key), {"a": "x" * MAX_LENGTH}),
    "deeply nested": lambda key: _forge(key, _header(key), b"[" * 6_000 + b"]" * 6_000),
    "a header that is deeply nested": lambda key: _forge(key, b"[" * 6_000),
    "an empty signature": lambda key: sign(key, CLAIMS, typ=TYPE).rpartition(".")[0] + ".",
    "no signature": lambda key: sign(key, CLAIMS, typ=TYPE).rpartition(".")[0],
    "a signature of zeros": lambda key: _forge(
        key, _header(key), sign_with=lambda _data: bytes(64)
    ),
    "a signature in DER form": lambda key: _forge(
        key, _header(key), sign_with=lambda data: _der_signature(key, data)
    ),
    "five parts": lambda key: sign(key, CLAIMS, typ=TYPE) + ".a.b",
    "JSON serialization": lambda key: json.dumps({"payload": sign(key, CLAIMS, typ=TYPE)}),
    "blanks around": lambda key: f" {sign(key, CLAIMS, typ=TYPE)} ",
    "nothing": lambda _key: "",
    "dots": lambda _key: "..",
    "no ASCII": lambda _key: "é.é.é",
    "a NUL": lambda key: sign(key, CLAIMS, typ=TYPE) + "\x00",
    "half a surrogate pair": lambda _key: "\ud83d.\ud83d.\ud83d",
}


@pytest.fixture
async def keyring(sqlite_provider: Provider) -> Keyring:
    """A keyring with every algorithm."""
    return await sqlite_provider.resources.keyring.get()


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_what_is_signed_here_is_verified_here(keyring: Keyring, alg: str) -> None:
    key = keyring.active(alg)

    claims, found = verify(sign(key, CLAIMS, typ=TYPE), keyring, typ=TYPE)

    assert claims == CLAIMS
    assert found is key


async def test_a_typ_may_be_spelt_as_a_whole_media_type(keyring: Keyring) -> None:
    key = keyring.active("ES256")

    verify(_forge(key, _header(key, typ="application/AT+JWT")), keyring, typ=TYPE)


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forgery_is_no_jwt_of_ours(
    keyring: Keyring, forge: Callable[[SigningKey], str]
) -> None:
    with pytest.raises(InvalidJwt):
        verify(forge(keyring.active("ES256")), keyring, typ=TYPE)


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forgery_is_refused_by_every_endpoint_and_never_a_500(
    sqlite_provider: Provider, keyring: Keyring, forge: Callable[[SigningKey], str]
) -> None:
    client = await sqlite_provider.create_client()
    forged = forge(keyring.active("ES256"))
    if not forged.strip() or not forged.isascii() or not forged.isprintable():
        forged = "a.b.c"  # never gets past the parameters, which have tests of their own

    if len(forged) < 8_000:
        assert (await sqlite_provider.introspect(client, forged))["active"] is False
        assert (await sqlite_provider.revoke(client, forged)).status_code == 200
    assert (await sqlite_provider.userinfo(forged)).status_code in (400, 401)


async def test_a_jwt_is_bound_to_its_key_and_a_changed_one_is_refused(keyring: Keyring) -> None:
    text = sign(keyring.active("ES256"), CLAIMS, typ=TYPE)
    header, claims, signature = text.split(".")
    other = sign(keyring.active("ES256"), {"sub": "somebody else"}, typ=TYPE).split(".")

    for changed in (
        f"{header}.{other[1]}.{signature}",
        f"{header}.{claims}.{other[2]}",
        f"{_encode(_header(keyring.active('EdDSA')))}.{claims}.{signature}",
    ):
        with pytest.raises(InvalidJwt):
            verify(changed, keyring, typ=TYPE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(text=st.one_of(st.text(), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,90}")))
def test_whatever_is_sent_is_refused_as_invalid(sqlite_keyring: Keyring, text: str) -> None:
    with pytest.raises(InvalidJwt):
        verify(text, sqlite_keyring, typ=TYPE)


@pytest.fixture
def sqlite_keyring() -> Keyring:
    """A keyring without keys: whatever it is, nobody signed it."""
    return Keyring([])
