"""What the revocation of a signing key means, in numbers and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from authsvc.cli.output import readable
from authsvc.config import Settings
from authsvc.storage.signing_keys import SigningKeyRow


def revocation_document(
    key: SigningKeyRow,
    keys: Sequence[SigningKeyRow],
    settings: Settings,
    *,
    living_families: int,
) -> dict[str, Any]:
    """Return what the revocation of ``key`` affects; ``keys`` are all there are now.

    ``signed_from`` and ``signed_until`` are None for a key that never signed.
    """
    signed_until = None
    last_expiry = None
    if key.activated_at is not None:
        signed_until = key.retired_at or key.revoked_at
        if signed_until is not None:
            last_expiry = signed_until + max(settings.access_token_ttl, settings.id_token_ttl)
    signing = [row.kid for row in keys if row.alg == key.alg and row.state == "active"]
    return {
        "signed_from": key.activated_at,
        "signed_until": signed_until,
        "invalid": ["access_token", "id_token"] if key.activated_at else [],
        "last_expiry": last_expiry,
        "signing_now": signing[0] if signing else None,
        "living_families": living_families,
        "jwks_max_age": int(settings.jwks_max_age.total_seconds()),
    }


def explain_revocation(document: Mapping[str, Any]) -> list[str]:
    """Return the document of a revocation in words."""
    alg = document["alg"]
    lines = [f"The {alg} key {document['kid']} is revoked."]
    if document["signed_from"] is None:
        return [*lines, "It never signed, so nothing that was issued is affected."]
    signed_from, signed_until, last_expiry, signing_now = (
        readable(document[name])
        for name in ("signed_from", "signed_until", "last_expiry", "signing_now")
    )
    lines.append(f"It signed from {signed_from} until {signed_until}.")
    lines.append(
        "Every access token and every ID token with this kid is invalid from now on; "
        f"the last of them would have expired at {last_expiry}."
    )
    lines.append(
        "Services that verify tokens by themselves notice when they fetch the JWKS again: "
        f"within {document['jwks_max_age']} seconds if they honour its max-age."
    )
    lines.append(
        f"Refresh tokens live on: {document['living_families']} families can get new access "
        f"tokens. The key that signs with {alg} now is {signing_now}."
    )
    lines.append("If refresh tokens may have leaked as well: authsvc tokens revoke --help")
    return lines
