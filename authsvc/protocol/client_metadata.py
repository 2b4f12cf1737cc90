"""Client metadata: what a client may register, and what the server keeps of it.

RFC 7591 §2, OpenID Connect Registration §2, RP-Initiated Logout §3.1, Back-Channel Logout
§2.2, Front-Channel Logout §2, RFC 9101 §10.5. ``require_pkce`` and ``resources`` are
extension members of this server.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Final

from authsvc.protocol.client_jwks import parse_client_jwks
from authsvc.protocol.encryption import DEFAULT_ENC
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from authsvc.protocol.metadata_members import Members
from authsvc.protocol.redirect_uri import ApplicationType
from authsvc.protocol.response_types import grants_for, parse_response_types
from authsvc.protocol.scope import format_scope
from authsvc.protocol.uris import split_uri

PAIRWISE: Final = "pairwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """The metadata of one client, checked. Made by ``read_client_metadata`` alone."""

    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    scope: tuple[str, ...]
    token_endpoint_auth_method: str
    token_endpoint_auth_signing_alg: str | None
    jwks: dict[str, list[dict[str, object]]] | None
    jwks_uri: str | None
    application_type: ApplicationType
    client_name: str | None
    client_uri: str | None
    logo_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    contacts: tuple[str, ...]
    id_token_signed_response_alg: str
    id_token_encrypted_response_alg: str | None
    id_token_encrypted_response_enc: str | None
    userinfo_signed_response_alg: str | None
    userinfo_encrypted_response_alg: str | None
    userinfo_encrypted_response_enc: str | None
    request_object_signing_alg: str | None
    require_signed_request_object: bool
    request_uris: tuple[str, ...]
    subject_type: str
    sector_identifier_uri: str | None
    default_max_age: int | None
    """Seconds (OpenID Connect Registration §2)."""
    require_auth_time: bool
    default_acr_values: tuple[str, ...]
    initiate_login_uri: str | None
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    frontchannel_logout_uri: str | None
    frontchannel_logout_session_required: bool
    require_pkce: bool
    resources: tuple[str, ...]
    software_id: str | None
    software_version: str | None
    software_statement: str | None
    localized: Mapping[str, str]
    """Members with a language tag, such as ``client_name#de`` (RFC 7591 §2.2)."""

    @property
    def sector(self) -> str | None:
        """The host that pairwise subjects are made for (OpenID Connect Core §8.1).

        None for a client with public subjects, or without a host that could be named.
        """
        if self.subject_type != PAIRWISE:
            return None
        uris = (self.sector_identifier_uri,) if self.sector_identifier_uri else self.redirect_uris
        hosts = {parts.host if (parts := split_uri(uri)) else None for uri in uris}
        return hosts.pop() if len(hosts) == 1 else None

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


def read_client_metadata(raw: Mapping[str, object], *, require_pkce: bool = True) -> ClientMetadata:
    """Read the JSON object ``raw``, fill in the defaults, and drop unknown members.

    Each member is checked by itself alone, as is enough for what was registered before;
    ``metadata_rules.parse_client_metadata`` checks what is new. ``require_pkce`` is what the
    member of that name says by default. Raises InvalidRedirectUri for a bad entry of
    ``redirect_uris`` and InvalidClientMetadata, which names the member, for everything else
    (RFC 7591 §3.2.2).
    """
    members = Members(raw)
    application_type = _application_type(members)
    grant_types = members.texts("grant_types")
    response_types = members.texts("response_types")
    if grant_types is None:
        # What they need, as the table of OpenID Connect Registration §2 has it.
        grant_types = grants_for(response_types or ()) or ("authorization_code",)
    if response_types is None:
        response_types = ("code",) if "authorization_code" in grant_types else ()
    method = members.choice("token_endpoint_auth_method") or "client_secret_basic"
    return ClientMetadata(
        redirect_uris=members.redirect_uris("redirect_uris", application_type),
        grant_types=grant_types,
        response_types=parse_response_types(response_types),
        scope=members.scope(),
        token_endpoint_auth_method=method,
        token_endpoint_auth_signing_alg=members.choice("token_endpoint_auth_signing_alg"),
        jwks=None if raw.get("jwks") is None else parse_client_jwks(raw["jwks"]),
        jwks_uri=members.secure_uri("jwks_uri"),
        application_type=application_type,
        client_name=members.text("client_name"),
        client_uri=members.web_page("client_uri"),
        logo_uri=members.web_page("logo_uri"),
        policy_uri=members.web_page("policy_uri"),
        tos_uri=members.web_page("tos_uri"),
        contacts=members.texts("contacts") or (),
        id_token_signed_response_alg=members.choice("id_token_signed_response_alg") or "RS256",
        id_token_encrypted_response_alg=members.choice("id_token_encrypted_response_alg"),
        id_token_encrypted_response_enc=_enc(members, "id_token"),
        userinfo_signed_response_alg=members.choice("userinfo_signed_response_alg"),
        userinfo_encrypted_response_alg=members.choice("userinfo_encrypted_response_alg"),
        userinfo_encrypted_response_enc=_enc(members, "userinfo"),
        request_object_signing_alg=members.choice("request_object_signing_alg"),
        require_signed_request_object=members.flag("require_signed_request_object", default=False),
        request_uris=members.secure_uris("request_uris"),
        subject_type=members.choice("subject_type") or "public",
        sector_identifier_uri=members.secure_uri("sector_identifier_uri"),
        default_max_age=members.seconds("default_max_age"),
        require_auth_time=members.flag("require_auth_time", default=False),
        default_acr_values=members.texts("default_acr_values") or (),
        initiate_login_uri=members.secure_uri("initiate_login_uri"),
        post_logout_redirect_uris=_post_logout_redirect_uris(members, application_type),
        backchannel_logout_uri=members.secure_uri("backchannel_logout_uri"),
        backchannel_logout_session_required=members.flag(
            "backchannel_logout_session_required", default=False
        ),
        frontchannel_logout_uri=members.secure_uri("frontchannel_logout_uri"),
        frontchannel_logout_session_required=members.flag(
            "frontchannel_logout_session_required", default=False
        ),
        # A public client can not go without, whatever the default is.
        require_pkce=members.flag("require_pkce", default=require_pkce or method == "none"),
        resources=members.resources(),
        software_id=members.text("software_id"),
        software_version=members.text("software_version"),
        software_statement=members.jwt("software_statement"),
        localized=members.localized(),
    )


def _enc(members: Members, what: str) -> str | None:
    """Return the content encryption, which has a default where there is encryption."""
    enc = members.choice(f"{what}_encrypted_response_enc")
    if enc is None and members.choice(f"{what}_encrypted_response_alg") is not None:
        return DEFAULT_ENC
    return enc


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
