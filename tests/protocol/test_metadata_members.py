"""Client metadata: the JSON type and the syntax of each member (RFC 7591 §2)."""

import pytest

from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from tests.protocol.metadata_examples import CB, parse

WRONG_TYPES: list[tuple[str, object]] = [
    (name, value)
    for names, values in [
        (
            (
                "client_name software_id software_version application_type "
                "token_endpoint_auth_method subject_type "
                "id_token_signed_response_alg token_endpoint_auth_signing_alg "
                "id_token_encrypted_response_alg id_token_encrypted_response_enc "
                "userinfo_signed_response_alg userinfo_encrypted_response_alg "
                "userinfo_encrypted_response_enc request_object_signing_alg"
            ),
            [1, True, [], {}, ["x"], " ", "a\x00b", "a\nb", "\ud800", "a" * 257],
        ),
        (
            (
                "client_uri logo_uri policy_uri tos_uri initiate_login_uri client_uri#de jwks_uri "
                "sector_identifier_uri backchannel_logout_uri frontchannel_logout_uri"
            ),
            [
                1,
                [],
                {},
                " ",
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
        (
            (
                "require_auth_time require_pkce require_signed_request_object "
                "backchannel_logout_session_required frontchannel_logout_session_required"
            ),
            [0, 1, "true", [], {}],
        ),
        (
            "request_uris",
            [
                "x",
                1,
                {},
                [1],
                [None],
                ["/relative"],
                ["http://client.example/x"],
                ["https://user@client.example/x"],
                [CB] * 101,
            ],
        ),
        (
            "software_statement",
            [1, True, [], {}, "", "a", "a.b", "a.b.", ".a.b", "a.b.c.d", "a.b.\u00e9", "a" * 16385],
        ),
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
    "name",
    [
        "client_name",
        "client_name#de",
        "client_uri",
        "logo_uri",
        "logo_uri#de",
        "policy_uri",
        "tos_uri",
        "software_id",
        "software_version",
        "application_type",
        "initiate_login_uri",
        "jwks_uri",
        "sector_identifier_uri",
        "backchannel_logout_uri",
        "frontchannel_logout_uri",
        "scope",
    ],
)
def test_an_empty_text_counts_as_absent(name: str) -> None:
    assert parse({name: ""}) == parse({name: None}) == parse()


@pytest.mark.parametrize(
    "name",
    ["contacts", "default_acr_values", "request_uris", "post_logout_redirect_uris", "resources"],
)
def test_an_empty_list_counts_as_absent(name: str) -> None:
    assert parse({name: []}) == parse({name: None}) == parse()


@pytest.mark.parametrize(
    "name",
    [
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "subject_type",
        "id_token_signed_response_alg",
        "id_token_encrypted_response_alg",
        "id_token_encrypted_response_enc",
        "userinfo_signed_response_alg",
        "userinfo_encrypted_response_alg",
        "userinfo_encrypted_response_enc",
        "request_object_signing_alg",
        "software_statement",
    ],
)
def test_an_empty_text_is_no_way_to_a_weaker_default(name: str) -> None:
    with pytest.raises(InvalidClientMetadata, match=name):
        parse({name: ""})


def test_what_needs_a_uri_that_is_empty_is_refused() -> None:
    for needing in (
        {"jwks_uri": "", "token_endpoint_auth_method": "private_key_jwt"},
        {"backchannel_logout_uri": "", "backchannel_logout_session_required": True},
        {"jwks_uri": "", "id_token_encrypted_response_alg": "ECDH-ES"},
    ):
        with pytest.raises(InvalidClientMetadata):
            parse(needing)


@pytest.mark.parametrize(
    "uri", ["http://client.example/", "https://client.example/#x", "https://*.client.example/", ""]
)
def test_a_bad_redirect_uri_has_its_own_code_and_a_bad_logout_uri_has_not(uri: str) -> None:
    with pytest.raises(InvalidRedirectUri, match="redirect_uris: "):
        parse(redirect_uris=[CB, uri])
    with pytest.raises(InvalidClientMetadata, match="post_logout_redirect_uris: "):
        parse(post_logout_redirect_uris=[CB, uri])


@pytest.mark.parametrize("name", ["initiate_login_uri", "jwks_uri", "backchannel_logout_uri"])
@pytest.mark.parametrize("uri", ["http://client.example/login", "ftp://client.example/login"])
def test_what_we_or_a_browser_call_is_https(name: str, uri: str) -> None:
    parse({name: "https://127.0.0.1:3000/login"})
    with pytest.raises(InvalidClientMetadata, match=name):
        parse({name: uri})


@pytest.mark.parametrize("name", ["jwks_uri", "backchannel_logout_uri"])
def test_on_loopback_it_may_be_http_where_the_setting_says_so(name: str) -> None:
    with pytest.raises(InvalidClientMetadata, match=name):
        parse({name: "http://127.0.0.1:3000/x"})
    parse({name: "http://127.0.0.1:3000/x"}, loopback=True)
    with pytest.raises(InvalidClientMetadata, match=name):
        parse({name: "http://client.example/x"}, loopback=True)


def test_a_sign_in_is_begun_over_https_whatever_the_setting_says() -> None:
    with pytest.raises(InvalidClientMetadata, match="initiate_login_uri"):
        parse({"initiate_login_uri": "http://127.0.0.1:3000/x"}, loopback=True)


@pytest.mark.parametrize("name", ["\u200b", "\u3164", "\u2062 \u2063", "\u2800", "\u0301"])
def test_a_name_that_nobody_can_see_is_refused(name: str) -> None:
    with pytest.raises(InvalidClientMetadata, match="client_name"):
        parse(client_name=name)


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
