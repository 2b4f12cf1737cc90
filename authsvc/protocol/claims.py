"""Claims about a person: their types, and which a scope lets a client see.

OpenID Connect Core §5.1, §5.1.1, §5.2, §5.3.2 and §5.4.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Final

from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.scope import SCOPE_CLAIMS
from authsvc.protocol.text import is_plain_text, is_storable
from authsvc.protocol.uris import is_web_uri

STANDARD_CLAIMS: Final[Mapping[str, type]] = MappingProxyType(
    {
        "sub": str,
        "name": str,
        "given_name": str,
        "family_name": str,
        "middle_name": str,
        "nickname": str,
        "preferred_username": str,
        "profile": str,
        "picture": str,
        "website": str,
        "email": str,
        "email_verified": bool,
        "gender": str,
        "birthdate": str,
        "zoneinfo": str,
        "locale": str,
        "phone_number": str,
        "phone_number_verified": bool,
        "address": dict,
        "updated_at": int,
    }
)
"""The standard claims and the Python type of their JSON value (OpenID Connect Core §5.1)."""

ADDRESS_MEMBERS: Final = frozenset(
    {"formatted", "street_address", "locality", "region", "postal_code", "country"}
)
"""The members of the ``address`` claim (OpenID Connect Core §5.1.1)."""

PROTOCOL_CLAIMS: Final = frozenset(
    {
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "sid",
        "typ",
        "azp",
        "act",
        "may_act",
        "cnf",
        "scope",
        "client_id",
        "token_type",
        "active",
        "username",
        "roles",
        "permissions",
        "authorization_details",
        "acr",
        "amr",
        "auth_time",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
        "sub_jwk",
        "events",
        "toe",
        "txn",
        "_claim_names",
        "_claim_sources",
    }
)
"""Claims whose meaning the server itself gives; nobody sets them on a person."""

_MAX_NAME: Final = 256
_MAX_TEXT: Final = 2048
_MAX_JSON_DEPTH: Final = 8
_MAX_JSON_VALUES: Final = 1000
_MAX_JSON_TEXT: Final = 16384
# Whole numbers beyond this are not the same in every reader of JSON (RFC 8259 §6).
_MAX_INTEGER: Final = 2**53 - 1

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_BIRTHDATE: Final = re.compile(
    r"[0-9]{4}(?:-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|[12][0-9])))?"
)
_ZONEINFO: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*")
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{1,8}(?:[\-_][A-Za-z0-9]{1,8})*")

_SYNTAX: Final[Mapping[str, tuple[Callable[[str], object], str]]] = MappingProxyType(
    {
        "profile": (is_web_uri, "an http or https URL"),
        "picture": (is_web_uri, "an http or https URL"),
        "website": (is_web_uri, "an http or https URL"),
        "email": (_EMAIL.fullmatch, "an email address"),
        "birthdate": (_BIRTHDATE.fullmatch, "YYYY-MM-DD or YYYY"),
        "zoneinfo": (_ZONEINFO.fullmatch, "a time zone such as Europe/Paris"),
        "locale": (_LANGUAGE_TAG.fullmatch, "a language tag such as en-US"),
    }
)


def claims_for_scopes(
    scopes: Iterable[str], user_claims: Mapping[str, object]
) -> dict[str, object]:
    """Return those of ``user_claims`` that ``scopes`` ask for (OpenID Connect Core §5.4).

    A claim without a value is left out (§5.3.2); a claim in several languages comes in
    all of them (§5.2).
    """
    asked = {claim for scope in scopes for claim in SCOPE_CLAIMS.get(scope, ())}
    return {
        name: value
        for name, value in user_claims.items()
        if name.partition("#")[0] in asked and is_worth_telling(value)
    }


def is_reached_by(scopes: Iterable[str], name: str) -> bool:
    """Tell whether ``scopes`` ask for the claim ``name``, in whatever language, anyway."""
    return any(name.partition("#")[0] in SCOPE_CLAIMS.get(scope, ()) for scope in scopes)


def is_worth_telling(value: object) -> bool:
    """Tell a claim that has a value from one that is left out (OpenID Connect Core §5.3.2)."""
    return value not in (None, "", {})


def select_claims(names: Iterable[str], user_claims: Mapping[str, object]) -> dict[str, object]:
    """Return those of ``user_claims`` that are asked for by name (OpenID Connect Core §5.5).

    A name without a language tag gets the claim as it is; one with a tag gets the claim in
    that language, where it is known (§5.2).
    """
    return {name: user_claims[name] for name in names if is_worth_telling(user_claims.get(name))}


def check_claim(name: str, value: object) -> None:
    """Raise InvalidRequest unless an administrator may give a person this claim.

    A standard claim, also one with a language tag (``name#de``), must have its type and
    syntax (OpenID Connect Core §5.1, §5.2). A protocol claim is refused. Any other claim
    may be any JSON of moderate size. None, which takes the claim away, is always right.
    """
    if not is_plain_text(name, max_length=_MAX_NAME):
        raise InvalidRequest("The name of a claim is not acceptable")
    claim, tagged, language = name.partition("#")
    if claim in PROTOCOL_CLAIMS:
        raise InvalidRequest("The claim belongs to the protocol and can not be set")
    if tagged and (not claim or not _LANGUAGE_TAG.fullmatch(language)):
        raise InvalidRequest("The language tag of the claim is malformed")
    if value is None:
        return
    if claim in STANDARD_CLAIMS:
        _check_standard(claim, value)
    elif not _is_moderate_json(value):
        raise InvalidRequest("The value of the claim is not JSON of moderate size")


def _check_standard(claim: str, value: object) -> None:
    expected = STANDARD_CLAIMS[claim]
    if expected is dict:
        _check_address(value)
    elif expected is bool:
        if not isinstance(value, bool):
            raise InvalidRequest(f"{claim} must be true or false")
    elif expected is int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
            raise InvalidRequest(f"{claim} must be a whole number of seconds since the epoch")
    else:
        _check_text(claim, value)


def _check_text(claim: str, value: object) -> None:
    if not isinstance(value, str) or not is_plain_text(value, max_length=_MAX_TEXT):
        raise InvalidRequest(f"{claim} must be a line of text")
    is_right, description = _SYNTAX.get(claim, (bool, "a line of text"))
    if not is_right(value):
        raise InvalidRequest(f"{claim} must be {description}")


def _check_address(value: object) -> None:
    if not isinstance(value, dict) or not value.keys() <= ADDRESS_MEMBERS:
        raise InvalidRequest("address must be an object with the members of OpenID Connect")
    for member in value.values():
        # An address has line breaks (OpenID Connect Core §5.1.1), but nothing stranger.
        if not isinstance(member, str) or not is_plain_text(
            re.sub(r"\r?\n", " ", member), max_length=_MAX_TEXT
        ):
            raise InvalidRequest("The members of address must be text")


def _is_moderate_json(value: object) -> bool:
    """Tell whether ``value`` is JSON that every database and every reader keeps as it is."""
    todo = [(value, 1)]
    seen = characters = 0
    while todo:
        item, depth = todo.pop()
        seen += 1
        if isinstance(item, str):
            characters += len(item)
            if not is_storable(item):
                return False
        elif isinstance(item, dict | list):
            todo.extend((child, depth + 1) for child in item)
            if isinstance(item, dict):
                if not all(isinstance(key, str) for key in item):
                    return False
                todo.extend((child, depth + 1) for child in item.values())
        elif not _is_json_literal(item):
            return False
        if depth > _MAX_JSON_DEPTH or seen > _MAX_JSON_VALUES or characters > _MAX_JSON_TEXT:
            return False
    return True


def _is_json_literal(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= _MAX_INTEGER
    return isinstance(value, float) and isfinite(value)
