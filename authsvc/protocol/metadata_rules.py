"""The rules between the members of client metadata, and what the server can do.

RFC 7591 §2 and §2.1, OpenID Connect Registration §2 and §5, OpenID Connect Core §8.1,
Front-Channel Logout §2. What depends on the server's own metadata is checked by Authlib's
validators; the rules between members are ours.
"""

from collections.abc import Mapping
from typing import Final

from authlib.oauth2.rfc7591 import ClientMetadataClaims as OAuthValidator
from authlib.oidc.registration import ClientMetadataClaims as OpenIdValidator
from joserfc.errors import InvalidClaimError

from authsvc.protocol.client_metadata import PAIRWISE, ClientMetadata, read_client_metadata
from authsvc.protocol.encryption import find_encryption_key
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from authsvc.protocol.response_types import REDIRECTING_GRANTS, grants_for, parse_response_types
from authsvc.protocol.server_capabilities import ServerCapabilities
from authsvc.protocol.unsupported_metadata import check_supported_members
from authsvc.protocol.uris import split_uri

# Grants that something else than a secret protects: a redirect URI, a person, a token.
_PUBLIC_GRANTS: Final = REDIRECTING_GRANTS | {
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
}
_HTTPS: Final = (
    "initiate_login_uri",
    "jwks_uri",
    "request_uris",
    "sector_identifier_uri",
    "backchannel_logout_uri",
    "frontchannel_logout_uri",
)
# Read more strictly by us; Authlib knows no redirect URI without a host (RFC 8252 §7.1),
# and no http on loopback.
_OURS: Final = frozenset({"redirect_uris", "jwks_uri", "sector_identifier_uri"})


def parse_client_metadata(
    raw: Mapping[str, object],
    *,
    supported: ServerCapabilities,
    require_pkce: bool = True,
    loopback: bool = False,
) -> ClientMetadata:
    """Read the JSON object ``raw``, which a client or an administrator wants to register.

    ``require_pkce`` is what that member says by default; ``loopback`` lets the URIs that we
    ask or that people are framed with be http on this machine. Raises InvalidRedirectUri for a bad
    entry of ``redirect_uris`` or none at all where one is needed, and InvalidClientMetadata,
    which names the member, for everything else (RFC 7591 §3.2.2).
    """
    check_supported_members(raw)
    metadata = read_client_metadata(raw, require_pkce=require_pkce)
    _check_capabilities(metadata, supported)
    _check_schemes(metadata, loopback=loopback)
    _check_grants(metadata)
    _check_implicit(metadata)
    _check_authentication(metadata)
    _check_keys(metadata)
    _check_request_objects(metadata)
    _check_subjects(metadata)
    _check_logout(metadata)
    return metadata


def narrow_flows(raw: Mapping[str, object], supported: ServerCapabilities) -> dict[str, list[str]]:
    """Return those of the flows in ``raw`` that a client can be given (RFC 7591 §3.2.1).

    Clients register every response type and grant they know, whatever the server does: of
    these the supported ones are kept, and of the grants that redirect those that a response
    type needs. Who names no grants gets, later, those that the response types kept here need.
    A member of which nothing would be left is not in the answer, nor is one that is malformed:
    it is refused as it came.
    """
    types, grants = _texts(raw, "response_types"), _texts(raw, "grant_types")
    known = [name for name in parse_response_types(types) if name in supported.response_types]
    # A client that names no response type gets ``code`` with its grant, or none.
    needed = set(grants_for(known or ["code"]))
    kept = [grant for grant in grants if grant in supported.grant_types]
    if known or needed.issubset(kept):
        kept = [grant for grant in kept if grant in needed or grant not in REDIRECTING_GRANTS]
    narrowed = {"response_types": known, "grant_types": kept}
    return {name: entries for name, entries in narrowed.items() if entries}


def _texts(raw: Mapping[str, object], name: str) -> list[str]:
    """Return the member if it is a list of texts; else nothing, and it is refused later."""
    value = raw.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        return []
    return value


def _check_capabilities(metadata: ClientMetadata, supported: ServerCapabilities) -> None:
    # Authlib takes an empty list for a missing one.
    claims = {
        name: value
        for name, value in metadata.as_json().items()
        if value != [] and name not in _OURS
    }
    server_metadata = supported.as_json()
    for validator in (OAuthValidator, OpenIdValidator):
        options = validator.get_claims_options(server_metadata)
        try:
            validator(claims, {}, options).validate()
        except InvalidClaimError as error:
            what = "a key that is not valid" if error.claim == "jwks" else "an unsupported value"
            raise InvalidClientMetadata(f"{error.claim} holds {what}") from None


def _check_schemes(metadata: ClientMetadata, *, loopback: bool) -> None:
    """Hold to https what the specifications want to be https, also on loopback."""
    for name in ("initiate_login_uri",) if loopback else _HTTPS:
        value = getattr(metadata, name)
        for uri in (value,) if isinstance(value, str) else value or ():
            if not uri.lower().startswith("https:"):
                raise InvalidClientMetadata(f"{name} must be https")


def _check_grants(metadata: ClientMetadata) -> None:
    """Hold grant types, response types and redirect URIs together (RFC 7591 §2.1)."""
    redirecting = REDIRECTING_GRANTS.intersection(metadata.grant_types)
    if set(grants_for(metadata.response_types)) != redirecting:
        raise InvalidClientMetadata("response_types and grant_types do not go together")
    if redirecting and not metadata.redirect_uris:
        raise InvalidRedirectUri("redirect_uris must hold at least one redirect URI")


def _check_implicit(metadata: ClientMetadata) -> None:
    """Keep tokens for a web client off ``localhost`` (OpenID Connect Registration §2).

    https is a must as well; http on a loopback address is let pass for development.
    """
    if metadata.application_type != "web" or "implicit" not in metadata.grant_types:
        return
    for uri in metadata.redirect_uris:
        parts = split_uri(uri)
        if parts is not None and parts.host == "localhost":
            raise InvalidRedirectUri(
                "redirect_uris must not be on localhost for the implicit grant of a web client"
            )


def _check_authentication(metadata: ClientMetadata) -> None:
    method = metadata.token_endpoint_auth_method
    if method == "none":
        if not _PUBLIC_GRANTS.issuperset(metadata.grant_types):
            raise InvalidClientMetadata("grant_types holds a grant that needs a secret")
        if not metadata.require_pkce:
            raise InvalidClientMetadata("require_pkce must be true for a public client")
    has_keys = metadata.jwks is not None or metadata.jwks_uri is not None
    if method == "private_key_jwt" and not has_keys:
        raise InvalidClientMetadata("jwks or jwks_uri is needed for private_key_jwt")
    alg = metadata.token_endpoint_auth_signing_alg
    if alg is not None and alg.startswith("HS") != (method == "client_secret_jwt"):
        raise InvalidClientMetadata(
            "token_endpoint_auth_signing_alg does not go with token_endpoint_auth_method"
        )


def _check_keys(metadata: ClientMetadata) -> None:
    if metadata.jwks is not None and metadata.jwks_uri is not None:
        raise InvalidClientMetadata("jwks and jwks_uri must not both be there")
    for what in ("id_token", "userinfo"):
        alg = getattr(metadata, f"{what}_encrypted_response_alg")
        if alg is None and getattr(metadata, f"{what}_encrypted_response_enc") is not None:
            raise InvalidClientMetadata(f"{what}_encrypted_response_enc needs an alg as well")
        if alg is None or metadata.jwks_uri is not None:
            continue
        if find_encryption_key((metadata.jwks or {"keys": []})["keys"], alg) is None:
            raise InvalidClientMetadata(f"jwks has no key for {what}_encrypted_response_alg")


def _check_request_objects(metadata: ClientMetadata) -> None:
    if metadata.require_signed_request_object and metadata.request_object_signing_alg == "none":
        raise InvalidClientMetadata(
            "request_object_signing_alg must not be none where request objects must be signed"
        )


def _check_subjects(metadata: ClientMetadata) -> None:
    if metadata.sector_identifier_uri is not None and not metadata.redirect_uris:
        # Its list vouches for redirect URIs: without one anybody could name it.
        raise InvalidClientMetadata("sector_identifier_uri needs redirect_uris")
    if metadata.subject_type == PAIRWISE and metadata.sector is None:
        raise InvalidClientMetadata(
            "sector_identifier_uri is needed unless all redirect_uris have one host"
        )


def _check_logout(metadata: ClientMetadata) -> None:
    """Hold the front-channel URI to an origin of the client (Front-Channel Logout §2)."""
    uri = metadata.frontchannel_logout_uri
    if uri is not None and _origin(uri) not in map(_origin, metadata.redirect_uris):
        raise InvalidClientMetadata(
            "frontchannel_logout_uri must have the scheme, host and port of a redirect URI"
        )
    for channel in ("backchannel", "frontchannel"):
        required = getattr(metadata, f"{channel}_logout_session_required")
        if required and getattr(metadata, f"{channel}_logout_uri") is None:
            raise InvalidClientMetadata(f"{channel}_logout_session_required needs a logout URI")


def _origin(uri: str) -> tuple[str, str | None]:
    parts = split_uri(uri)
    return (parts.scheme, parts.authority) if parts else ("", None)
