"""Key material: published exactly, imported carefully, and sealed where it is stored."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from pydantic import SecretStr

from authsvc.config import ConfigError
from authsvc.protocol.errors import Conflict, InvalidRequest
from authsvc.signing.algorithms import ALGORITHMS, generate_private_key, public_jwk, serialize
from authsvc.storage.root_secrets import reseal_root_secret
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.provider import ORIGIN, PASSWORD, Provider, claims_of, header_of
from tests.signing.test_rotation import (
    JWKS_MAX_AGE,
    PROPAGATION,
    issue,
    keys_of,
    published_kids,
    rotate,
)

OTHER_MASTER_KEY = base64.urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")
MEMBERS = {
    "ES256": {"kty": "EC", "crv": "P-256", "x": 32, "y": 32},
    "RS256": {"kty": "RSA", "n": 256, "e": 3},
    "PS256": {"kty": "RSA", "n": 256, "e": 3},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519", "x": 32},
}


def _pem(key: Any, password: bytes | None = None) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return pem


def _short_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505  # to be refused


def _dsa_key() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(1024)  # noqa: S505  # to be refused


async def _import(provider: Provider, pem: bytes, alg: str) -> str:
    async with provider.resources.database.transaction() as tx:
        return await provider.resources.key_rotation.import_key(tx, pem, alg, ORIGIN)


def _decoded(value: str) -> bytes:
    assert "=" not in value
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _thumbprint(jwk: dict[str, Any]) -> str:
    """Compute RFC 7638 §3 by hand."""
    required = {
        "EC": ["crv", "kty", "x", "y"],
        "RSA": ["e", "kty", "n"],
        "OKP": ["crv", "kty", "x"],
    }[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in sorted(required)}, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_thumbprint_of_rfc_7638_is_what_it_says_there() -> None:
    # RFC 7638 §3.1.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"
        "PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvz"
        "qY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ"
        "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert _thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


async def test_the_jwks_holds_public_members_of_the_right_length_and_no_others(
    sqlite_provider: Provider,
) -> None:
    response = await sqlite_provider.http.get("/jwks")

    assert response.headers["content-type"] == "application/jwk-set+json"
    jwks = response.json()["keys"]
    assert {jwk["alg"] for jwk in jwks} == set(ALGORITHMS)
    assert len({jwk["kid"] for jwk in jwks}) == len(jwks) == 2 * len(ALGORITHMS)
    for jwk in jwks:
        expected = MEMBERS[jwk["alg"]]
        assert set(jwk) == {*expected, "kid", "use", "alg"}
        assert jwk["use"] == "sig"
        assert jwk["kid"] == _thumbprint(jwk)
        for member, value in expected.items():
            if isinstance(value, int):
                assert len(_decoded(jwk[member])) == value, member
            else:
                assert jwk[member] == value


def test_coordinates_keep_their_leading_zeros() -> None:
    # RFC 7518 §6.2.1.2: the full size of a coordinate, always. One key in 128 needs it.
    for secret in range(1, 2_000):
        key = ec.derive_private_key(secret, ec.SECP256R1())
        numbers = key.public_key().public_numbers()
        if min(numbers.x, numbers.y) < 2**248:
            jwk = public_jwk(key, "ES256")
            assert len(_decoded(jwk["x"])) == len(_decoded(jwk["y"])) == 32
            return
    raise AssertionError("no such key was met")


FORMS = [(alg, serialization.PrivateFormat.PKCS8) for alg in ALGORITHMS] + [
    (alg, serialization.PrivateFormat.TraditionalOpenSSL) for alg in ("ES256", "RS256")
]


@pytest.mark.parametrize(("alg", "form"), FORMS)
async def test_a_key_in_pem_form_is_imported_published_and_signs_in_its_turn(
    sqlite_backend: Backend,
    open_providers: OpenProvider,
    alg: str,
    form: serialization.PrivateFormat,
) -> None:
    provider = await open_providers(sqlite_backend, signing_alg=alg)
    client = await provider.create_client()
    pem = generate_private_key(alg).private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    )
    # The next key that is there already has its turn first.
    await rotate(provider)
    waiting = (await keys_of(provider, alg))["next"][0]

    kid = await _import(provider, pem, alg)

    assert kid in await published_kids(provider)
    for expected in (waiting.kid, kid):
        provider.clock.move(seconds=JWKS_MAX_AGE + PROPAGATION)
        await rotate(provider)
        token = await issue(provider, client)
        assert header_of(token) == {"alg": alg, "typ": "at+jwt", "kid": expected}
        assert (await provider.introspect(client, token))["active"] is True
    with pytest.raises(Conflict):
        await _import(provider, pem, alg)


WRONG_KEYS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another kind": (lambda: _pem(ed25519.Ed25519PrivateKey.generate()), "ES256"),
    "EC for RSA": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "RS256"),
    "EC for EdDSA": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "EdDSA"),
    "another curve": (lambda: _pem(ec.generate_private_key(ec.SECP384R1())), "ES256"),
    "a curve of the same size": (lambda: _pem(ec.generate_private_key(ec.SECP256K1())), "ES256"),
    "RSA that is too short": (lambda: _pem(_short_rsa_key()), "PS256"),
    "DSA": (lambda: _pem(_dsa_key()), "RS256"),
    "encrypted": (lambda: _pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "ES256"),
    "a public key": (
        lambda: (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ),
        "ES256",
    ),
    "no PEM": (lambda: b"not a key", "ES256"),
    "empty": (lambda: b"", "RS256"),
    "an unknown algorithm": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "ES384"),
    "a shared secret": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "HS256"),
    "none": (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "none"),
}


@pytest.mark.parametrize(("make", "alg"), WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
async def test_a_key_that_can_not_sign_with_the_algorithm_is_refused(
    sqlite_provider: Provider, make: Callable[[], bytes], alg: str
) -> None:
    before = await published_kids(sqlite_provider)

    with pytest.raises(InvalidRequest):
        await _import(sqlite_provider, make(), alg)

    assert await published_kids(sqlite_provider) == before


async def test_private_keys_lie_sealed_in_the_database(provider: Provider) -> None:
    imported = ec.generate_private_key(ec.SECP256R1())
    await _import(provider, _pem(imported), "ES256")
    keyring = await provider.resources.keyring.get()
    published = (await provider.http.get("/jwks")).json()["keys"]

    async with provider.resources.database.reading() as tx:
        connection = await tx.connection()
        rows = (await connection.exec_driver_sql("SELECT * FROM signing_keys")).all()
    stored = b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )

    assert len(rows) == len(published) == 2 * len(ALGORITHMS) + 1
    for jwk in published:
        key = keyring.find(jwk["kid"])
        assert key is not None
        der = serialize(key.private_key)
        # Not the key in any form, nor the number that is the secret in it.
        for clear in (der, _pem(key.private_key), base64.b64encode(der), der[-32:]):
            assert clear not in stored
    assert b"PRIVATE KEY" not in stored


async def test_two_seals_of_one_master_key_differ_and_a_seal_can_not_be_moved(
    sqlite_provider: Provider,
) -> None:
    seals = sqlite_provider.resources.master_keys

    assert seals.seal(b"x", purpose="signing key") != seals.seal(b"x", purpose="signing key")
    keys = await keys_of(sqlite_provider)
    sealed = keys["active"][0].private_key_sealed
    with pytest.raises(ValueError, match="altered"):
        seals.open(sealed, purpose="root secret")


async def test_the_master_key_is_rotated_without_an_interruption(
    backend: Backend, open_providers: OpenProvider
) -> None:
    before = await open_providers(backend)
    client, account = await before.create_client(), await before.create_user()
    tokens = await before.sign_in(client, account)

    both = await open_providers(backend, master_key=SecretStr(f"{OTHER_MASTER_KEY} {MASTER_KEY}"))
    assert (await both.userinfo(tokens["access_token"])).status_code == 200
    resources = both.resources
    async with resources.database.transaction() as tx:
        assert await resources.key_rotation.reseal(tx, ORIGIN) == 2 * len(ALGORITHMS)
        assert await reseal_root_secret(tx, resources.master_keys)
    async with resources.database.transaction() as tx:
        assert await resources.key_rotation.reseal(tx, ORIGIN) == 0
    after = await open_providers(backend, master_key=SecretStr(OTHER_MASTER_KEY))

    assert (await after.userinfo(tokens["access_token"])).status_code == 200
    refreshed = await after.refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200
    assert claims_of((await after.sign_in(client, account))["id_token"])["sub"] == account.id
    with pytest.raises(ConfigError) as refused:
        await open_providers(backend)
    assert MASTER_KEY not in str(refused.value)


@pytest.mark.parametrize("signing_alg", ALGORITHMS)
async def test_each_client_gets_its_id_tokens_in_its_own_algorithm(
    sqlite_backend: Backend, open_providers: OpenProvider, signing_alg: str
) -> None:
    provider = await open_providers(sqlite_backend, signing_alg=signing_alg)
    account = await provider.create_user(password=PASSWORD)

    for alg in (*ALGORITHMS, None):
        client = await provider.create_client(id_token_signed_response_alg=alg)
        tokens = await provider.sign_in(client, account)
        assert header_of(tokens["id_token"])["alg"] == (alg or "RS256")
        assert header_of(tokens["access_token"])["alg"] == signing_alg
