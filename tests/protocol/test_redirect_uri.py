"""Redirect URIs (RFC 6749 §3.1.2, RFC 8252 §7 and §8, RFC 9700 §4.1.3)."""

from typing import get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidRedirectUri
from authsvc.protocol.redirect_uri import (
    ApplicationType,
    add_fragment,
    add_parameters,
    match_redirect_uri,
    parse_redirect_uri,
)
from tests.protocol.uri_examples import HOSTILE, NATIVE, WEB


@pytest.mark.parametrize("application_type", ["web", "native"])
@pytest.mark.parametrize("uri", WEB)
def test_https_and_loopback_uris_are_kept_as_they_are(
    uri: str, application_type: ApplicationType
) -> None:
    assert parse_redirect_uri(uri, application_type=application_type) == uri


@pytest.mark.parametrize("uri", NATIVE)
def test_private_use_schemes_are_for_native_applications_alone(uri: str) -> None:
    assert parse_redirect_uri(uri, application_type="native") == uri
    with pytest.raises(InvalidRedirectUri):
        parse_redirect_uri(uri, application_type="web")


@pytest.mark.parametrize("application_type", ["web", "native"])
@pytest.mark.parametrize("uri", HOSTILE)
def test_a_hostile_uri_is_never_registered(uri: str, application_type: ApplicationType) -> None:
    with pytest.raises(InvalidRedirectUri):
        parse_redirect_uri(uri, application_type=application_type)


def test_2048_characters_are_registered_and_one_more_is_refused() -> None:
    longest = "https://client.example/".ljust(2048, "a")
    assert parse_redirect_uri(longest, application_type="web") == longest
    with pytest.raises(InvalidRedirectUri, match="2048"):
        parse_redirect_uri(longest + "a", application_type="web")


REGISTERED = ["https://client.example/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:4000?y"]


@pytest.mark.parametrize(
    "requested",
    [
        *REGISTERED,
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:65535/cb",
        "http://[::1]?y",
        "http://[::1]:5000?y",
    ],
)
def test_equal_uris_and_other_ports_on_loopback_literals_match(requested: str) -> None:
    assert match_redirect_uri(requested, REGISTERED, application_type="native")


@pytest.mark.parametrize(
    ("requested", "matches"),
    [
        ("http://127.0.0.1:1/cb", True),
        ("http://[::1]:4000?y", True),
        ("http://[::1]:5000?y", False),
        ("http://[::1]?y", False),
    ],
)
def test_a_web_application_s_port_is_the_one_it_named(requested: str, matches: bool) -> None:
    assert match_redirect_uri(requested, REGISTERED, application_type="web") is matches


@pytest.mark.parametrize(
    "requested",
    [
        "",
        "https://client.example/cb",
        "https://client.example/cb?x=1&y",
        "https://client.example/cb?x=1#",
        "https://client.example/CB?x=1",
        "https://client.example:443/cb?x=1",
        "HTTPS://client.example/cb?x=1",
        "https://client.example/cb?x=1\n",
        "https://client.example.evil.example/cb?x=1",
        "https://127.0.0.1:8080/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:08/cb",
        "http://127.0.0.1:8a/cb",
        "http://127.0.0.1:\u0661/cb",
        "http://127.0.0.1:80/cb/",
        "http://127.0.0.1:80/cb\n",
        "http://127.0.0.1:80/cb?x",
        "http://127.0.0.1:80/cb#x",
        "http://127.0.0.1:80/./cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://user@127.0.0.1:80/cb",
        "http://127.0.0.2/cb",
        "http://localhost/cb",
        "http://[::1]:80/cb",
        "http://[0::1]:4000?y",
    ],
)
def test_any_other_difference_is_no_match(requested: str) -> None:
    for kind in get_args(ApplicationType):
        assert not match_redirect_uri(requested, REGISTERED, application_type=kind)


def test_another_port_on_localhost_or_on_https_is_no_match() -> None:
    for host in ("http://localhost", "https://127.0.0.1"):
        assert not match_redirect_uri(f"{host}:81/cb", [f"{host}:80/cb"], application_type="native")


def test_nothing_matches_where_nothing_is_registered() -> None:
    assert not match_redirect_uri("http://127.0.0.1/", [], application_type="native")


PORT = st.integers(0, 70000).map(lambda port: f":{port}") | st.just("")
URI = st.one_of(
    st.builds("http://{}{}{}".format, st.sampled_from(["127.0.0.1", "[::1]", "localhost"]), PORT,
              st.sampled_from(["", "/", "/cb", "/cb?a=1", "@evil.example/"])),
    st.sampled_from(WEB + NATIVE + HOSTILE),
    st.text("htps:/127.0[]@x?#%", max_size=30),
)  # fmt: skip


def _without_port(uri: str) -> tuple[object, ...]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.username, parts.path, parts.query, parts.fragment


@given(URI, st.lists(URI, max_size=4))
def test_a_match_is_registered_but_for_the_port_of_a_loopback_literal(
    requested: str, registered: list[str]
) -> None:
    if not match_redirect_uri(requested, registered, application_type="native"):
        assert requested not in registered
    elif requested not in registered:
        assert urlsplit(requested).hostname in ("127.0.0.1", "::1")
        assert urlsplit(requested).scheme == "http"
        assert _without_port(requested) in [_without_port(uri) for uri in registered]


@given(st.text(max_size=80) | URI)
def test_arbitrary_text_is_registered_as_it_is_or_refused(text: str) -> None:
    try:
        assert parse_redirect_uri(text, application_type="native") == text
    except InvalidRedirectUri:
        return
    assert text.isascii()
    assert "#" not in text
    assert match_redirect_uri(text, [text], application_type="web")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example", "https://a.example?code=a+b&state=%26"),
        ("https://a.example/cb?", "https://a.example/cb?code=a+b&state=%26"),
        ("https://a.example/cb?x=%7e+1", "https://a.example/cb?x=%7e+1&code=a+b&state=%26"),
        ("https://a.example/cb?x&", "https://a.example/cb?x&code=a+b&state=%26"),
        ("https://a.example/b&", "https://a.example/b&?code=a+b&state=%26"),
        ("com.example.app:/cb", "com.example.app:/cb?code=a+b&state=%26"),
    ],
)
def test_parameters_follow_a_query_that_stays_exactly_as_it_is(uri: str, expected: str) -> None:
    assert add_parameters(uri, [("code", "a b"), ("state", "&")]) == expected


def test_no_parameters_change_nothing() -> None:
    assert add_parameters("https://a.example/?x", []) == "https://a.example/?x"
    assert add_fragment("https://a.example/?x", []) == "https://a.example/?x"


def test_a_fragment_follows_the_query() -> None:
    expected = "https://a.example/cb?x=1#error=access_denied&state=%23"
    params = [("error", "access_denied"), ("state", "#")]
    assert add_fragment("https://a.example/cb?x=1", params) == expected


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text()).filter(lambda pair: _encodable("".join(pair)))
    )
)
def test_every_parameter_arrives_as_it_was(params: list[tuple[str, str]]) -> None:
    answered = add_parameters("https://a.example/cb?x=1", params)
    query = parse_qsl(urlsplit(answered).query, keep_blank_values=True)
    assert query == [("x", "1"), *params]


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
