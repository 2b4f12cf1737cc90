"""Client metadata as properties: what is kept reads back, and nothing breaks the reader."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri, OAuthError
from authsvc.protocol.metadata_rules import parse_client_metadata
from authsvc.protocol.unsupported_metadata import UNSUPPORTED_MEMBERS
from tests.protocol.metadata_examples import CB, FULL, JWKS, SUPPORTED


def subsets(*values: object) -> st.SearchStrategy[list[object]]:
    return st.lists(st.sampled_from(values), unique=True)


PLAIN = st.text("aZ09 .#'\"<&\u00e9\u4e2d\U0001f600", min_size=1, max_size=10).filter(str.strip)
MEMBERS = st.fixed_dictionaries(
    {
        "redirect_uris": subsets("http://[::1]:1/", "https://b.example").map(
            lambda uris: [*uris, CB]
        )
    },
    optional={
        "grant_types": subsets(*SUPPORTED.grant_types),
        "scope": st.sampled_from(["", "openid", "openid email openid"]),
        "token_endpoint_auth_method": st.sampled_from(SUPPORTED.token_endpoint_auth_methods),
        "jwks": st.sampled_from([None, JWKS]),
        "application_type": st.sampled_from(["web", "native"]),
        "client_name": PLAIN,
        "client_name#de": PLAIN,
        "contacts": st.lists(PLAIN, max_size=3),
        "id_token_signed_response_alg": st.sampled_from(SUPPORTED.id_token_signing_algs),
        "default_max_age": st.none() | st.integers(0, 100),
        "id_token_encrypted_response_alg": st.sampled_from([None, "ECDH-ES", "RSA-OAEP"]),
        "userinfo_encrypted_response_enc": st.sampled_from([None, "A256GCM"]),
        "request_object_signing_alg": st.sampled_from(SUPPORTED.request_object_signing_algs),
        "require_signed_request_object": st.booleans(),
        "subject_type": st.sampled_from(SUPPORTED.subject_types),
        "require_auth_time": st.booleans(),
        "require_pkce": st.booleans(),
        "resources": subsets("https://api.example.com", "urn:a:b"),
        "post_logout_redirect_uris": subsets(CB),
        "unknown": st.integers(),
    },
)


@given(MEMBERS)
def test_reading_the_json_of_metadata_gives_equal_metadata(members: dict[str, object]) -> None:
    try:
        metadata = parse_client_metadata(members, supported=SUPPORTED)
    except OAuthError:
        # Hypothesis fails a test that assumes too much: most of these are accepted.
        assume(False)
    stored = json.loads(json.dumps(metadata.as_json()))
    assert parse_client_metadata(stored, supported=SUPPORTED) == metadata


def test_reading_the_json_of_full_metadata_gives_equal_metadata() -> None:
    metadata = parse_client_metadata(FULL, supported=SUPPORTED)
    assert parse_client_metadata(metadata.as_json(), supported=SUPPORTED) == metadata


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
NAME = st.sampled_from([*FULL, *UNSUPPORTED_MEMBERS]) | st.text(max_size=10)


@given(st.dictionaries(NAME, JSON, max_size=5), st.booleans())
def test_arbitrary_json_is_metadata_or_an_oauth_error(
    members: dict[str, object], from_full: bool
) -> None:
    raw = (FULL if from_full else {"redirect_uris": [CB]}) | members
    try:
        metadata = parse_client_metadata(raw, supported=SUPPORTED)
    except (InvalidClientMetadata, InvalidRedirectUri):
        return
    assert parse_client_metadata(metadata.as_json(), supported=SUPPORTED) == metadata
