"""What this server can do: the one list that registration and discovery both read."""

from typing import Final

from authsvc.protocol.client_metadata import ServerCapabilities
from authsvc.signing.algorithms import ALGORITHMS

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  # the name of a grant
CLIENT_CREDENTIALS: Final = "client_credentials"

RESPONSE_MODES: Final = ("query", "form_post")

CAPABILITIES: Final = ServerCapabilities(
    grant_types=(AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS),
    response_types=("code",),
    token_endpoint_auth_methods=(
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    ),
    token_endpoint_auth_signing_algs=ALGORITHMS,
    id_token_signing_algs=ALGORITHMS,
    subject_types=("public",),
)
