"""What was fetched, for as long as HTTP lets it be used again (RFC 9111): a private cache."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from authsvc.outbound.freshness import fresh_until, may_be_stored

MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 16 * 1024 * 1024

# What freshness and validation are computed from; nothing else is kept.
_KEPT: Final = ("age", "cache-control", "date", "etag", "expires", "last-modified", "vary")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A 200 and until when it is fresh; ``accept`` is what it was asked for with.

    No other header of ours differs between two requests, so that settles Vary.
    """

    accept: str
    body: bytes
    headers: Mapping[str, str]
    heuristic: timedelta
    fresh_until: datetime

    @property
    def size(self) -> int:
        """Bytes it counts for."""
        return len(self.body) + sum(len(value) for value in self.headers.values())

    @property
    def validators(self) -> dict[str, str]:
        """The headers of a conditional request for it (RFC 9111 §4.3.1)."""
        pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
        return {name: self.headers[kept] for name, kept in pairs if kept in self.headers}

    def is_meant_by(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a 304 with these headers is about this answer (RFC 9111 §4.3.4)."""
        if not self.validators:
            return False
        etags = [given.get("etag", "").removeprefix("W/") for given in (headers, self.headers)]
        return "etag" not in headers or etags[0] == etags[1]

    @classmethod
    def received(
        cls,
        body: bytes,
        headers: Mapping[str, str],
        *,
        accept: str,
        heuristic: timedelta,
        requested_at: datetime,
        received_at: datetime,
    ) -> Self:
        """Make one of a 200 with these headers, names in lower case."""
        kept = {name: headers[name] for name in _KEPT if name in headers}
        until = fresh_until(
            kept, requested_at=requested_at, received_at=received_at, heuristic=heuristic
        )
        return cls(accept=accept, body=body, headers=kept, heuristic=heuristic, fresh_until=until)

    def confirmed(
        self, headers: Mapping[str, str], *, requested_at: datetime, received_at: datetime
    ) -> Self:
        """Return it as a 304 with these headers freshens it (RFC 9111 §4.3.4)."""
        # Its age and date were those of the answer that the 304 follows.
        old = {name: self.headers[name] for name in self.headers if name not in ("age", "date")}
        return self.received(
            self.body,
            {**old, **headers},
            accept=self.accept,
            heuristic=self.heuristic,
            requested_at=requested_at,
            received_at=received_at,
        )

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it answers by itself."""
        return now < self.fresh_until


class ResponseCache:
    """Keeps the answers used last, by URL and by what they were asked for with."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], StoredResponse] = OrderedDict()
        self._bytes = 0

    def find(self, url: str, accept: str) -> StoredResponse | None:
        """Return what ``url`` answered when it was asked for ``accept``, fresh or stale."""
        stored = self._entries.get((url, accept))
        if stored is not None:
            self._entries.move_to_end((url, accept))
        return stored

    def store(self, url: str, response: StoredResponse, *, now: datetime) -> None:
        """Keep ``response`` for ``url`` if it may be kept and can be of use after ``now``."""
        key = (url, response.accept)
        self._drop(key)
        is_useful = bool(response.validators) or response.is_fresh(now)
        if not (is_useful and may_be_stored(response.headers)) or response.size > MAX_BYTES:
            return
        self._entries[key] = response
        self._bytes += response.size
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._bytes -= self._entries.popitem(last=False)[1].size

    def drop(self, url: str) -> None:
        """Forget whatever ``url`` answered."""
        for key in [key for key in self._entries if key[0] == url]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        dropped = self._entries.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size
