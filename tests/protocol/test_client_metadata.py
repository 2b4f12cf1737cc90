"""Client metadata (RFC 7591 §2, OpenID Connect Registration §2, RP-Initiated Logout §3.1)."""

from dataclasses import replace

import pytest

from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from authsvc.protocol.metadata_rules import parse_client_metadata
from authsvc.protocol.unsupported_metadata import UNSUPPORTED_MEMBERS
from tests.protocol.metadata_examples import CB, FULL, IMPLICIT, JWKS, SUPPORTED, parse


def test_the_defaults_are_those_of_the_specifications() -> None:
    metadata = parse()
    assert metadata.as_json() == {
        "redirect_uris": [CB],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
        "require_auth_time": False,
        "require_signed_request_object": False,
        "backchannel_logout_session_required": False,
        "frontchannel_logout_session_required": False,
        "require_pkce": True,
    }
    assert metadata.scope == ()
    assert metadata.default_max_age is None


def test_a_client_without_a_redirecting_grant_has_no_response_type_by_default() -> None:
    metadata = parse_client_metadata({"grant_types": ["client_credentials"]}, supported=SUPPORTED)
    assert metadata.response_types == ()
    assert metadata.redirect_uris == ()
    assert metadata.as_json()["response_types"] == []


def test_a_resource_server_that_only_introspects_needs_no_grant() -> None:
    metadata = parse_client_metadata({"grant_types": []}, supported=SUPPORTED)
    assert metadata.grant_types == ()
    assert parse_client_metadata(metadata.as_json(), supported=SUPPORTED) == metadata


def test_an_empty_list_asks_a_server_without_the_code_grant_for_nothing() -> None:
    machines = replace(SUPPORTED, grant_types=("client_credentials",), response_types=("none",))
    for grant_types in ([], ["client_credentials"]):
        metadata = parse_client_metadata({"grant_types": grant_types}, supported=machines)
        assert metadata.grant_types == tuple(grant_types)


def test_every_member_is_kept_as_it_was_sent() -> None:
    metadata = parse_client_metadata(FULL, supported=SUPPORTED)
    assert metadata.as_json() == FULL
    assert metadata.scope == ("openid", "profile", "offline_access")
    assert set(metadata.localized) == {
        "client_name#de",
        "client_name#ja-Jpan-JP",
        "client_uri#de",
    }


def test_unknown_members_and_nulls_are_ignored() -> None:
    ignored = {"client_id": "x", "client_secret": "y", "foo": {"bar": 1}, "foo#de": "z"}
    assert parse(ignored, client_name=None, grant_types=None, jwks=None, scope="") == parse()


def test_repeated_entries_come_once() -> None:
    metadata = parse(redirect_uris=[CB, CB], contacts=["a", "b", "a"])
    assert metadata.redirect_uris == (CB,)
    assert metadata.contacts == ("a", "b")


def test_changing_the_json_does_not_change_the_metadata() -> None:
    metadata = parse(jwks=JWKS)
    jwks = metadata.as_json()["jwks"]
    assert isinstance(jwks, dict)
    jwks["keys"][0].clear()
    assert metadata.as_json()["jwks"] == JWKS


@pytest.mark.parametrize("value", [None, []])
def test_the_code_grant_needs_a_redirect_uri(value: object) -> None:
    with pytest.raises(InvalidRedirectUri, match="at least one"):
        parse(redirect_uris=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grant_types", ["authorization_code", "password"]),
        ("grant_types", ["authorization_code", "urn:example:grant"]),
        ("response_types", ["code", "token"]),
        ("response_types", ["code id_token"]),
        ("token_endpoint_auth_method", "tls_client_auth"),
        ("token_endpoint_auth_signing_alg", "none"),
        ("token_endpoint_auth_signing_alg", "HS512"),
        ("id_token_signed_response_alg", "none"),
        ("id_token_signed_response_alg", "HS256"),
        ("id_token_encrypted_response_alg", "RSA1_5"),
        ("id_token_encrypted_response_alg", "dir"),
        ("userinfo_signed_response_alg", "none"),
        ("userinfo_signed_response_alg", "HS256"),
        ("userinfo_encrypted_response_alg", "A128KW"),
        ("request_object_signing_alg", "HS256"),
        ("subject_type", "private"),
        ("application_type", "desktop"),
    ],
)
def test_what_the_server_does_not_support_is_refused_and_named(name: str, value: object) -> None:
    with pytest.raises(InvalidClientMetadata, match=name):
        parse({name: value})


@pytest.mark.parametrize("name", sorted(UNSUPPORTED_MEMBERS))
def test_a_member_that_asks_for_what_we_do_not_have_is_refused(name: str) -> None:
    for value in (True, "https://client.example/x", ["x"]):
        with pytest.raises(InvalidClientMetadata, match=f"^invalid_client_metadata: {name} is not"):
            parse({name: value})
    for nothing in (None, False, ""):
        assert parse({name: nothing}) == parse()
    assert parse({name: []}) == parse()


def test_keys_come_by_value_or_by_reference_and_not_both() -> None:
    uri = "https://client.example/jwks.json"
    assert parse(jwks_uri=uri).jwks_uri == uri
    with pytest.raises(InvalidClientMetadata, match="jwks and jwks_uri"):
        parse(jwks_uri=uri, jwks=JWKS)


@pytest.mark.parametrize(
    ("grant_types", "response_types"),
    [
        (["authorization_code"], []),
        (["client_credentials"], ["code"]),
        ([], ["code"]),
        (["authorization_code"], ["id_token"]),
        (["authorization_code"], ["code id_token"]),
        (["authorization_code", "implicit"], ["code"]),
        (["implicit"], ["code id_token"]),
    ],
)
def test_grant_types_and_response_types_must_go_together(
    grant_types: list[str], response_types: list[str]
) -> None:
    with pytest.raises(InvalidClientMetadata, match="do not go together"):
        parse(grant_types=grant_types, response_types=response_types, supported=IMPLICIT)


@pytest.mark.parametrize(
    ("grant_types", "response_types"),
    [
        (["authorization_code", "implicit"], ["code id_token"]),
        (["implicit"], ["id_token"]),
        (["authorization_code", "client_credentials"], ["code"]),
    ],
)
def test_the_pairs_of_rfc_7591_go_together(
    grant_types: list[str], response_types: list[str]
) -> None:
    metadata = parse(grant_types=grant_types, response_types=response_types, supported=IMPLICIT)
    assert metadata.grant_types == tuple(grant_types)


@pytest.mark.parametrize(
    ("response_types", "grant_types"),
    [
        (["code"], ("authorization_code",)),
        (["id_token"], ("implicit",)),
        (["code id_token"], ("authorization_code", "implicit")),
        (["id_token code"], ("authorization_code", "implicit")),
        (["id_token", "code"], ("authorization_code", "implicit")),
        (None, ("authorization_code",)),
    ],
)
def test_grants_that_nobody_named_are_those_that_the_response_types_need(
    response_types: list[str] | None, grant_types: tuple[str, ...]
) -> None:
    for absent in ({}, {"grant_types": None}):
        members = {"response_types": response_types, **absent}
        assert parse(members, supported=IMPLICIT).grant_types == grant_types


def test_a_grant_that_is_off_is_not_given_for_a_response_type_either() -> None:
    with pytest.raises(InvalidClientMetadata, match="response_types"):
        parse(response_types=["id_token"])
    with pytest.raises(InvalidClientMetadata, match="do not go together"):
        parse(response_types=[], supported=IMPLICIT)


def test_a_public_client_has_no_grant_that_needs_a_secret() -> None:
    public = {"token_endpoint_auth_method": "none"}
    parse(public, grant_types=["authorization_code", "refresh_token"])
    for grant_types in (["client_credentials"], ["authorization_code", "client_credentials"]):
        with pytest.raises(InvalidClientMetadata, match="grant_types"):
            parse(public, grant_types=grant_types)


def test_only_a_confidential_client_goes_without_pkce() -> None:
    assert not parse(require_pkce=False).require_pkce
    with pytest.raises(InvalidClientMetadata, match="require_pkce"):
        parse(require_pkce=False, token_endpoint_auth_method="none")


def test_private_key_jwt_needs_keys() -> None:
    parse(token_endpoint_auth_method="private_key_jwt", jwks=JWKS)
    parse(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://client.example/jwks")
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        parse(token_endpoint_auth_method="private_key_jwt")


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "AQ"},
        {"kty": "RSA", "n": "_" * 342, "e": "Ag"},
    ],
)
def test_a_key_that_is_none_is_refused_by_the_validator(key: dict[str, object]) -> None:
    with pytest.raises(InvalidClientMetadata, match="jwks holds a key that is not valid"):
        parse(jwks={"keys": [key]})


def test_a_private_key_is_refused_and_never_repeated() -> None:
    private = JWKS["keys"][0] | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}
    with pytest.raises(InvalidClientMetadata, match="public keys only") as caught:
        parse(jwks={"keys": [private]})
    assert "nWGxne" not in str(caught.value) + str(caught.value.detail)


def test_capabilities_name_something_of_each_kind() -> None:
    with pytest.raises(ValueError, match="subject_types"):
        replace(SUPPORTED, subject_types=())
