"""The JWK Set of a client: public keys that verify or encrypt (RFC 7517, RFC 7518 §6)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from authsvc.protocol.client_jwks import parse_client_jwks, read_client_jwks
from authsvc.protocol.encryption import KEY_ALGORITHMS, find_encryption_key
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
# RFC 8037 appendix A.6.
X25519 = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}


def rsa(bits: int) -> dict[str, object]:
    modulus = ((1 << (bits - 1)) + 1).to_bytes((bits + 7) // 8)
    return {
        "kty": "RSA",
        "n": base64.urlsafe_b64encode(modulus).rstrip(b"=").decode(),
        "e": "AQAB",
    }


def generated(crv: str) -> dict[str, object]:
    return {**ECKey.generate_key(crv, private=False).as_dict()}


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
        X25519 | {"use": "enc", "d": "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"},
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
        rsa(2048) | {"e": "AQABAQAB"},
        EC | {"kid": 1},
        EC | {"kid": ""},
        EC | {"kid": "a\x00"},
        EC | {"kid": "a" * 257},
        EC | {"alg": "none"},
        EC | {"alg": "HS256"},
        EC | {"alg": "RSA-OAEP"},
        EC | {"alg": 1},
        EC | {"alg": "dir"},
        EC | {"alg": "A128KW"},
        EC | {"use": "tls"},
        EC | {"use": "enc", "alg": "ES256"},
        EC | {"use": "sig", "alg": "ECDH-ES"},
        EC | {"use": "enc", "key_ops": ["verify"]},
        EC | {"use": "sig", "key_ops": ["deriveKey"]},
        EC | {"alg": "ES256", "key_ops": ["deriveKey"]},
        EC | {"key_ops": []},
        EC | {"key_ops": ["deriveKey", "deriveKey"]},
        EC | {"key_ops": ["deriveKey", 1]},
        EC | {"key_ops": ["deriveKey", []]},
        EC | {"key_ops": ["verify", "encrypt"]},
        EC | {"key_ops": ["wrapKey", "unwrapKey"]},
        OKP | {"use": "enc"},
        OKP | {"alg": "ECDH-ES"},
        X25519 | {"use": "sig"},
        X25519 | {"alg": "EdDSA"},
        X25519 | {"alg": "RSA-OAEP"},
        X25519 | {"key_ops": ["verify"]},
        rsa(2048) | {"alg": "RSA1_5"},
        rsa(2048) | {"alg": "ECDH-ES"},
        EC | {"use": ["sig"]},
        EC | {"key_ops": ["sign"]},
        EC | {"key_ops": ["verify", "sign"]},
        EC | {"key_ops": "verify"},
    ],
)
def test_a_key_that_is_good_for_nothing_is_refused(key: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        parse_client_jwks({"keys": [key]})


@pytest.mark.parametrize(
    "value", [None, [], "jwks", 1, {}, {"keys": []}, {"keys": {}}, {"keys": [OKP] * 21}]
)
def test_what_is_no_jwk_set_is_refused(value: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="1 to 20 keys"):
        parse_client_jwks(value)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        {},
        {"kty": "EC"},
        EC | {"crv": "secp256k1"},
        OKP | {"crv": "Ed448"},
        rsa(2048) | {"alg": "RSA1_5"},
        rsa(2048) | {"alg": "RSA-OAEP-384"},
        rsa(2048) | {"alg": "RSA-OAEP-512"},
        EC | {"alg": "ECDH-ES+A192KW"},
        EC | {"key_ops": ["verify", "encrypt"]},
        EC | {"use": "tls"},
        rsa(1024),
    ],
)
def test_a_key_that_can_not_be_used_is_left_out_and_the_others_stay(
    key: dict[str, object],
) -> None:
    good, named = EC | {"kid": "1"}, key | {"kid": "1"}
    for keys in ([named, good], [good, named], [named, good, named]):
        assert parse_client_jwks({"keys": keys}) == {"keys": [good]}
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        parse_client_jwks({"keys": [key, key]})


@pytest.mark.parametrize(
    "bad", [None, "key", [], {"kty": "AKP", "priv": "AA"}, {"kty": "X", "d": 1}, {"kty": "oct"}]
)
def test_what_is_no_key_or_a_secret_one_is_refused_also_beside_a_good_key(bad: object) -> None:
    for keys in ([EC, bad], [bad, EC], [{"kty": "AKP"}, bad]):
        with pytest.raises(InvalidClientMetadata, match=r"public keys|JSON Web Keys"):
            parse_client_jwks({"keys": keys})


SIG, ENC = {"use": "sig", "kid": "1"}, {"use": "enc", "kid": "1"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (EC | {"kid": "1"}, OKP | {"kid": "1"}),
        (EC | SIG, generated("P-256") | ENC),
        (EC | SIG, generated("P-256") | {"kid": "1", "alg": "ECDH-ES"}),
        (EC | ENC, generated("P-256") | {"kid": "1", "key_ops": ["verify"]}),
        (OKP | {"kid": "1"}, X25519 | {"kid": "1"}),
        (EC, generated("P-256")),
        (EC | {"kid": "1"}, generated("P-256")),
    ],
)
def test_a_kid_may_name_keys_that_nobody_takes_for_one_another(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert parse_client_jwks({"keys": [one, other]}) == {"keys": [one, other]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (EC | {"kid": "1"}, generated("P-256") | {"kid": "1"}),
        (EC | {"kid": "1"}, generated("P-384") | {"kid": "1"}),
        (EC | SIG, generated("P-256") | SIG),
        (EC | SIG, generated("P-256") | {"kid": "1"}),
        (EC | {"kid": "1"}, generated("P-256") | ENC),
        (EC | ENC, generated("P-256") | {"kid": "1", "key_ops": ["deriveKey"]}),
    ],
)
def test_a_kid_names_one_key_of_a_type_and_use(
    one: dict[str, object], other: dict[str, object]
) -> None:
    for keys in ([one, other], [other, OKP, one]):
        with pytest.raises(InvalidClientMetadata, match="one kid"):
            parse_client_jwks({"keys": keys})


@pytest.mark.parametrize(
    "key",
    [
        rsa(2048),
        rsa(2048) | {"use": "enc"},
        rsa(2048) | {"use": "enc", "alg": "RSA-OAEP"},
        rsa(2048) | {"alg": "RSA-OAEP-256", "key_ops": ["wrapKey", "encrypt"]},
        EC | {"use": "enc"},
        EC | {"key_ops": ["deriveKey", "deriveBits"]},
        generated("P-384") | {"use": "enc", "alg": "ECDH-ES+A128KW"},
        generated("P-521") | {"use": "enc", "alg": "ECDH-ES+A256KW", "kid": "e"},
        X25519,
        X25519 | {"use": "enc", "alg": "ECDH-ES", "key_ops": ["deriveBits"]},
    ],
)
def test_a_key_to_encrypt_to_is_kept_as_it_is(key: dict[str, object]) -> None:
    kept = parse_client_jwks({"keys": [key | {"x5t": "AA"}]})
    assert kept == read_client_jwks({"keys": [key | {"x5t": "AA"}]}) == {"keys": [key]}
    assert any(find_encryption_key(kept["keys"], alg) == key for alg in KEY_ALGORITHMS)


def test_of_a_fetched_set_what_can_not_be_used_is_left_out() -> None:
    unusable: list[object] = [
        None,
        "key",
        {},
        {"kty": "AKP", "pub": "AA"},
        {"kty": "oct", "k": "AA"},
        EC | {"d": "AA"},
        EC | {"crv": "secp256k1"},
        EC | {"use": "tls"},
        EC | {"alg": "HS256"},
        OKP | {"kid": 1},
        X25519 | {"use": "sig"},
        rsa(1024),
    ]
    sent = {"keys": [*unusable, EC | {"more": 1}, *unusable, X25519], "more": 1}
    assert read_client_jwks(sent) == {"keys": [EC, X25519]}


@pytest.mark.parametrize(
    "key",
    [
        EC | {"x": EC["y"]},
        EC | {"crv": "P-384"},
        OKP | {"x": "AAAA"},
        X25519 | {"x": X25519["x"] + "AA"},
        rsa(2048) | {"e": "AA"},
        rsa(2048) | {"e": "AAAA"},
    ],
)
def test_of_a_fetched_set_a_key_that_is_no_point_or_number_is_left_out(
    key: dict[str, object],
) -> None:
    assert read_client_jwks({"keys": [key, OKP]}) == {"keys": [OKP]}


def test_of_a_fetched_set_two_keys_with_one_kid_are_kept() -> None:
    keys = [EC | {"kid": "1"}, OKP | {"kid": "1"}]
    assert read_client_jwks({"keys": keys}) == {"keys": keys}


def test_of_a_fetched_set_100_keys_are_considered() -> None:
    assert read_client_jwks({"keys": [{}] * 99 + [OKP, EC]}) == {"keys": [OKP]}


def test_a_fetched_set_may_be_empty() -> None:
    assert read_client_jwks({"keys": []}) == {"keys": []}


@pytest.mark.parametrize("raw", [None, [], [OKP], "jwks", 1, {}, OKP, {"keys": {}}, {"keys": None}])
def test_what_was_fetched_and_is_no_jwk_set_is_refused(raw: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="jwks_uri"):
        read_client_jwks(raw)


VALUE = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
NAME = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"])


@given(st.sampled_from([EC, OKP, X25519, rsa(2048)]), st.dictionaries(NAME, VALUE, max_size=3))
def test_a_key_with_arbitrary_members_is_kept_or_refused(
    key: dict[str, object], changes: dict[str, object]
) -> None:
    try:
        parsed = parse_client_jwks({"keys": [key | changes]})
    except InvalidClientMetadata:
        assert read_client_jwks({"keys": [key | changes]}) == {"keys": []}
        return
    assert parse_client_jwks(parsed) == parsed
    assert read_client_jwks(parsed) in (parsed, {"keys": []})
