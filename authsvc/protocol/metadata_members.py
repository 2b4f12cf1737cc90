"""Members of client metadata, each read as the JSON type it must have.

RFC 7591 §2 and §2.2. A member that is null counts as absent, and so does an empty text
where that makes nothing less strict (RFC 7592 §2.2). Errors name the member, and never
repeat its value.
"""

import re
from collections.abc import Mapping
from typing import Final

from authsvc.protocol.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidScope,
    InvalidTarget,
)
from authsvc.protocol.redirect_uri import ApplicationType, parse_redirect_uri
from authsvc.protocol.scope import parse_scope
from authsvc.protocol.text import is_plain_text
from authsvc.protocol.uris import LOOPBACK_HOSTS, Uri, parse_resource, split_uri

MAX_TEXT: Final = 256
"""Characters of a text such as ``client_name``."""

MAX_ENTRIES: Final = 100
"""Entries of a list, and members with a language tag."""

_MAX_SCOPE: Final = 8192
_MAX_SECONDS: Final = 2**31 - 1
_MAX_JWT: Final = 16_384
_JWT: Final = re.compile(r"[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+")
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_LOCALIZED_URIS: Final = frozenset({"client_uri", "logo_uri", "tos_uri", "policy_uri"})
_LOCALIZED: Final = _LOCALIZED_URIS | {"client_name"}


class Members:
    """The members of one JSON object; every method raises InvalidClientMetadata."""

    def __init__(self, raw: Mapping[str, object]) -> None:
        self._raw = raw

    def text(self, name: str) -> str | None:
        """Return one line of plain text of at most 256 characters, or None for an empty one."""
        value = self._raw.get(name)
        return None if value in (None, "") else _text(name, value)

    def choice(self, name: str) -> str | None:
        """Return what the client chose, such as an algorithm.

        An empty text is no choice: its default may be less than what was meant.
        """
        value = self._raw.get(name)
        return None if value is None else _text(name, value)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of plain texts, each once and in order."""
        value = self._raw.get(name)
        if value is None:
            return None
        return tuple(dict.fromkeys(_text(name, entry) for entry in _entries(name, value)))

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._raw.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidClientMetadata(f"{name} must be true or false")
        return value

    def seconds(self, name: str) -> int | None:
        """Return a whole number of seconds, 0 or more."""
        value = self._raw.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SECONDS:
            raise InvalidClientMetadata(f"{name} must be a whole number of seconds")
        return value

    def scope(self) -> tuple[str, ...]:
        """Return ``scope``, which is one text (RFC 7591 §2)."""
        value = self._raw.get("scope")
        if value is None:
            return ()
        if not isinstance(value, str) or len(value) > _MAX_SCOPE:
            raise InvalidClientMetadata("scope must be a text of scopes with spaces between them")
        try:
            return parse_scope(value)
        except InvalidScope:
            raise InvalidClientMetadata("scope is malformed") from None

    def web_page(self, name: str) -> str | None:
        """Return an http or https URL without a fragment: nothing a click could run."""
        value = self._raw.get(name)
        return None if value in (None, "") else _web_page(name, value)

    def secure_uri(self, name: str) -> str | None:
        """Return an https URL; http on a loopback host is let pass for development."""
        value = self.web_page(name)
        return None if value is None else _secure_uri(name, value)

    def secure_uris(self, name: str) -> tuple[str, ...]:
        """Return a list of https URLs, which may have a fragment (``request_uris``)."""
        value = self._raw.get(name)
        entries = () if value is None else _entries(name, value)
        uris = [_secure_uri(name, entry) for entry in entries]
        return tuple(dict.fromkeys(uris))

    def jwt(self, name: str) -> str | None:
        """Return a compact JWS, which nobody has vouched for yet."""
        value = self._raw.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > _MAX_JWT or not _JWT.fullmatch(value):
            raise InvalidClientMetadata(f"{name} must be a signed JWT")
        return value

    def redirect_uris(self, name: str, application_type: ApplicationType) -> tuple[str, ...]:
        """Return a list of redirect URIs; raises InvalidRedirectUri for a bad one."""
        value = self._raw.get(name)
        uris: dict[str, None] = {}
        for entry in () if value is None else _entries(name, value):
            if not isinstance(entry, str):
                raise InvalidClientMetadata(f"{name} must be a list of texts")
            try:
                uris[parse_redirect_uri(entry, application_type=application_type)] = None
            except InvalidRedirectUri as error:
                raise InvalidRedirectUri(f"{name}: {error.description}") from None
        return tuple(uris)

    def resources(self) -> tuple[str, ...]:
        """Return ``resources``, the resource indicators a client may use (RFC 8707 §2)."""
        value = self._raw.get("resources")
        uris: dict[str, None] = {}
        for entry in () if value is None else _entries("resources", value):
            if not isinstance(entry, str):
                raise InvalidClientMetadata("resources must be a list of texts")
            try:
                uris[parse_resource(entry)] = None
            except InvalidTarget as error:
                raise InvalidClientMetadata(f"resources: {error.description}") from None
        return tuple(uris)

    def localized(self) -> dict[str, str]:
        """Return the members with a language tag, such as ``client_name#de`` (RFC 7591 §2.2)."""
        found: dict[str, str] = {}
        for tagged, value in self._raw.items():
            name, separator, language = tagged.partition("#")
            if not separator or name not in _LOCALIZED or value in (None, ""):
                continue
            if not _LANGUAGE_TAG.fullmatch(language) or len(language) > MAX_TEXT:
                raise InvalidClientMetadata(f"{name} has a malformed language tag")
            read = _web_page if name in _LOCALIZED_URIS else _text
            found[tagged] = read(name, value)
        if len(found) > MAX_ENTRIES:
            raise InvalidClientMetadata("too many members have a language tag")
        return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not is_plain_text(value, max_length=MAX_TEXT):
        raise InvalidClientMetadata(f"{name} must be plain text of 1 to 256 characters")
    return value


def _entries(name: str, value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise InvalidClientMetadata(f"{name} must be a list of at most 100 entries")
    return value


def _secure_uri(name: str, value: object) -> str:
    parts = split_uri(value) if isinstance(value, str) else None
    if (
        not isinstance(value, str)
        or parts is None
        or parts.host is None
        or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts)))
    ):
        raise InvalidClientMetadata(f"{name} must be https")
    return value


def _is_loopback(uri: Uri) -> bool:
    return uri.host in LOOPBACK_HOSTS


def _web_page(name: str, value: object) -> str:
    parts = split_uri(value) if isinstance(value, str) else None
    if (
        not isinstance(value, str)
        or parts is None
        or parts.scheme not in ("http", "https")
        or parts.host is None
        or parts.fragment is not None
    ):
        raise InvalidClientMetadata(f"{name} must be an http or https URL without a fragment")
    return value
