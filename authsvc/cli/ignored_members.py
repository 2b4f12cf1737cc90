"""What a client was described by and this server has no use for.

Over HTTP such a member is ignored (RFC 7591 §2), for a client can not know every server. An
operator who misspells one waits in vain for what it should do, so they are told.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from authsvc.cli.output import readable
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.unsupported_metadata import UNSUPPORTED_MEMBERS

# Unsupported ones that ask for something are refused: what is left of them asks for nothing.
_KNOWN: Final = (
    frozenset(field.name for field in fields(ClientMetadata)) - {"localized"}
    | UNSUPPORTED_MEMBERS.keys()
)
_ANSWERED: Final = frozenset(
    {"client_id_issued_at", "client_secret_expires_at"}
    | {"registration_access_token", "registration_client_uri"}
)
"""What a registration response tells besides the metadata (RFC 7591 §3.2.1, RFC 7592 §3)."""
_COMPARED: Final = frozenset({"client_id", "client_secret"})
"""What a response tells, too, and somebody may have meant to set."""


def find_ignored_members(
    raw: Mapping[str, Any], metadata: ClientMetadata, document: Mapping[str, Any]
) -> list[str]:
    """Return the members of ``raw`` that have no part in what became of them.

    ``metadata`` is what was read from ``raw``, ``document`` what is answered. What an answer of
    ours says and is given back unchanged is not among them, nor what is null and may have a
    language tag, nor a list of roles or permissions that is empty.
    """
    return sorted(
        name
        for name, value in raw.items()
        if name not in _KNOWN | _ANSWERED
        and name not in metadata.localized
        and not (name in _COMPARED and value == document.get(name, value))
        and not (name in ("roles", "permissions") and value == [])
        and not ("#" in name and value is None)
    )


def warn_of_ignored_members(
    raw: Mapping[str, Any], metadata: ClientMetadata, document: Mapping[str, Any]
) -> None:
    """Print one line on standard error where members were ignored."""
    ignored = find_ignored_members(raw, metadata, document)
    if ignored:
        print(f"warning: ignored, they mean nothing here: {readable(ignored)}", file=sys.stderr)
