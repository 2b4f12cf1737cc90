"""Reading application/x-www-form-urlencoded text (RFC 6749 §3.1, §3.2, appendix B)."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.parameters import Parameters, parse_parameters

PARAMETER_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"])
)
PAIRS = st.lists(st.tuples(PARAMETER_TEXT, PARAMETER_TEXT), max_size=20)


def test_the_example_of_appendix_b_is_read() -> None:
    parameters = parse_parameters(b"value=+%25%26%2B%C2%A3%E2%82%AC")
    assert parameters.get("value") == " %&+\u00a3\u20ac"


def test_only_the_first_equals_sign_ends_a_name() -> None:
    assert parse_parameters(b"a=b=c&d==").pairs() == (("a", "b=c"), ("d", "="))


def test_an_escaped_separator_belongs_to_the_value() -> None:
    assert parse_parameters(b"a=1%26b%3D2&c=3").pairs() == (("a", "1&b=2"), ("c", "3"))


def test_empty_pieces_between_separators_are_nothing() -> None:
    assert parse_parameters(b"&a=1&&b=2&").pairs() == (("a", "1"), ("b", "2"))


def test_a_semicolon_separates_nothing() -> None:
    assert parse_parameters(b"a=1;b=2").pairs() == (("a", "1;b=2"),)


def test_a_parameter_without_a_value_counts_as_absent() -> None:
    parameters = parse_parameters(b"state=&nonce&code=x")
    assert parameters.get("state") is None
    assert parameters.get("nonce") is None
    assert "state" not in parameters
    assert "code" in parameters
    assert parameters.get_all("state") == ()
    with pytest.raises(InvalidRequest, match="Missing parameter: state"):
        parameters.require("state")


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%",
        b"a=%1",
        b"a=%zz",
        b"a=%4g",
        b"a=%%41",
        b"%=a",
        b"a=\x00",
        b"a=%00",
        b"a%00b=c",
        b"a=%0d%0aSet-Cookie",
        b"a=\r\n",
        b"a=\t",
        b"a=%1f",
        b"a=%7F",
        b"a=\x7f",
        b"a=%ff",
        b"a=\xff",
        b"a=%C3",
        b"a=\xc3&b=\xa9",
        b"a=%C0%AF",
        b"a=%ED%A0%80",
        b"a=%F4%90%80%80",
        b"\xff\xfea=1",
        b"a=%u0041",
    ],
)
def test_malformed_text_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_parameters(raw)


def test_as_many_parameters_as_the_bound_are_read_and_one_more_is_refused() -> None:
    assert len(parse_parameters(b"&".join([b"a=1"] * 3), max_count=3).pairs()) == 3
    with pytest.raises(InvalidRequest, match="Too many"):
        parse_parameters(b"&".join([b"a=1"] * 4), max_count=3)


def test_the_bound_on_a_value_counts_decoded_characters() -> None:
    assert parse_parameters(b"a=" + b"%41" * 5, max_value=5).get("a") == "AAAAA"
    for raw in (b"a=" + b"%41" * 6, b"AAAAAA=1"):
        with pytest.raises(InvalidRequest, match="too long"):
            parse_parameters(raw, max_value=5)


@pytest.mark.parametrize(
    "raw", [b"code=a&code=a", b"code=a&x=1&code=", b"code&code", b"x=1&x=2", b"%63ode=1&code=2"]
)
def test_a_repeated_parameter_is_refused_even_when_it_is_empty(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than once"):
        parse_parameters(raw).check_no_duplicates()


@pytest.mark.parametrize("raw", [b"", b"a=1&b=1", b"resource=a&resource=b&audience=c&audience=d"])
def test_distinct_parameters_and_repeated_resources_are_fine(raw: bytes) -> None:
    parse_parameters(raw).check_no_duplicates()


def test_every_resource_is_found_in_order() -> None:
    parameters = parse_parameters(b"resource=b&x=1&resource=&resource=a")
    assert parameters.get_all("resource") == ("b", "a")
    assert parameters.get("resource") == "b"


def test_the_log_learns_the_name_of_a_repeated_parameter_unless_it_may_be_a_secret() -> None:
    for raw, logged in ((b"code=1&code=2", "code"), (b"S3cr3t&S3cr3t", None)):
        with pytest.raises(InvalidRequest) as caught:
            parse_parameters(raw).check_no_duplicates()
        assert caught.value.detail == logged


def test_parameters_can_be_left_out() -> None:
    parameters = parse_parameters(b"a=1&b=2&a=3&c=4")
    assert parameters.without("a", "c").pairs() == (("b", "2"),)
    assert len(parameters.pairs()) == 4


def test_the_representation_shows_no_value() -> None:
    assert "hunter2" not in repr(parse_parameters(b"password=hunter2"))


@given(PAIRS)
def test_what_is_encoded_is_read_back(pairs: list[tuple[str, str]]) -> None:
    parameters = Parameters(pairs)
    assert parse_parameters(parameters.encode().encode()) == parameters
    assert parse_parameters(urlencode(pairs).encode()).pairs() == tuple(pairs)


@given(PAIRS, PARAMETER_TEXT)
def test_a_look_up_finds_the_first_value_that_is_not_empty(
    pairs: list[tuple[str, str]], other: str
) -> None:
    parameters = Parameters(pairs)
    for name in {*dict(pairs), other}:
        values = tuple(value for key, value in pairs if key == name and value)
        assert parameters.get_all(name) == values
        assert parameters.get(name) == (values[0] if values else None)
        assert (name in parameters) == bool(values)


@given(st.binary(max_size=200) | st.text("%=&+af09\x00\u00e9", max_size=60).map(str.encode))
def test_arbitrary_bytes_are_read_or_are_an_invalid_request(raw: bytes) -> None:
    try:
        parameters = parse_parameters(raw)
    except InvalidRequest:
        return
    assert parse_parameters(parameters.encode().encode()) == parameters
