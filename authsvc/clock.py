"""The only source of time. Every instant is an aware UTC datetime.

Time comes from the application and never from the database's ``now()``, which
stands still inside a transaction, so that windows and expiries mean the same on
both databases and tests can move the clock.
"""

from datetime import UTC, datetime


class Clock:
    """Tells the time; tests replace an instance with one that they can move."""

    def now(self) -> datetime:
        """Return the current instant."""
        return datetime.now(UTC)


def timestamp(at: datetime) -> int:
    """Return ``at`` in whole seconds since the epoch, a JWT NumericDate (RFC 7519 §2)."""
    return int(at.timestamp())
