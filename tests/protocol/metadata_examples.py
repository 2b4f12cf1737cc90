"""A server, a client with every member of RFC 7591, and a short way to parse."""

from collections.abc import Mapping
from dataclasses import replace

from authsvc.protocol.client_metadata import (
    ClientMetadata,
    ServerCapabilities,
    parse_client_metadata,
)

SUPPORTED = ServerCapabilities(
    grant_types=("authorization_code", "refresh_token", "client_credentials"),
    response_types=("code",),
    token_endpoint_auth_methods=(
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    ),
    token_endpoint_auth_signing_algs=("ES256", "RS256", "PS256", "EdDSA"),
    id_token_signing_algs=("RS256", "ES256", "PS256", "EdDSA"),
    subject_types=("public",),
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
        }
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
    "subject_type": "public",
    "default_max_age": 3600,
    "require_auth_time": True,
    "default_acr_values": ["urn:a", "urn:b"],
    "initiate_login_uri": "https://client.example/login",
    "post_logout_redirect_uris": ["https://client.example/out", "com.example.app:/out"],
    "require_pkce": False,
    "resources": ["https://api.example.com/", "urn:example:api"],
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.1",
}


def parse(
    members: Mapping[str, object] | None = None,
    *,
    supported: ServerCapabilities = SUPPORTED,
    **more: object,
) -> ClientMetadata:
    raw = {"redirect_uris": [CB]} | dict(members or {}) | more
    return parse_client_metadata(raw, supported=supported)
