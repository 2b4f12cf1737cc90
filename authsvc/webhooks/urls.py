"""URLs of receivers as they are shown: their query may hold a receiver's secret."""

from typing import Final

_MASK: Final = "?***"


def mask_query(url: str) -> str:
    """Return ``url`` with a mask for its query, and for a fragment after it."""
    before, mark, _ = url.partition("?")
    return f"{before}{_MASK}" if mark else url
