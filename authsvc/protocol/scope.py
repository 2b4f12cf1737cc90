"""Scope: its grammar, and the scopes and claims of OpenID Connect.

RFC 6749 §3.3, OpenID Connect Core §5.4 and §11.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from authsvc.protocol.errors import InvalidScope

OPENID: Final = "openid"
PROFILE: Final = "profile"
EMAIL: Final = "email"
ADDRESS: Final = "address"
PHONE: Final = "phone"
OFFLINE_ACCESS: Final = "offline_access"

SCOPE_CLAIMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        PROFILE: (
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ),
        EMAIL: ("email", "email_verified"),
        ADDRESS: ("address",),
        PHONE: ("phone_number", "phone_number_verified"),
    }
)
"""The claims that a scope asks for (OpenID Connect Core §5.4)."""

MAX_SCOPES: Final = 100

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*+")
_LONGEST_LOGGED: Final = 256


def parse_scope(text: str | None) -> tuple[str, ...]:
    """Return the scopes in ``text``, each once, in the order they came (RFC 6749 §3.3).

    None and the empty text are no scopes. Raises InvalidScope when the grammar is not
    kept, which separates scopes by exactly one space, or there are more than 100.
    """
    if not text:
        return ()
    if not _SCOPE.fullmatch(text):
        raise InvalidScope("The scope is malformed")
    scopes = tuple(dict.fromkeys(text.split(" ")))
    if len(scopes) > MAX_SCOPES:
        raise InvalidScope("The scope holds too many values")
    return scopes


def format_scope(scopes: Iterable[str]) -> str:
    """Return ``scopes`` as the value of a ``scope`` parameter (RFC 6749 §3.3)."""
    return " ".join(scopes)


def check_scope(requested: Iterable[str], allowed: Collection[str]) -> None:
    """Raise InvalidScope when ``requested`` holds more than ``allowed`` (RFC 6749 §5.2)."""
    refused = [scope for scope in requested if scope not in allowed]
    if refused:
        raise InvalidScope(
            "The scope is more than the client may ask for",
            detail=format_scope(refused)[:_LONGEST_LOGGED],
        )
