"""The cache by itself: how much it keeps, and how it reads what it is told."""

from datetime import timedelta

import pytest

from authsvc.outbound.cache import MAX_BYTES, MAX_ENTRIES, ResponseCache, StoredResponse
from authsvc.outbound.freshness import parse_cache_control
from tests.outbound.open_client import StandingClock


def _stored(size: int) -> StoredResponse:
    now = StandingClock().now()
    return StoredResponse.received(
        b"x" * size,
        {"cache-control": "max-age=60"},
        accept="*/*",
        heuristic=timedelta(),
        requested_at=now,
        received_at=now,
    )


def test_the_cache_is_bounded_in_entries_and_drops_the_one_not_used_for_longest() -> None:
    cache, now = ResponseCache(), StandingClock().now()
    for number in range(MAX_ENTRIES):
        cache.store(str(number), _stored(1), now=now)
    assert cache.find("0", "*/*") is not None
    cache.store("more", _stored(1), now=now)
    found = [cache.find(url, "*/*") is not None for url in ("0", "1", "2", "more")]
    assert found == [True, False, True, True]


def test_the_cache_is_bounded_in_bytes() -> None:
    cache, now = ResponseCache(), StandingClock().now()
    for number in range(4):
        cache.store(str(number), _stored(MAX_BYTES // 3), now=now)
    cache.store("3", _stored(MAX_BYTES // 3), now=now)
    kept = [url for url in map(str, range(4)) if cache.find(url, "*/*") is not None]
    assert kept == ["2", "3"]
    cache.store("too large", _stored(MAX_BYTES + 1), now=now)
    assert cache.find("too large", "*/*") is None
    assert cache.find("3", "*/*") is not None


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("", {}),
        ("No-Cache ,, max-age=5", {"no-cache": "", "max-age": "5"}),
        ('a="\\"", no-store', {"a": "\\", "no-store": ""}),
        ('private="unclosed, no-store', {"private": "", "unclosed": "", "no-store": ""}),
    ],
)
def test_directives_are_read_also_from_broken_text(text: str, directives: dict[str, str]) -> None:
    assert parse_cache_control(text) == directives


def test_an_answer_that_took_long_is_older_by_that() -> None:
    now = StandingClock().now()
    response = StoredResponse.received(
        b"",
        {"cache-control": "max-age=60", "age": "10"},
        accept="*/*",
        heuristic=timedelta(),
        requested_at=now - timedelta(seconds=4),
        received_at=now,
    )
    assert response.fresh_until == now + timedelta(seconds=46)
