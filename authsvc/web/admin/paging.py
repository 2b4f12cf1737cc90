"""Lists in pages. A cursor says where the page before ended, so that what is created or
deleted meanwhile neither repeats nor hides another item.
"""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.text import is_storable
from authsvc.web.admin.operations import Answer, Call, View, ok

V = TypeVar("V", bound=View)
R = TypeVar("R")

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
PAGING: Final = {
    "limit": f"How many items at most, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} when absent.",
    "cursor": "The next_cursor of the page before.",
}
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,1000}")


class Page(View, Generic[V]):
    """Some items of a list; ``next_cursor`` is null on the last page."""

    items: tuple[V, ...]
    next_cursor: str | None


def read_limit(call: Call) -> int:
    """Return how many items are asked for; raises InvalidRequest."""
    text = call.query.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit must be a number from 1 to {MAX_LIMIT}")
    return limit


def read_cursor(call: Call, collection: str) -> str | None:
    """Return where the page before ended, None for the first page; raises InvalidRequest."""
    text = call.query.get("cursor")
    if text is None:
        return None
    try:
        if not _CURSOR.fullmatch(text):
            raise ValueError("not base64url")
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        prefix, colon, value = decoded.partition(":")
        if prefix != collection or not colon or not is_storable(value):
            raise ValueError("not of this list")
    except ValueError:
        raise InvalidRequest("cursor is not one of this list") from None
    return value


def page_of(
    rows: Sequence[R],
    *,
    limit: int,
    collection: str,
    place: Callable[[R], str],
    view: Callable[[R], V],
    page: type[Page[V]],
) -> Answer:
    """Return the page made of ``rows``, of which there is one more than ``limit`` if more
    follow; ``place`` is what the list is sorted by.
    """
    shown = rows[:limit]
    next_cursor = None
    if len(rows) > limit:
        encoded = base64.urlsafe_b64encode(f"{collection}:{place(shown[-1])}".encode())
        next_cursor = encoded.decode().rstrip("=")
    return ok(page(items=tuple(map(view, shown)), next_cursor=next_cursor))
