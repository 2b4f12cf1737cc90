"""Discovery: what this server says about itself (OpenID Connect Discovery §3, RFC 8414 §2).

Made from what is wired: capabilities, the keyring, and the endpoints that are routed.
"""

from collections.abc import Sequence
from typing import Any, Final

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from authsvc.identity.browser_sessions import PASSWORD_ACR
from authsvc.oauth.authorization_request import PROMPTS
from authsvc.oauth.capabilities import CAPABILITIES, RESPONSE_MODES
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, SCOPE_CLAIMS

ENDPOINTS: Final = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "userinfo_endpoint": "/userinfo",
    "jwks_uri": "/jwks",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
    "end_session_endpoint": "/logout",
}
_CLAIMS: Final = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid")


def build_metadata(issuer: str, active_algorithms: Sequence[str]) -> dict[str, Any]:
    """Return the metadata; ``active_algorithms`` are those that sign."""
    methods = list(CAPABILITIES.token_endpoint_auth_methods)
    confidential = [method for method in methods if method != "none"]
    signing = list(CAPABILITIES.token_endpoint_auth_signing_algs)
    return {
        "issuer": issuer,
        **{name: f"{issuer}{path}" for name, path in ENDPOINTS.items()},
        "scopes_supported": [OPENID, *SCOPE_CLAIMS, OFFLINE_ACCESS],
        "response_types_supported": list(CAPABILITIES.response_types),
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(CAPABILITIES.grant_types),
        "subject_types_supported": list(CAPABILITIES.subject_types),
        "id_token_signing_alg_values_supported": list(active_algorithms),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signing,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": signing,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signing,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(PROMPTS),
        "acr_values_supported": [PASSWORD_ACR],
        "claim_types_supported": ["normal"],
        "claims_supported": sorted(
            {*_CLAIMS, *(claim for claims in SCOPE_CLAIMS.values() for claim in claims)}
        ),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "authorization_response_iss_parameter_supported": True,
        "ui_locales_supported": ["en"],
    }


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raise ValueError when Authlib's validators find the metadata wrong.

    They insist on https, which a development issuer on loopback does not have; so it is
    checked as if it had.
    """
    secure = {
        name: value.replace("http://", "https://", 1) if isinstance(value, str) else value
        for name, value in metadata.items()
    }
    AuthorizationServerMetadata(secure).validate()
    OpenIDProviderMetadata(secure).validate()
