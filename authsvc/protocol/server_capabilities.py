"""What of client metadata a server can do (RFC 8414 §2, OpenID Connect Discovery §3)."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCapabilities:
    """The values that a client may register; never an empty list."""

    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    token_endpoint_auth_methods: tuple[str, ...]
    token_endpoint_auth_signing_algs: tuple[str, ...]
    id_token_signing_algs: tuple[str, ...]
    id_token_encryption_algs: tuple[str, ...]
    id_token_encryption_encs: tuple[str, ...]
    userinfo_signing_algs: tuple[str, ...]
    userinfo_encryption_algs: tuple[str, ...]
    userinfo_encryption_encs: tuple[str, ...]
    request_object_signing_algs: tuple[str, ...]
    subject_types: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list, which Authlib's validators read as no limit at all."""
        for field in fields(self):
            if not getattr(self, field.name):
                raise ValueError(f"{field.name} must not be empty")

    def as_json(self) -> dict[str, list[str]]:
        """Return the members of authorization server metadata."""
        return {_NAMES[name]: list(getattr(self, name)) for name in self.__slots__}


_NAMES = {
    "grant_types": "grant_types_supported",
    "response_types": "response_types_supported",
    "token_endpoint_auth_methods": "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_algs": "token_endpoint_auth_signing_alg_values_supported",
    "id_token_signing_algs": "id_token_signing_alg_values_supported",
    "id_token_encryption_algs": "id_token_encryption_alg_values_supported",
    "id_token_encryption_encs": "id_token_encryption_enc_values_supported",
    "userinfo_signing_algs": "userinfo_signing_alg_values_supported",
    "userinfo_encryption_algs": "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_encs": "userinfo_encryption_enc_values_supported",
    "request_object_signing_algs": "request_object_signing_alg_values_supported",
    "subject_types": "subject_types_supported",
}
