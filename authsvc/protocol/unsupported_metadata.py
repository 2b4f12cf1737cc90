"""Client metadata that asks for behaviour this server does not have.

Unknown members are ignored (RFC 7591 §2), but these are known, and a client that
registered one would rely on it: so it is told. A capability that is built takes its
line out of the table.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from authsvc.protocol.errors import InvalidClientMetadata

_NO_ENCRYPTION: Final = "is not supported; this response is not encrypted"
_NO_ENCRYPTED_REQUEST: Final = "is not supported; request objects are signed only"
_NO_PUSHED_REQUEST: Final = "is not supported; send request or request_uri"
_NO_SIGNED_RESPONSE: Final = "is not supported; the response is plain JSON"
_BEARER_ALONE: Final = "is not supported; access tokens are bearer tokens"
_NO_MTLS: Final = "is not supported; see token_endpoint_auth_methods_supported"

UNSUPPORTED_MEMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "introspection_encrypted_response_alg": _NO_ENCRYPTION,
        "introspection_encrypted_response_enc": _NO_ENCRYPTION,
        "authorization_encrypted_response_alg": _NO_ENCRYPTION,
        "authorization_encrypted_response_enc": _NO_ENCRYPTION,
        "introspection_signed_response_alg": _NO_SIGNED_RESPONSE,
        "authorization_signed_response_alg": "is not supported; see response_modes_supported",
        "request_object_encryption_alg": _NO_ENCRYPTED_REQUEST,
        "request_object_encryption_enc": _NO_ENCRYPTED_REQUEST,
        "require_pushed_authorization_requests": _NO_PUSHED_REQUEST,
        "authorization_details_types": "is not supported; use scope and resource",
        "dpop_bound_access_tokens": _BEARER_ALONE,
        "tls_client_certificate_bound_access_tokens": _BEARER_ALONE,
        "tls_client_auth_subject_dn": _NO_MTLS,
        "tls_client_auth_san_dns": _NO_MTLS,
        "tls_client_auth_san_uri": _NO_MTLS,
        "tls_client_auth_san_ip": _NO_MTLS,
        "tls_client_auth_san_email": _NO_MTLS,
    }
)
"""The member, and what its client is told."""


def check_supported_members(raw: Mapping[str, object]) -> None:
    """Raise InvalidClientMetadata when ``raw`` asks for a behaviour of the table.

    A value that asks for nothing (null, false, an empty text or list) is let pass.
    """
    for name, reason in UNSUPPORTED_MEMBERS.items():
        if raw.get(name):
            raise InvalidClientMetadata(f"{name} {reason}")
