"""What a client may register itself: all that the metadata rules allow, within limits.

RFC 7591 §2 and §3.2.1: the server may replace what a client asks for, and says so.
What is beyond the limits an administrator adds, and a client that has it keeps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from authsvc.config import Settings
from authsvc.oauth.capabilities import CLIENT_CREDENTIALS, DEVICE_CODE, REFRESH_TOKEN
from authsvc.oauth.clients import PERSONAL_SCOPES
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.software_statements import apply_software_statement
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import InvalidClientMetadata, InvalidScope
from authsvc.protocol.metadata_rules import narrow_flows
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, SCOPE_CLAIMS, format_scope, parse_scope
from authsvc.protocol.server_capabilities import ServerCapabilities

_STRICTER: Final = ("require_pkce", "require_signed_request_object")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may have; ``resources`` is None where it may name any.

    ``held_to`` are members that stay true, whatever the client says.
    """

    scopes: frozenset[str]
    resources: frozenset[str] | None
    client_credentials: bool
    held_to: frozenset[str]


def limits_of_new_client(settings: Settings, *, trusted: bool) -> Limits:
    """Return the limits of a registration, ``trusted`` with an initial access token.

    A stranger gets no tokens without a person, and none for another resource server.
    """
    scopes = PERSONAL_SCOPES.union(settings.registration_scopes)
    held_to = frozenset({"require_pkce"} if settings.registration_require_pkce else ())
    return Limits(scopes, None if trusted else frozenset(), trusted, held_to)


def limits_of_change(settings: Settings, before: ClientMetadata) -> Limits:
    """Return the limits of a client that replaces the metadata ``before``.

    What an administrator made stricter, it does not make looser again.
    """
    held_to = {name for name in _STRICTER if getattr(before, name)}
    if settings.registration_require_pkce:
        held_to.add("require_pkce")
    return Limits(
        PERSONAL_SCOPES.union(settings.registration_scopes, before.scope),
        frozenset(before.resources),
        CLIENT_CREDENTIALS in before.grant_types,
        frozenset(held_to),
    )


async def check_self_registered(
    server: AuthorizationServer, raw: Mapping[str, Any], limits: Limits
) -> ClientMetadata:
    """Return the metadata in ``raw`` as it will be registered; may ask other hosts.

    Raises InvalidClientMetadata, InvalidRedirectUri, and what a software statement raises.
    """
    stated = await apply_software_statement(server, raw)
    wanted = _narrow(stated, limits, server.capabilities) | dict.fromkeys(limits.held_to, True)
    metadata = await server.client_administration.check(wanted, require_pkce=False)
    if CLIENT_CREDENTIALS in metadata.grant_types and not limits.client_credentials:
        raise InvalidClientMetadata(
            "grant_types holds client_credentials, which needs an initial access token"
        )
    if DEVICE_CODE in metadata.grant_types and metadata.sector is not None:
        # A device needs no redirect URI, so nothing proves that the sector is the client's.
        raise InvalidClientMetadata("subject_type pairwise does not go with the device grant")
    return _with_scope(metadata)


def _narrow(
    raw: Mapping[str, Any], limits: Limits, supported: ServerCapabilities
) -> dict[str, Any]:
    narrowed = dict(raw) | narrow_flows(raw, supported)
    if "scope" in raw:
        narrowed["scope"] = _narrow_scope(raw["scope"], limits.scopes)
    if limits.resources is not None and isinstance(raw.get("resources"), list):
        narrowed["resources"] = [
            # What is no text stays, to be refused.
            uri
            for uri in raw["resources"]
            if not isinstance(uri, str) or uri in limits.resources
        ]
    return narrowed


def _narrow_scope(scope: object, allowed: frozenset[str]) -> object:
    if not isinstance(scope, str) or not scope:
        return scope
    try:
        asked = parse_scope(scope)
    except InvalidScope:
        raise InvalidClientMetadata("scope is malformed") from None
    kept = [name for name in asked if name in allowed]
    if not kept:
        # Left out altogether it would stand for the defaults, which nobody asked for.
        raise InvalidClientMetadata("scope holds nothing that a client may register itself")
    return format_scope(kept)


def _with_scope(metadata: ClientMetadata) -> ClientMetadata:
    """Return the metadata with the scopes that a client gets which names none."""
    if metadata.scope or metadata.grant_types == (CLIENT_CREDENTIALS,):
        return metadata
    offline = (OFFLINE_ACCESS,) if REFRESH_TOKEN in metadata.grant_types else ()
    return replace(metadata, scope=(OPENID, *SCOPE_CLAIMS, *offline))
