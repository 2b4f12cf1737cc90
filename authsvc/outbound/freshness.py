"""How long an answer may be used again, as a private cache counts it (RFC 9111)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

MAX_LIFETIME: Final = timedelta(days=1)
"""Longest life of an answer, whatever it says: withdrawn keys must not live on for years."""

_DIRECTIVE: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(\"(?:[^\"\\]|\\.)*\"|[^\s,;\"]*))?"
)
_MAX_CACHE_CONTROL: Final = 2_048
_MAX_SECONDS: Final = 2**31  # RFC 9111 §1.2.2


def parse_cache_control(text: str) -> dict[str, str]:
    """Return the directives of Cache-Control, names in lower case (RFC 9111 §5.2).

    Where one comes twice, the shorter ``max-age`` stands. A value beyond reason is read
    as ``no-store``.
    """
    if len(text) > _MAX_CACHE_CONTROL:
        return {"no-store": ""}
    directives: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(text):
        name, value = match[1].lower(), (match[2] or "").strip('"')
        if name == "max-age" and name in directives:
            value = min(value, directives[name], key=_seconds)
        directives[name] = value
    return directives


def may_be_stored(headers: Mapping[str, str]) -> bool:
    """Tell whether a 200 with these headers may be stored (RFC 9111 §3, §4.1)."""
    if "no-store" in parse_cache_control(headers.get("cache-control", "")):
        return False
    return "*" not in headers.get("vary", "")


def fresh_until(
    headers: Mapping[str, str],
    *,
    requested_at: datetime,
    received_at: datetime,
    heuristic: timedelta,
) -> datetime:
    """Return when an answer becomes stale (RFC 9111 §4.2); the past when it is at once.

    ``heuristic`` is the life of one that says nothing of it (§4.2.2).
    """
    date = _parse_date(headers.get("date")) or received_at
    apparent_age = max(received_at - date, timedelta())
    age = timedelta(seconds=_seconds(headers.get("age", "").partition(",")[0].strip()))
    corrected_age = max(apparent_age, age + (received_at - requested_at))
    return received_at + min(_lifetime(headers, date, heuristic), MAX_LIFETIME) - corrected_age


def _lifetime(headers: Mapping[str, str], date: datetime, heuristic: timedelta) -> timedelta:
    directives = parse_cache_control(headers.get("cache-control", ""))
    if "no-cache" in directives:
        return timedelta()
    if "max-age" in directives:
        return timedelta(seconds=_seconds(directives["max-age"]))
    if "expires" not in headers:
        return heuristic
    expires = _parse_date(headers["expires"])
    return timedelta() if expires is None else expires - date


def _seconds(text: str) -> int:
    """Return delta-seconds; what is no number is none at all, which is stale."""
    if not re.fullmatch(r"[0-9]+", text):
        return 0
    return _MAX_SECONDS if len(text) > 10 else min(int(text), _MAX_SECONDS)


def _parse_date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
