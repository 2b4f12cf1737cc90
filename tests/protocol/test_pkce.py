"""Proof Key for Code Exchange (RFC 7636), S256 alone (RFC 9700 §2.1.1)."""

from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.pkce import check_challenge, verify

# RFC 7636 appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_vector_of_appendix_b_verifies() -> None:
    check_challenge(CHALLENGE, "S256")
    assert verify(VERIFIER, CHALLENGE)


@pytest.mark.parametrize(
    "verifier",
    [
        "",
        VERIFIER[:-1],
        VERIFIER + "A",
        VERIFIER + "\n",
        VERIFIER + "=",
        " " + VERIFIER,
        VERIFIER.lower(),
        CHALLENGE,
        "\u00e9" * 43,
        "\x00" * 43,
        "A" * 129,
    ],
)
def test_another_or_a_malformed_verifier_does_not_verify(verifier: str) -> None:
    assert not verify(verifier, CHALLENGE)


def test_a_challenge_is_not_its_own_verifier() -> None:
    assert not verify(CHALLENGE, CHALLENGE)


@pytest.mark.parametrize("length", [43, 128])
def test_verifiers_of_the_shortest_and_the_longest_length_verify(length: int) -> None:
    challenge = urlsafe_b64encode(sha256(b"A" * length).digest()).rstrip(b"=").decode()
    assert verify("A" * length, challenge)


@pytest.mark.parametrize("method", [None, "", "plain", "s256", "S256 ", "S512", "none"])
def test_every_method_but_s256_is_refused(method: str | None) -> None:
    with pytest.raises(InvalidRequest, match="S256"):
        check_challenge(CHALLENGE, method)


@pytest.mark.parametrize(
    "challenge",
    [CHALLENGE[:-1], CHALLENGE + "A", CHALLENGE + "=", CHALLENGE + "\n", "+" + CHALLENGE[1:]],
)
def test_a_malformed_challenge_is_refused(challenge: str) -> None:
    with pytest.raises(InvalidRequest, match="43 characters"):
        check_challenge(challenge, "S256")


@pytest.mark.parametrize("challenge", [None, ""])
def test_a_missing_challenge_is_named(challenge: str | None) -> None:
    with pytest.raises(InvalidRequest, match="Missing parameter: code_challenge"):
        check_challenge(challenge, "S256")


@given(st.text(max_size=140), st.text(max_size=60))
def test_arbitrary_text_verifies_nothing_and_breaks_nothing(verifier: str, challenge: str) -> None:
    assert not verify(verifier, challenge)
    assert not verify(verifier, CHALLENGE)
