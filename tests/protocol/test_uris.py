"""URIs (RFC 3986) and resource indicators (RFC 8707 §2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidTarget
from authsvc.protocol.uris import Uri, is_web_uri, parse_resource, split_uri


def test_a_uri_comes_apart_as_in_rfc_3986_appendix_b() -> None:
    assert split_uri("HTTP://www.ics.uci.edu/pub/ietf/uri/?a=1#Related") == Uri(
        "http", "www.ics.uci.edu", "/pub/ietf/uri/", "a=1", "Related"
    )
    assert split_uri("urn:example:animal") == Uri("urn", None, "example:animal", None, None)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://A.Example:443/x", "a.example"),
        ("https://127.0.0.1", "127.0.0.1"),
        ("https://[::1]:8443/", "[::1]"),
        ("https://xn--bcher-kva.example./", "xn--bcher-kva.example."),
    ],
)
def test_a_host_is_found(text: str, host: str) -> None:
    uri = split_uri(text)
    assert uri is not None
    assert uri.host == host


@pytest.mark.parametrize(
    "text",
    [
        "https://",
        "https:///path",
        "https:/a.example/",
        "https:a.example",
        "https://user@a.example/",
        "https://a.example:@evil.example/",
        "https://a.example:/",
        "https://a.example:0/",
        "https://a.example:080/",
        "https://a.example:65536/",
        "https://a.example:8a/",
        "https://a..example/",
        "https://-a.example/",
        "https://a%2eexample/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
        "https://127.0.0.01/",
        "https://127.0.0.1./",
        "https://256.0.0.1/",
        "https://[::1/",
        "https://[::g]/",
        "https://[::1%25eth0]/",
        "https://" + "a." * 130 + "example/",
        "ftp://a.example/",
    ],
)
def test_a_bad_authority_is_no_web_uri(text: str) -> None:
    assert not is_web_uri(text)


@pytest.mark.parametrize(
    "text", ["https://api.example.com/app/", "https://api.example.com", "urn:example:api?x=1"]
)
def test_an_absolute_uri_is_a_resource(text: str) -> None:
    assert parse_resource(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api",
        "/api",
        "//api.example.com",
        "https:",
        "https://api.example.com#part",
        "https://api.example.com#",
        "https://user:pass@api.example.com/",
        "https://api.example.com/ x",
        "https://api.example.com/\u00e9",
        "https://api.example.com\\@evil.example",
        "https://api.example.com/%zz",
        "https://api.example.com/%0a",
        "https://api.example.com/" + "a" * 2048,
    ],
)
def test_anything_else_is_an_invalid_target(text: str) -> None:
    with pytest.raises(InvalidTarget):
        parse_resource(text)


@given(st.text(max_size=60) | st.text("ahtps:/@[]?#%2e.10\\", max_size=40))
def test_arbitrary_text_is_a_resource_or_an_invalid_target(text: str) -> None:
    try:
        assert parse_resource(text) == text
    except InvalidTarget:
        return
    uri = split_uri(text)
    assert uri is not None
    assert uri.fragment is None
