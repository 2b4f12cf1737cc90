"""Client metadata: the JSON type and the syntax of each member (RFC 7591 §2)."""

import pytest

from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from tests.protocol.metadata_examples import CB, parse

WRONG_TYPES: list[tuple[str, object]] = [
    (name, value)
    for names, values in [
        (
            (
                "client_name software_id software_version token_endpoint_auth_method subject_type "
                "application_type id_token_signed_response_alg token_endpoint_auth_signing_alg"
            ),
            [1, True, [], {}, ["x"], "", " ", "a\x00b", "a\nb", "\ud800", "a" * 257],
        ),
        (
            "client_uri logo_uri policy_uri tos_uri initiate_login_uri client_uri#de",
            [
                1,
                [],
                {},
                "",
                "/relative",
                "javascript:alert(1)",
                "javascript://client.example/%0aalert(1)",
                "javascript://client.example/?alert(1)",
                "ftp://client.example/",
                "data:text/html,x",
                "https://user@client.example/",
                "https://client.example/#part",
                "https://client.example/\x00",
                "https://client.example/" + "a" * 2048,
            ],
        ),
        (
            "contacts default_acr_values grant_types response_types",
            ["x", 1, {}, True, [1], [None], [[]], [""], ["a\x00"], ["a" * 257], ["a"] * 101],
        ),
        (
            "redirect_uris post_logout_redirect_uris resources",
            ["x", 1, {}, [1], [None], [CB] * 101],
        ),
        ("require_auth_time require_pkce", [0, 1, "true", [], {}]),
        ("default_max_age", [-1, 1.5, True, "3600", [], 2**31, 2**70]),
        ("scope", [1, [], ["openid"], {}, "a  b", 'a"b', "a\x00", "\u00e9", "a" * 8193]),
        ("jwks", [1, "x", [], {}, {"keys": []}]),
    ]
    for name in names.split()
    for value in values
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_refused_and_its_member_named(
    name: str, value: object
) -> None:
    with pytest.raises(InvalidClientMetadata) as caught:
        parse({name: value})
    assert name.partition("#")[0] in (caught.value.description or "")


@pytest.mark.parametrize(
    "uri", ["http://client.example/", "https://client.example/#x", "https://*.client.example/", ""]
)
def test_a_bad_redirect_uri_has_its_own_code_and_a_bad_logout_uri_has_not(uri: str) -> None:
    with pytest.raises(InvalidRedirectUri, match="redirect_uris: "):
        parse(redirect_uris=[CB, uri])
    with pytest.raises(InvalidClientMetadata, match="post_logout_redirect_uris: "):
        parse(post_logout_redirect_uris=[CB, uri])


@pytest.mark.parametrize("uri", ["http://client.example/login", "ftp://client.example/login"])
def test_a_login_is_initiated_over_https(uri: str) -> None:
    parse(initiate_login_uri="http://127.0.0.1:3000/login")
    with pytest.raises(InvalidClientMetadata, match="initiate_login_uri"):
        parse(initiate_login_uri=uri)


@pytest.mark.parametrize("uri", ["api", "https://api.example.com/#x", "https://u@api.example.com"])
def test_a_resource_is_an_absolute_uri(uri: str) -> None:
    with pytest.raises(InvalidClientMetadata, match="resources: "):
        parse(resources=[uri])


@pytest.mark.parametrize("name", ["client_name\u202egpj", "a\u2066b", "a\x85b", "a\u2028b"])
def test_a_name_that_would_mislead_a_person_is_refused(name: str) -> None:
    for member in ("client_name", "client_name#de"):
        with pytest.raises(InvalidClientMetadata, match="client_name"):
            parse({member: name})


@pytest.mark.parametrize("language", ["", "-", "de-", "de_DE", "x" * 9, "\u00e9", "a\x00"])
def test_a_malformed_language_tag_is_refused(language: str) -> None:
    with pytest.raises(InvalidClientMetadata, match="language tag"):
        parse({f"client_name#{language}": "x"})


def test_a_hundred_members_may_have_a_language_tag_and_no_more() -> None:
    tagged = {f"client_name#en-x{n}": "x" for n in range(100)}
    assert len(parse(tagged).localized) == 100
    with pytest.raises(InvalidClientMetadata, match="too many"):
        parse(tagged | {"client_name#de": "x"})
