"""Discovery: what this server says about itself (OpenID Connect Discovery §3, RFC 8414 §2).

Made from what is wired: capabilities, the keyring, and the endpoints that are routed.
"""

from collections.abc import Sequence
from typing import Any, Final

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from authsvc.config import Settings
from authsvc.identity.browser_sessions import PASSWORD_ACR
from authsvc.oauth.authorization_request import PROMPTS
from authsvc.protocol.response_types import RESPONSE_MODES
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, SCOPE_CLAIMS
from authsvc.protocol.server_capabilities import ServerCapabilities

ENDPOINTS: Final = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "userinfo_endpoint": "/userinfo",
    "jwks_uri": "/jwks",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
    "device_authorization_endpoint": "/device_authorization",
    "end_session_endpoint": "/logout",
    "check_session_iframe": "/session/check",
}
_REGISTRATION: Final = {"registration_endpoint": "/register"}
_ID_TOKEN_CLAIMS: Final = (
    "sub",
    "iss",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "sid",
    "at_hash",
    "c_hash",
    "s_hash",
)


def build_metadata(
    settings: Settings, capabilities: ServerCapabilities, active_algorithms: Sequence[str]
) -> dict[str, Any]:
    """Return the metadata; ``active_algorithms`` are those that sign."""
    issuer = settings.issuer
    registration = {} if settings.registration == "off" else _REGISTRATION
    methods = list(capabilities.token_endpoint_auth_methods)
    confidential = [method for method in methods if method != "none"]
    signing = list(capabilities.token_endpoint_auth_signing_algs)
    return {
        "issuer": issuer,
        **{name: f"{issuer}{path}" for name, path in (ENDPOINTS | registration).items()},
        **capabilities.as_json(),
        "id_token_signing_alg_values_supported": list(active_algorithms),
        "userinfo_signing_alg_values_supported": list(active_algorithms),
        "scopes_supported": [OPENID, *SCOPE_CLAIMS, OFFLINE_ACCESS],
        "response_modes_supported": list(RESPONSE_MODES),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": signing,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signing,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(PROMPTS),
        "acr_values_supported": [PASSWORD_ACR],
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_supported": sorted(
            {*_ID_TOKEN_CLAIMS, *(claim for claims in SCOPE_CLAIMS.values() for claim in claims)}
        ),
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "require_signed_request_object": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
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
