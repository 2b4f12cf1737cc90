"""JSON Web Encryption to a client's public key (RFC 7516, RFC 7518 §4 and §5)."""

import json
from base64 import urlsafe_b64encode

import pytest
from joserfc import jwe
from joserfc.errors import DecodeError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from authsvc.protocol import encryption
from authsvc.protocol.encryption import (
    CONTENT_ALGORITHMS,
    KEY_ALGORITHMS,
    encrypt,
    find_encryption_key,
)
from tests.protocol.jwe_by_hand import PrivateKey, concat_kdf, decode, decrypt_by_hand, header_of

RSA = RSAKey.generate_key(2048)
P256, P384, P521 = (ECKey.generate_key(crv) for crv in ("P-256", "P-384", "P-521"))
X25519 = OKPKey.generate_key("X25519")
ED25519 = OKPKey.generate_key("Ed25519")
AGREEMENT_KEYS: dict[str, ECKey | OKPKey] = {
    "P-256": P256,
    "P-384": P384,
    "P-521": P521,
    "X25519": X25519,
}
PAIRS = [("RSA", alg) for alg in KEY_ALGORITHMS if alg.startswith("RSA")] + [
    (crv, alg) for crv in AGREEMENT_KEYS for alg in KEY_ALGORITHMS if alg.startswith("ECDH")
]
CONTENT = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
SECRETS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def key_named(name: str) -> PrivateKey:
    return RSA if name == "RSA" else AGREEMENT_KEYS[name]


def public(key: PrivateKey, **members: object) -> dict[str, object]:
    return {**key.as_dict(private=False), **members}


def test_the_key_derivation_of_this_test_is_that_of_the_rfc() -> None:
    """RFC 7518 appendix C."""
    shared = bytes([
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
        251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ])  # fmt: skip
    derived = concat_kdf(shared, "A128GCM", 128, apu=b"Alice", apv=b"Bob")
    assert derived == decode("VqqN6vgjbSBcIijNcacQGg")


@pytest.mark.parametrize("enc", CONTENT_ALGORITHMS)
@pytest.mark.parametrize(("name", "alg"), PAIRS)
def test_what_is_encrypted_is_read_with_the_private_key(name: str, alg: str, enc: str) -> None:
    key = key_named(name)
    jwk = public(key, kid="k1", use="enc", alg=alg)
    token = encrypt(CONTENT, jwk, alg=alg, enc=enc, content_type="JWT")
    read = jwe.decrypt_compact(token, key, algorithms=[alg, enc])
    assert read.plaintext == CONTENT
    assert decrypt_by_hand(token, key) == CONTENT
    header = header_of(token)
    header.pop("epk", None)
    assert header == {"alg": alg, "enc": enc, "kid": "k1", "cty": "JWT"}


@pytest.mark.parametrize("content", [b"", b"{}", "\u00e9".encode(), bytes(range(256)) * 400])
def test_any_content_is_encrypted(content: bytes) -> None:
    for enc in CONTENT_ALGORITHMS:
        token = encrypt(content, public(P256), alg="ECDH-ES", enc=enc, content_type=None)
        assert decrypt_by_hand(token, P256) == content


def test_a_header_says_nothing_that_is_not_known() -> None:
    token = encrypt(CONTENT, public(RSA), alg="RSA-OAEP", enc="A128GCM", content_type=None)
    assert header_of(token) == {"alg": "RSA-OAEP", "enc": "A128GCM"}


@pytest.mark.parametrize(("name", "alg"), [("RSA", "RSA-OAEP"), ("P-256", "ECDH-ES+A128KW")])
def test_no_two_encryptions_are_alike(name: str, alg: str) -> None:
    jwk = public(key_named(name))
    tokens = [
        encrypt(CONTENT, jwk, alg=alg, enc="A128GCM", content_type=None).split(".")
        for _ in range(2)
    ]
    for part in (1, 2, 3, 4):
        assert tokens[0][part] != tokens[1][part]


@pytest.mark.parametrize("enc", CONTENT_ALGORITHMS)
def test_a_changed_header_is_not_read(enc: str) -> None:
    token = encrypt(CONTENT, public(RSA), alg="RSA-OAEP", enc=enc, content_type="JWT")
    header = json.dumps(header_of(token) | {"cty": "jwt"}, separators=(",", ":")).encode()
    changed = urlsafe_b64encode(header).rstrip(b"=").decode()
    with pytest.raises(DecodeError):
        jwe.decrypt_compact(
            ".".join([changed, *token.split(".")[1:]]), RSA, algorithms=["RSA-OAEP", enc]
        )


@pytest.mark.parametrize(("name", "alg"), PAIRS)
def test_no_private_member_is_used_or_shown(name: str, alg: str) -> None:
    key = key_named(name)
    jwk: dict[str, object] = {**key.as_dict(private=True), "k": "c2VjcmV0"}
    token = encrypt(CONTENT, jwk, alg=alg, enc="A128GCM", content_type=None)
    header = header_of(token)
    for members in (header, header.get("epk", {})):
        assert not set(SECRETS) & set(members)
    assert decrypt_by_hand(token, key) == CONTENT
    without = {**jwk, **dict.fromkeys(SECRETS, "nonsense")}
    again = encrypt(CONTENT, without, alg=alg, enc="A128GCM", content_type=None)
    assert decrypt_by_hand(again, key) == CONTENT


def test_an_ephemeral_key_is_new_each_time_and_not_the_recipients() -> None:
    shown = {
        header_of(encrypt(CONTENT, public(P256), alg="ECDH-ES", enc="A128GCM", content_type=None))[
            "epk"
        ]["x"]
        for _ in range(3)
    }
    assert len(shown) == 3
    assert P256.as_dict()["x"] not in shown


@pytest.mark.parametrize(
    "alg", ["RSA1_5", "dir", "A128KW", "A256GCMKW", "PBES2-HS256+A128KW", "ECDH-ES+A192KW", "none"]
)
def test_an_algorithm_that_is_not_offered_is_refused(alg: str) -> None:
    jwks: list[dict[str, object]] = [public(RSA), public(P256)]
    jwks.append({"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAA"})
    assert find_encryption_key(jwks, alg) is None
    for jwk in jwks:
        with pytest.raises(ValueError, match="not offered"):
            encrypt(CONTENT, jwk, alg=alg, enc="A128GCM", content_type=None)


@pytest.mark.parametrize("enc", ["A192GCM", "A192CBC-HS384", "none", "", "RSA-OAEP"])
def test_a_content_algorithm_that_is_not_offered_is_refused(enc: str) -> None:
    with pytest.raises(ValueError, match="not offered"):
        encrypt(CONTENT, public(RSA), alg="RSA-OAEP", enc=enc, content_type=None)


def test_the_library_permits_what_is_offered_and_nothing_else() -> None:
    def permitted(kind: str) -> set[str]:
        names = jwe.JWERegistry.algorithms["alg" if kind == "alg" else "enc"]
        return {name for name in names if name in (encryption._REGISTRY.allowed or ())}

    assert permitted("alg") == set(KEY_ALGORITHMS)
    assert permitted("enc") == set(CONTENT_ALGORITHMS)
    for name in ("RSA1_5", "dir", "A128KW"):
        with pytest.raises(Exception, match="not allowed"):
            encryption._REGISTRY.get_alg(name)


@pytest.mark.parametrize(
    ("alg", "jwk"),
    [
        ("RSA-OAEP", public(P256)),
        ("RSA-OAEP", public(X25519)),
        ("ECDH-ES", public(RSA)),
        ("ECDH-ES", public(ED25519)),
        ("ECDH-ES", public(P256, crv="secp256k1")),
        ("ECDH-ES", public(P256, crv="X25519")),
        ("ECDH-ES", {**OctKey.generate_key(256).as_dict(private=True)}),
        ("RSA-OAEP", public(RSA, use="sig")),
        ("RSA-OAEP", public(RSA, use=["enc"])),
        ("RSA-OAEP", public(RSA, alg="RS256")),
        ("RSA-OAEP", public(RSA, alg="RSA-OAEP-256")),
        ("RSA-OAEP", public(RSA, key_ops=["verify"])),
        ("RSA-OAEP", public(RSA, key_ops=[])),
        ("RSA-OAEP", public(RSA, key_ops="encrypt")),
        ("RSA-OAEP", public(RSA, key_ops=[["encrypt"]])),
        ("RSA-OAEP", public(RSA, n=str(RSA.as_dict()["n"])[:341])),
        ("RSA-OAEP", public(RSA, n=1)),
        ("RSA-OAEP", public(RSA, n="\u00e9")),
        ("RSA-OAEP", {"kty": "RSA"}),
        ("ECDH-ES", {"kty": "EC"}),
        ("ECDH-ES", {"kty": "EC", "crv": ["P-256"]}),
        ("ECDH-ES", {}),
    ],
)
def test_a_key_that_does_not_fit_is_neither_found_nor_used(
    alg: str, jwk: dict[str, object]
) -> None:
    assert find_encryption_key([jwk], alg) is None
    with pytest.raises(ValueError, match="does not fit"):
        encrypt(CONTENT, jwk, alg=alg, enc="A128GCM", content_type=None)


@pytest.mark.parametrize(
    ("alg", "jwk"),
    [
        ("ECDH-ES", public(P256, y=P256.as_dict()["x"])),
        ("ECDH-ES", public(P256, crv="P-384")),
        ("ECDH-ES", public(X25519, x="AAAA")),
        # A point of small order, with which each agreement is on zero (RFC 7748 §6.1).
        ("ECDH-ES", public(X25519, x="A" * 43)),
        ("ECDH-ES", {"kty": "EC", "crv": "P-256"}),
        ("ECDH-ES", public(P256, x=1)),
        ("RSA-OAEP", public(RSA, e="AA")),
        ("RSA-OAEP", public(RSA, e="AQAA")),
        ("RSA-OAEP", public(RSA, e=None)),
        ("RSA-OAEP", public(RSA, n=str(RSA.as_dict()["n"])[:-1] + "A")),
    ],
)
def test_a_key_that_is_broken_is_refused(alg: str, jwk: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encrypt(CONTENT, jwk, alg=alg, enc="A128GCM", content_type=None)


def test_the_first_key_that_fits_is_found() -> None:
    keys = [
        public(RSA, use="sig", kid="1"),
        public(P256, kid="2", alg="ES256"),
        public(P521, kid="3", alg="ECDH-ES"),
        public(X25519, kid="4", key_ops=["deriveBits"]),
        public(RSA, kid="5", use="enc"),
        public(RSA, kid="6", key_ops=["wrapKey"]),
    ]
    found = {alg: find_encryption_key(iter(keys), alg) for alg in KEY_ALGORITHMS}
    assert {alg: jwk and jwk["kid"] for alg, jwk in found.items()} == {
        "RSA-OAEP": "5",
        "RSA-OAEP-256": "5",
        "ECDH-ES": "3",
        "ECDH-ES+A128KW": "4",
        "ECDH-ES+A256KW": "4",
    }


@pytest.mark.parametrize("operation", ["encrypt", "wrapKey", "deriveKey", "deriveBits"])
def test_a_key_with_an_operation_of_encryption_fits(operation: str) -> None:
    jwk = public(RSA, key_ops=[operation])
    assert find_encryption_key([jwk], "RSA-OAEP") is jwk
    token = encrypt(CONTENT, jwk, alg="RSA-OAEP", enc="A128GCM", content_type=None)
    assert decrypt_by_hand(token, RSA) == CONTENT
