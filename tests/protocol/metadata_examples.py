"""A server, a client with every member of RFC 7591, and a short way to parse."""

from collections.abc import Mapping
from dataclasses import replace

from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.encryption import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from authsvc.protocol.metadata_rules import parse_client_metadata
from authsvc.protocol.server_capabilities import ServerCapabilities

SIGNING = ("ES256", "RS256", "PS256", "EdDSA")

SUPPORTED = ServerCapabilities(
    grant_types=("authorization_code", "refresh_token", "client_credentials"),
    response_types=("code",),
    token_endpoint_auth_methods=(
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "none",
    ),
    token_endpoint_auth_signing_algs=(*SIGNING, "HS256"),
    id_token_signing_algs=SIGNING,
    id_token_encryption_algs=KEY_ALGORITHMS,
    id_token_encryption_encs=CONTENT_ALGORITHMS,
    userinfo_signing_algs=SIGNING,
    userinfo_encryption_algs=KEY_ALGORITHMS,
    userinfo_encryption_encs=CONTENT_ALGORITHMS,
    request_object_signing_algs=(*SIGNING, "none"),
    subject_types=("public", "pairwise"),
)
IMPLICIT = replace(
    SUPPORTED,
    grant_types=("authorization_code", "implicit", "client_credentials"),
    response_types=("code", "code id_token", "id_token"),
)
CB = "https://client.example/cb"
# RFC 8037 appendix A.2.
JWKS = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "1",
        },
        # RFC 7517 appendix A.1.
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "use": "enc",
            "kid": "2",
        },
    ]
}
FULL: dict[str, object] = {
    "redirect_uris": [CB, "http://127.0.0.1/cb", "com.example.app:/cb"],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "response_types": ["code"],
    "scope": "openid profile offline_access",
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_signing_alg": "EdDSA",
    "jwks": JWKS,
    "application_type": "native",
    "client_name": "My Example",
    "client_name#de": "Mein Beispiel",
    "client_name#ja-Jpan-JP": "\u30af\u30e9\u30a4\u30a2\u30f3\u30c8\u540d",
    "client_uri": "https://client.example/",
    "client_uri#de": "https://client.example/de",
    "logo_uri": "https://client.example/logo.png",
    "policy_uri": "https://client.example/policy",
    "tos_uri": "https://client.example/tos",
    "contacts": ["ve7jtb@example.org", "mary@example.org"],
    "id_token_signed_response_alg": "ES256",
    "id_token_encrypted_response_alg": "ECDH-ES+A128KW",
    "id_token_encrypted_response_enc": "A256GCM",
    "userinfo_signed_response_alg": "EdDSA",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A128CBC-HS256",
    "request_object_signing_alg": "EdDSA",
    "require_signed_request_object": True,
    "request_uris": ["https://client.example/request.jwt#1", "https://client.example:8443/request"],
    "subject_type": "pairwise",
    "sector_identifier_uri": "https://client.example/sector.json",
    "default_max_age": 3600,
    "require_auth_time": True,
    "default_acr_values": ["urn:a", "urn:b"],
    "initiate_login_uri": "https://client.example/login",
    "post_logout_redirect_uris": ["https://client.example/out", "com.example.app:/out"],
    "backchannel_logout_uri": "https://client.example/back?a=b",
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": "https://client.example/front",
    "frontchannel_logout_session_required": True,
    "require_pkce": False,
    "resources": ["https://api.example.com/", "urn:example:api"],
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.1",
    "software_statement": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
}


def parse(
    members: Mapping[str, object] | None = None,
    *,
    supported: ServerCapabilities = SUPPORTED,
    loopback: bool = False,
    **more: object,
) -> ClientMetadata:
    raw = {"redirect_uris": [CB]} | dict(members or {}) | more
    return parse_client_metadata(raw, supported=supported, loopback=loopback)
