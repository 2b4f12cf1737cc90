"""Scope (RFC 6749 §3.3) and the scopes of OpenID Connect Core §5.4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol import scope
from authsvc.protocol.claims import STANDARD_CLAIMS
from authsvc.protocol.errors import InvalidScope
from authsvc.protocol.scope import check_scope, format_scope, parse_scope

SCOPES = st.lists(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\')).filter(
        bool
    ),
    unique=True,
    max_size=20,
).map(tuple)


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_is_no_scope(text: str | None) -> None:
    assert parse_scope(text) == ()


def test_scopes_keep_their_order_and_come_once() -> None:
    assert parse_scope("openid b a openid b") == ("openid", "b", "a")


@pytest.mark.parametrize(
    "text",
    [" ", " a", "a ", "a  b", "a\tb", "a\nb", "a\n", 'a"b', "a\\b", "a\x00", "\u00e9", "a\u00a0b"],
)
def test_a_malformed_scope_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)


def test_a_hundred_scopes_are_read_and_one_more_is_refused() -> None:
    assert len(parse_scope(" ".join(str(n) for n in range(100)))) == 100
    with pytest.raises(InvalidScope, match="too many"):
        parse_scope(" ".join(str(n) for n in range(101)))


def test_a_client_may_ask_for_less_than_it_may_have_and_not_for_more() -> None:
    check_scope((), ("a",))
    check_scope(("b",), ("a", "b"))
    with pytest.raises(InvalidScope) as caught:
        check_scope(("a", "c"), ("a", "b"))
    assert caught.value.detail == "c"
    assert "c" not in (caught.value.description or "").split()


def test_every_claim_of_a_scope_is_a_standard_claim_and_every_one_but_sub_has_a_scope() -> None:
    named = [claim for claims in scope.SCOPE_CLAIMS.values() for claim in claims]
    assert sorted([*named, "sub"]) == sorted(STANDARD_CLAIMS)


@given(SCOPES)
def test_what_is_formatted_is_read_back(scopes: tuple[str, ...]) -> None:
    assert parse_scope(format_scope(scopes)) == scopes


@given(st.text(max_size=100))
def test_arbitrary_text_is_read_or_is_an_invalid_scope(text: str) -> None:
    try:
        scopes = parse_scope(text)
    except InvalidScope:
        return
    assert set(format_scope(scopes)) <= {" ", *map(chr, range(0x21, 0x7F))} - {'"', "\\"}
