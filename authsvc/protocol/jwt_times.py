"""The times in a JWT that somebody else made (RFC 7519 §4.1.4 to §4.1.6)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def parse_instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Return the NumericDate ``name``, None where it is absent; raises ValueError."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{name} is no instant") from error


def check_times(claims: Mapping[str, Any], *, now: datetime, leeway: timedelta) -> None:
    """Raise ValueError unless the JWT is good ``now``, as far as it says.

    ``leeway`` is the difference of clocks that is let pass.
    """
    expires_at = parse_instant(claims, "exp")
    if expires_at is not None and expires_at <= now - leeway:
        raise ValueError("it has expired")
    for name in ("nbf", "iat"):
        at = parse_instant(claims, name)
        if at is not None and at > now + leeway:
            raise ValueError(f"{name} is to come")
