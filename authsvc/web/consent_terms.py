"""How pages show a client, and what a person would allow it."""

from collections.abc import Iterable
from typing import Final

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.access.role_graph import is_reserved
from authsvc.oauth.clients import Client
from authsvc.oauth.consent import CLAIM, DESTINATION
from authsvc.protocol.claims import STANDARD_CLAIMS
from authsvc.web.client_logo import logo_path

_DESCRIPTIONS: Final = {
    "openid": "Know who you are",
    "profile": "See your profile: your name and what else you have told about yourself",
    "email": "See your email address",
    "address": "See your postal address",
    "phone": "See your phone number",
    "offline_access": "Keep access while you are not there",
    ADMIN_PERMISSION: "Administer this sign-in service: its people, roles, apps and keys",
}


def terms_as_shown(wanted: Iterable[str]) -> list[dict[str, str | bool | None]]:
    """Return the template's ``scopes``: what is asked for, with words for what we know.

    What governs this service itself is marked and comes first, whatever the client's order.
    """
    terms = [{**_term_as_shown(name), "governs": is_reserved(name)} for name in wanted]
    return sorted(terms, key=lambda term: not term["governs"])


def _term_as_shown(name: str) -> dict[str, str | None]:
    if name.startswith(CLAIM):
        return _claim_as_shown(name.removeprefix(CLAIM))
    if name.startswith(DESTINATION):
        destination = name.removeprefix(DESTINATION)
        return {"name": destination, "description": "Send you on to this address"}
    return {"name": name, "description": _DESCRIPTIONS.get(name)}


def _claim_as_shown(name: str) -> dict[str, str | None]:
    claim, _, language = name.partition("#")
    if claim not in STANDARD_CLAIMS:
        return {"name": name, "description": f"See what is known of you as {claim}"}
    words = claim.replace("_", " ") + (f" ({language})" if language else "")
    return {"name": name, "description": f"See your {words}"}


def client_as_shown(client: Client) -> dict[str, str | None]:
    """Return the template's ``client``: its name, and the links it registered."""
    metadata = client.metadata
    return {
        "name": client.name,
        "uri": metadata.client_uri,
        "policy_uri": metadata.policy_uri,
        "tos_uri": metadata.tos_uri,
        "logo": logo_path(client),
    }
