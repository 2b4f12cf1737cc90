"""The ``claims`` parameter: which claims a client wants, and where (OpenID Connect Core §5.5).

What is not understood is ignored, as the specification says; what is malformed is an error.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from authsvc.protocol.claims import PROTOCOL_CLAIMS, is_reached_by
from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.text import is_plain_text

_MAX_CLAIMS: Final = 100
# An access token carries the names, and is looked at up to 16,384 characters.
_MAX_LENGTH: Final = 8_192
_MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class ClaimWish:
    """How one claim is wanted; ``values`` is empty where any value will do."""

    essential: bool = False
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """The claims wanted from userinfo and in the ID token, by name."""

    userinfo: Mapping[str, ClaimWish] = field(default_factory=dict)
    id_token: Mapping[str, ClaimWish] = field(default_factory=dict)

    def about_person(self) -> tuple[str, ...]:
        """Return the names of claims about the person, in either place, each once."""
        return tuple(dict.fromkeys((*_about_person(self.userinfo), *_about_person(self.id_token))))

    def within(self, scopes: Collection[str]) -> "ClaimsRequest":
        """Return the request without the claims about the person that no scope reaches."""

        def narrow(wishes: Mapping[str, ClaimWish]) -> dict[str, ClaimWish]:
            person = set(_about_person(wishes))
            return {
                name: wish
                for name, wish in wishes.items()
                if name not in person or is_reached_by(scopes, name)
            }

        return ClaimsRequest(narrow(self.userinfo), narrow(self.id_token))

    def as_json(self) -> dict[str, list[str]] | None:
        """Return the names of claims about the person by place, None where there are none."""
        names = {
            place: list(_about_person(wishes))
            for place, wishes in (("userinfo", self.userinfo), ("id_token", self.id_token))
        }
        return names if any(names.values()) else None

    def wanted_subjects(self) -> tuple[object, ...]:
        """Return the values of ``sub`` of which the person must have one; empty for anybody."""
        return self.id_token.get("sub", ClaimWish()).values or (
            self.userinfo.get("sub", ClaimWish()).values
        )


def parse_claims_request(text: str | None) -> ClaimsRequest:
    """Read the value of the ``claims`` parameter; raises InvalidRequest."""
    if text is None:
        return ClaimsRequest()
    if len(text) > _MAX_LENGTH:
        raise InvalidRequest("claims is too long")
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest("claims is not JSON") from None
    if not isinstance(raw, dict):
        raise InvalidRequest("claims is not a JSON object")
    return ClaimsRequest(_parse_place(raw, "userinfo"), _parse_place(raw, "id_token"))


def _parse_place(raw: Mapping[str, Any], place: str) -> dict[str, ClaimWish]:
    wanted = raw.get(place)
    if wanted is None:
        return {}
    if not isinstance(wanted, dict) or len(wanted) > _MAX_CLAIMS:
        raise InvalidRequest(f"{place} in claims is not a JSON object of at most 100 members")
    return {name: _parse_wish(wish) for name, wish in wanted.items()}


def _parse_wish(wish: object) -> ClaimWish:
    if wish is None:
        return ClaimWish()
    if not isinstance(wish, dict):
        raise InvalidRequest("A claim in claims is wanted by null or a JSON object")
    essential, values = wish.get("essential", False), wish.get("values", [])
    if not isinstance(essential, bool) or not isinstance(values, list):
        raise InvalidRequest("A claim in claims has a malformed essential or values member")
    if "value" in wish:
        values = [wish["value"], *values]
    return ClaimWish(essential, tuple(values))


def _about_person(wishes: Mapping[str, ClaimWish]) -> tuple[str, ...]:
    """Return the names that a consent can list: of claims that are ours to give."""
    return tuple(
        name
        for name in wishes
        if name.partition("#")[0] not in PROTOCOL_CLAIMS
        and is_plain_text(name, max_length=_MAX_NAME)
        and not any(character.isspace() for character in name)
    )
