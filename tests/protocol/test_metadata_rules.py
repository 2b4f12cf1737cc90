"""The rules between members: keys, request objects, subjects, logout, authentication."""

from typing import Any

import pytest

from authsvc.protocol.errors import InvalidClientMetadata
from tests.protocol.metadata_examples import CB, IMPLICIT, JWKS, parse

SIGNING_ONLY = {"keys": JWKS["keys"][:1]}
JWKS_URI = "https://client.example/jwks.json"


@pytest.mark.parametrize("what", ["id_token", "userinfo"])
def test_encryption_has_the_content_algorithm_of_the_specification_by_default(what: str) -> None:
    member = f"{what}_encrypted_response_alg"
    read = parse({member: "ECDH-ES", "jwks": JWKS}).as_json()
    assert read[f"{what}_encrypted_response_enc"] == "A128CBC-HS256"
    assert f"{what}_encrypted_response_enc" not in parse().as_json()


@pytest.mark.parametrize("what", ["id_token", "userinfo"])
def test_encryption_needs_a_key_to_encrypt_to(what: str) -> None:
    member = f"{what}_encrypted_response_alg"
    for keys in ({}, {"jwks": SIGNING_ONLY}):
        with pytest.raises(InvalidClientMetadata, match=f"no key for {member}"):
            parse({member: "ECDH-ES", **keys})
    with pytest.raises(InvalidClientMetadata, match=f"no key for {member}"):
        parse({member: "RSA-OAEP", "jwks": JWKS})
    # What a jwks_uri holds is seen when it is needed: it may change any day.
    assert parse({member: "RSA-OAEP", "jwks_uri": JWKS_URI}).jwks_uri == JWKS_URI
    with pytest.raises(InvalidClientMetadata, match=f"{what}_encrypted_response_enc"):
        parse({f"{what}_encrypted_response_enc": "A128GCM", "jwks": JWKS})


def test_requests_that_must_be_signed_can_not_be_registered_as_unsigned() -> None:
    assert parse(request_object_signing_alg="none").request_object_signing_alg == "none"
    with pytest.raises(InvalidClientMetadata, match="must not be none"):
        parse(request_object_signing_alg="none", require_signed_request_object=True)


@pytest.mark.parametrize(
    ("uris", "sector_identifier_uri", "sector"),
    [
        ([CB], None, "client.example"),
        ([CB, "https://client.example:8443/other"], None, "client.example"),
        ([CB, "https://CLIENT.example/other"], None, "client.example"),
        ([CB, "https://other.example/cb"], "https://sector.example/x", "sector.example"),
        ([CB], "https://sector.example/x", "sector.example"),
    ],
)
def test_the_sector_is_a_host(
    uris: list[str], sector_identifier_uri: str | None, sector: str
) -> None:
    members: dict[str, Any] = {"redirect_uris": uris}
    if sector_identifier_uri is not None:
        members["sector_identifier_uri"] = sector_identifier_uri
    assert parse(members, subject_type="pairwise").sector == sector
    assert parse(members).sector is None


@pytest.mark.parametrize(
    "uris", [[CB, "https://other.example/cb"], [CB, "com.example.app:/cb"], ["com.example.app:/cb"]]
)
def test_pairwise_subjects_need_one_host_or_a_sector_identifier(uris: list[str]) -> None:
    members: dict[str, Any] = {"redirect_uris": uris, "application_type": "native"}
    parse(members)
    with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri is needed"):
        parse(members, subject_type="pairwise")


@pytest.mark.parametrize(
    "uri",
    [
        "https://other.example/front",
        "http://client.example/front",
        "https://client.example:8443/front",
    ],
)
def test_a_front_channel_logout_uri_is_at_an_origin_of_the_client(uri: str) -> None:
    parse(frontchannel_logout_uri="https://client.example/front?a=b")
    with pytest.raises(InvalidClientMetadata, match="frontchannel_logout_uri"):
        parse(frontchannel_logout_uri=uri)


@pytest.mark.parametrize("channel", ["backchannel", "frontchannel"])
def test_a_session_can_be_required_only_where_there_is_a_logout_uri(channel: str) -> None:
    with pytest.raises(InvalidClientMetadata, match=f"{channel}_logout_session_required"):
        parse({f"{channel}_logout_session_required": True})
    parse(
        {
            f"{channel}_logout_session_required": True,
            f"{channel}_logout_uri": "https://client.example/out",
        }
    )


@pytest.mark.parametrize(
    ("method", "alg", "is_right"),
    [
        ("client_secret_jwt", "HS256", True),
        ("client_secret_jwt", "RS256", False),
        ("private_key_jwt", "RS256", True),
        ("private_key_jwt", "HS256", False),
        ("client_secret_basic", "HS256", False),
    ],
)
def test_a_signature_goes_with_its_method(method: str, alg: str, is_right: bool) -> None:
    members = {
        "token_endpoint_auth_method": method,
        "token_endpoint_auth_signing_alg": alg,
        "jwks": JWKS,
    }
    if is_right:
        assert parse(members).token_endpoint_auth_signing_alg == alg
    else:
        with pytest.raises(InvalidClientMetadata, match="token_endpoint_auth_signing_alg"):
            parse(members)


def test_the_words_of_a_response_type_come_in_any_order() -> None:
    grants = ["authorization_code", "implicit"]
    metadata = parse(
        grant_types=grants,
        response_types=["id_token code", "code id_token", "code"],
        supported=IMPLICIT,
    )
    assert metadata.response_types == ("code id_token", "code")
