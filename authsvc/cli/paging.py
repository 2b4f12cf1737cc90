"""Reading a long list in parts."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_PAGE = 500


async def read_pages(
    read: Callable[[T | None, int], Awaitable[list[T]]], *, limit: int | None
) -> list[T]:
    """Return up to ``limit`` things, all without one.

    ``read`` returns at most so many as it is told, from the one after the last on.
    """
    found: list[T] = []
    while limit is None or len(found) < limit:
        wanted = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = await read(found[-1] if found else None, wanted)
        found += page
        if len(page) < wanted:
            break
    return found
