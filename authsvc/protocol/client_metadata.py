"""Client metadata: what a client may register, and what the server keeps of it.

RFC 7591 §2, OpenID Connect Registration §2, RP-Initiated Logout §3.1. The values that
depend on the server's own metadata are checked by Authlib's validators; the types, the
URIs and the rules between members are ours. ``require_pkce`` and ``resources`` are
extension members of this server.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Final

from authlib.oauth2.rfc7591 import ClientMetadataClaims as OAuthValidator
from authlib.oidc.registration import ClientMetadataClaims as OpenIdValidator
from joserfc.errors import InvalidClaimError

from authsvc.protocol.client_jwks import parse_client_jwks
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from authsvc.protocol.metadata_members import Members
from authsvc.protocol.redirect_uri import ApplicationType
from authsvc.protocol.scope import format_scope
from authsvc.protocol.unsupported_metadata import check_supported_members

# RFC 7591 §2.1: what each part of a response type needs, and the other way round.
_GRANT_OF_RESPONSE: Final = {
    "code": "authorization_code",
    "token": "implicit",
    "id_token": "implicit",
}
_REDIRECTING_GRANTS: Final = frozenset(_GRANT_OF_RESPONSE.values())
# Grants that something else than a secret protects: a redirect URI, a person, a token.
_PUBLIC_GRANTS: Final = _REDIRECTING_GRANTS | {
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCapabilities:
    """What of client metadata this server can do (RFC 8414 §2); never an empty list."""

    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    token_endpoint_auth_methods: tuple[str, ...]
    token_endpoint_auth_signing_algs: tuple[str, ...]
    id_token_signing_algs: tuple[str, ...]
    subject_types: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list, which Authlib's validators read as no limit at all."""
        for field in fields(self):
            if not getattr(self, field.name):
                raise ValueError(f"{field.name} must not be empty")

    def as_json(self) -> dict[str, list[str]]:
        """Return the members of authorization server metadata (RFC 8414 §2)."""
        return {
            "grant_types_supported": list(self.grant_types),
            "response_types_supported": list(self.response_types),
            "token_endpoint_auth_methods_supported": list(self.token_endpoint_auth_methods),
            "token_endpoint_auth_signing_alg_values_supported": list(
                self.token_endpoint_auth_signing_algs
            ),
            "id_token_signing_alg_values_supported": list(self.id_token_signing_algs),
            "subject_types_supported": list(self.subject_types),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """The metadata of one client, checked. Made by ``parse_client_metadata`` alone."""

    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    scope: tuple[str, ...]
    token_endpoint_auth_method: str
    token_endpoint_auth_signing_alg: str | None
    jwks: dict[str, list[dict[str, object]]] | None
    application_type: ApplicationType
    client_name: str | None
    client_uri: str | None
    logo_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    contacts: tuple[str, ...]
    id_token_signed_response_alg: str
    subject_type: str
    default_max_age: int | None
    """Seconds (OpenID Connect Registration §2)."""
    require_auth_time: bool
    default_acr_values: tuple[str, ...]
    initiate_login_uri: str | None
    post_logout_redirect_uris: tuple[str, ...]
    require_pkce: bool
    resources: tuple[str, ...]
    software_id: str | None
    software_version: str | None
    localized: Mapping[str, str]
    """Members with a language tag, such as ``client_name#de`` (RFC 7591 §2.2)."""

    def as_json(self) -> dict[str, object]:
        """Return the members that are set, by their RFC 7591 names.

        ``grant_types`` and ``response_types`` are always there: an empty list of them
        says something else than none. Reading the result gives equal metadata.
        """
        members: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "localized" or value is None:
                continue
            if value == () and field.name not in ("grant_types", "response_types"):
                continue
            members[field.name] = list(value) if isinstance(value, tuple) else deepcopy(value)
        if self.scope:
            members["scope"] = format_scope(self.scope)
        return members | dict(self.localized)


def parse_client_metadata(
    raw: Mapping[str, object], *, supported: ServerCapabilities
) -> ClientMetadata:
    """Read the JSON object ``raw``, fill in the defaults, and drop unknown members.

    Raises InvalidRedirectUri for a bad entry of ``redirect_uris`` or none at all where
    one is needed, and InvalidClientMetadata, which names the member, for everything
    else (RFC 7591 §3.2.2).
    """
    check_supported_members(raw)
    metadata = _read(raw)
    _check_capabilities(metadata, supported)
    _check_grants(metadata)
    _check_authentication(metadata)
    return metadata


def _read(raw: Mapping[str, object]) -> ClientMetadata:
    members = Members(raw)
    application_type = _application_type(members)
    grant_types = members.texts("grant_types")
    if grant_types is None:
        grant_types = ("authorization_code",)
    response_types = members.texts("response_types")
    if response_types is None:
        response_types = ("code",) if "authorization_code" in grant_types else ()
    return ClientMetadata(
        redirect_uris=members.redirect_uris("redirect_uris", application_type),
        grant_types=grant_types,
        response_types=response_types,
        scope=members.scope(),
        token_endpoint_auth_method=members.text("token_endpoint_auth_method")
        or "client_secret_basic",
        token_endpoint_auth_signing_alg=members.text("token_endpoint_auth_signing_alg"),
        jwks=None if raw.get("jwks") is None else parse_client_jwks(raw["jwks"]),
        application_type=application_type,
        client_name=members.text("client_name"),
        client_uri=members.web_page("client_uri"),
        logo_uri=members.web_page("logo_uri"),
        policy_uri=members.web_page("policy_uri"),
        tos_uri=members.web_page("tos_uri"),
        contacts=members.texts("contacts") or (),
        id_token_signed_response_alg=members.text("id_token_signed_response_alg") or "RS256",
        subject_type=members.text("subject_type") or "public",
        default_max_age=members.seconds("default_max_age"),
        require_auth_time=members.flag("require_auth_time", default=False),
        default_acr_values=members.texts("default_acr_values") or (),
        initiate_login_uri=members.secure_uri("initiate_login_uri"),
        post_logout_redirect_uris=_post_logout_redirect_uris(members, application_type),
        require_pkce=members.flag("require_pkce", default=True),
        resources=members.resources(),
        software_id=members.text("software_id"),
        software_version=members.text("software_version"),
        localized=members.localized(),
    )


def _application_type(members: Members) -> ApplicationType:
    value = members.text("application_type")
    if value is None or value == "web":
        return "web"
    if value == "native":
        return "native"
    raise InvalidClientMetadata("application_type must be web or native")


def _post_logout_redirect_uris(
    members: Members, application_type: ApplicationType
) -> tuple[str, ...]:
    try:
        return members.redirect_uris("post_logout_redirect_uris", application_type)
    except InvalidRedirectUri as error:
        # The code invalid_redirect_uri speaks of redirect_uris alone (RFC 7591 §3.2.2).
        raise InvalidClientMetadata(error.description) from None


def _check_capabilities(metadata: ClientMetadata, supported: ServerCapabilities) -> None:
    # Authlib knows no redirect URI without a host (RFC 8252 §7.1), and takes an empty
    # list for a missing one.
    claims = {
        name: value
        for name, value in metadata.as_json().items()
        if value != [] and name != "redirect_uris"
    }
    server_metadata = supported.as_json()
    for validator in (OAuthValidator, OpenIdValidator):
        options = validator.get_claims_options(server_metadata)
        try:
            validator(claims, {}, options).validate()
        except InvalidClaimError as error:
            what = "a key that is not valid" if error.claim == "jwks" else "an unsupported value"
            raise InvalidClientMetadata(f"{error.claim} holds {what}") from None


def _check_grants(metadata: ClientMetadata) -> None:
    """Hold grant types, response types and redirect URIs together (RFC 7591 §2.1)."""
    redirecting = _REDIRECTING_GRANTS.intersection(metadata.grant_types)
    needed = {
        _GRANT_OF_RESPONSE[part]
        for response_type in metadata.response_types
        for part in response_type.split()
        if part in _GRANT_OF_RESPONSE
    }
    if needed != redirecting:
        raise InvalidClientMetadata("response_types and grant_types do not go together")
    if redirecting and not metadata.redirect_uris:
        raise InvalidRedirectUri("redirect_uris must hold at least one redirect URI")


def _check_authentication(metadata: ClientMetadata) -> None:
    method = metadata.token_endpoint_auth_method
    if method == "none":
        if not _PUBLIC_GRANTS.issuperset(metadata.grant_types):
            raise InvalidClientMetadata("grant_types holds a grant that needs a secret")
        if not metadata.require_pkce:
            raise InvalidClientMetadata("require_pkce must be true for a public client")
    if method == "private_key_jwt" and metadata.jwks is None:
        raise InvalidClientMetadata("jwks is needed for private_key_jwt")
