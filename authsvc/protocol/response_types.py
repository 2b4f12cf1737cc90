"""Response types and response modes (OAuth 2.0 Multiple Response Type Encoding Practices).

The order of the words in a response type does not matter (RFC 6749 §3.1.1); here it is
always that of ``RESPONSE_TYPES``.
"""

from collections.abc import Iterable
from typing import Final, Literal

CODE: Final = "code"
RESPONSE_TYPES: Final = (
    CODE,
    "id_token",
    "id_token token",
    "code id_token",
    "code token",
    "code id_token token",
)
"""Every response type of OpenID Connect Core §3; ``token`` alone signs nobody in."""

ResponseMode = Literal["query", "fragment", "form_post"]
RESPONSE_MODES: Final[tuple[ResponseMode, ...]] = ("query", "fragment", "form_post")

_GRANT_OF_PART: Final = {
    CODE: "authorization_code",
    "id_token": "implicit",
    "token": "implicit",
}
REDIRECTING_GRANTS: Final = frozenset(_GRANT_OF_PART.values())
"""The grants that begin at the authorization endpoint."""

_BY_WORDS: Final = {tuple(sorted(name.split())): name for name in RESPONSE_TYPES}


def parse_response_type(text: str) -> str:
    """Return the response type with its words in the usual order; unknown ones as they came."""
    return _BY_WORDS.get(tuple(sorted(text.split())), text)


def parse_response_types(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the response types, each once."""
    return tuple(dict.fromkeys(map(parse_response_type, texts)))


def grants_for(response_types: Iterable[str]) -> tuple[str, ...]:
    """Return the grants that the response types need together (RFC 7591 §2.1)."""
    parts = {part for response_type in response_types for part in response_type.split()}
    needed = (grant for part, grant in _GRANT_OF_PART.items() if part in parts)
    return tuple(dict.fromkeys(needed))


def default_response_mode(response_type: str) -> ResponseMode:
    """Return where the answer goes unless the request says otherwise (§5)."""
    return "fragment" if _holds_token(response_type) else "query"


def find_response_mode(text: str | None, response_type: str) -> ResponseMode | None:
    """Return the response mode asked for, or None where it is unknown or not safe.

    What holds a token or an ID token never goes into a query, which ends up in logs (§5).
    """
    if text is None:
        return default_response_mode(response_type)
    for mode in RESPONSE_MODES:
        if mode == text and not (mode == "query" and _holds_token(response_type)):
            return mode
    return None


def _holds_token(response_type: str) -> bool:
    return not {"token", "id_token"}.isdisjoint(response_type.split())
