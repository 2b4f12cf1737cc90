"""What this server can do: the one list that registration and discovery both read."""

from dataclasses import replace
from typing import Final

from authsvc.config import Settings
from authsvc.protocol.encryption import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from authsvc.protocol.response_types import CODE, RESPONSE_TYPES
from authsvc.protocol.server_capabilities import ServerCapabilities
from authsvc.signing.algorithms import ALGORITHMS

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  # the name of a grant
CLIENT_CREDENTIALS: Final = "client_credentials"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
IMPLICIT: Final = "implicit"

HMAC_ALG: Final = "HS256"
"""The algorithm of ``client_secret_jwt``."""

_CAPABILITIES: Final = ServerCapabilities(
    grant_types=(AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE),
    response_types=(CODE,),
    token_endpoint_auth_methods=(
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "none",
    ),
    token_endpoint_auth_signing_algs=(*ALGORITHMS, HMAC_ALG),
    id_token_signing_algs=ALGORITHMS,
    id_token_encryption_algs=KEY_ALGORITHMS,
    id_token_encryption_encs=CONTENT_ALGORITHMS,
    userinfo_signing_algs=ALGORITHMS,
    userinfo_encryption_algs=KEY_ALGORITHMS,
    userinfo_encryption_encs=CONTENT_ALGORITHMS,
    request_object_signing_algs=(*ALGORITHMS, "none"),
    subject_types=("public", "pairwise"),
)


def capabilities_of(settings: Settings) -> ServerCapabilities:
    """Return what the server can do with these settings."""
    turned_on = {CODE}
    if settings.implicit_flow:
        turned_on.update(name for name in RESPONSE_TYPES if CODE not in name.split())
    if settings.hybrid_flow:
        turned_on.update(name for name in RESPONSE_TYPES if CODE in name.split())
    response_types = tuple(name for name in RESPONSE_TYPES if name in turned_on)
    if response_types == (CODE,):
        return _CAPABILITIES
    return replace(
        _CAPABILITIES,
        response_types=response_types,
        grant_types=(*_CAPABILITIES.grant_types, IMPLICIT),
    )
