"""The JWK Set of a client: public signature keys alone (RFC 7517, RFC 7518 §6)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.client_jwks import parse_client_jwks
from authsvc.protocol.errors import InvalidClientMetadata

# RFC 7517 appendix A.1.
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
# RFC 8037 appendix A.2.
OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


def rsa(bits: int) -> dict[str, object]:
    modulus = ((1 << (bits - 1)) + 1).to_bytes((bits + 7) // 8)
    return {
        "kty": "RSA",
        "n": base64.urlsafe_b64encode(modulus).rstrip(b"=").decode(),
        "e": "AQAB",
    }


def test_keys_are_kept_without_the_members_that_verify_nothing() -> None:
    ec = EC | {"kid": "1", "use": "sig", "alg": "ES256", "key_ops": ["verify"]}
    sent = {"keys": [ec | {"x5u": "https://a.example/", "extra": [1]}, OKP], "more": 1}
    assert parse_client_jwks(sent) == {"keys": [ec, OKP]}


@pytest.mark.parametrize("bits", [2048, 8192])
def test_rsa_keys_of_the_shortest_and_the_longest_length_are_kept(bits: int) -> None:
    assert parse_client_jwks({"keys": [rsa(bits)]}) == {"keys": [rsa(bits)]}


@pytest.mark.parametrize("bits", [512, 2047, 8193, 16384])
def test_rsa_keys_that_are_weak_or_slow_are_refused(bits: int) -> None:
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        parse_client_jwks({"keys": [rsa(bits)]})


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"},
        {"kty": "oct"},
        *(EC | {name: "AA"} for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")),
        EC | {"d": None},
        OKP | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
        rsa(2048) | {"d": "AQ"},
    ],
)
def test_a_secret_key_is_refused_as_such(key: dict[str, object]) -> None:
    with pytest.raises(InvalidClientMetadata, match="public keys only"):
        parse_client_jwks({"keys": [OKP, key]})


@pytest.mark.parametrize(
    "key",
    [
        None,
        [],
        "key",
        {},
        {"kty": "EC"},
        {"kty": ["EC"]},
        {"kty": "AKP", "pub": "AA"},
        EC | {"crv": "secp256k1"},
        EC | {"crv": "Ed25519"},
        EC | {"x": 1},
        EC | {"y": ""},
        EC | {"y": "AA=="},
        EC | {"y": "\u00e9"},
        EC | {"y": "A"},
        {"kty": "EC", "crv": "P-256", "x": EC["x"]},
        OKP | {"crv": "X25519"},
        rsa(2048) | {"e": "AQABAQAB"},
        EC | {"kid": 1},
        EC | {"kid": ""},
        EC | {"kid": "a\x00"},
        EC | {"kid": "a" * 257},
        EC | {"alg": "none"},
        EC | {"alg": "HS256"},
        EC | {"alg": "RSA-OAEP"},
        EC | {"alg": 1},
        EC | {"use": "enc"},
        EC | {"use": ["sig"]},
        EC | {"key_ops": ["sign"]},
        EC | {"key_ops": ["verify", "sign"]},
        EC | {"key_ops": "verify"},
    ],
)
def test_a_key_that_verifies_nothing_is_refused(key: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        parse_client_jwks({"keys": [key]})


@pytest.mark.parametrize(
    "value", [None, [], "jwks", 1, {}, {"keys": []}, {"keys": {}}, {"keys": [OKP] * 21}]
)
def test_what_is_no_jwk_set_is_refused(value: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="1 to 20 keys"):
        parse_client_jwks(value)


def test_a_kid_names_one_key() -> None:
    assert len(parse_client_jwks({"keys": [EC, OKP]})["keys"]) == 2
    with pytest.raises(InvalidClientMetadata, match="one kid"):
        parse_client_jwks({"keys": [EC | {"kid": "1"}, OKP | {"kid": "1"}]})


VALUE = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
NAME = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"])


@given(st.sampled_from([EC, OKP, rsa(2048)]), st.dictionaries(NAME, VALUE, max_size=3))
def test_a_key_with_arbitrary_members_is_kept_or_refused(
    key: dict[str, object], changes: dict[str, object]
) -> None:
    try:
        parsed = parse_client_jwks({"keys": [key | changes]})
    except InvalidClientMetadata:
        return
    assert parse_client_jwks(parsed) == parsed
