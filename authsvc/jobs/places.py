"""Who gets how many of the deliveries that are under way at once, so that nobody takes all.

What was claimed waits here, by receiver, until there is a place. So a receiver is never given
more than it takes, and nothing is put back because of a guess how long it will be.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from authsvc.storage.outbox import OutboxEntry

QUICK_SECONDS: Final = 0.5
"""A receiver that takes longer for one gets one place alone while places are scarce."""


@dataclass(slots=True)
class _Receiver:
    """What waits for one, and what is under way to it: first attempts, and later ones."""

    firsts: deque[OutboxEntry] = field(default_factory=deque)
    retries: deque[OutboxEntry] = field(default_factory=deque)
    under_way: Counter[bool] = field(default_factory=Counter)
    """By whether it is a retry."""
    window: int = 1
    """Places that it has shown to be worth, while they are scarce."""
    is_paused: bool = False

    @property
    def is_idle(self) -> bool:
        waits = self.firsts or self.retries or self.under_way.total()
        return not waits and self.window == 1 and not self.is_paused


class Places:
    """Shares ``at_once`` places out, ``for_one`` at most to one receiver.

    - The last half of the places goes, to each receiver, to no more than it answers quickly:
      receivers that hang have one each of these.
    - Later attempts take half of all places, and half of one receiver's: what fails again and
      again holds up no first attempt.
    """

    def __init__(self, at_once: int, for_one: int) -> None:
        self._at_once = at_once
        self._for_one = for_one
        self._receivers: dict[str, _Receiver] = {}
        self._under_way: Counter[bool] = Counter()

    @property
    def free(self) -> int:
        """How many places nobody has."""
        return self._at_once - self._under_way.total()

    def add(self, entries: Sequence[OutboxEntry]) -> None:
        """Let ``entries``, which were claimed, wait for places."""
        for entry in entries:
            receiver = self._receivers.setdefault(entry.receiver, _Receiver())
            (receiver.retries if entry.is_retry else receiver.firsts).append(entry)

    def begin(self) -> Iterator[OutboxEntry]:
        """Give places to what waits, a receiver after the other, and yield what has one."""
        gave = True
        while gave and self.free > 0:
            gave = False
            for name in list(self._receivers):
                entry = self._next(self._receivers[name])
                if entry is None:
                    continue
                self._count(entry, 1)
                # The others come first the next time.
                self._receivers[name] = self._receivers.pop(name)
                gave = True
                yield entry
                if self.free <= 0:
                    return

    def end(self, entry: OutboxEntry, *, seconds: float, delivered: bool) -> None:
        """Give the place of ``entry`` back, which took ``seconds``."""
        receiver = self._receivers[entry.receiver]
        self._count(entry, -1)
        is_quick = delivered and seconds < QUICK_SECONDS
        receiver.window = min(receiver.window + 1, self._for_one) if is_quick else 1
        if delivered:
            receiver.is_paused = False
        self._forget(entry.receiver)

    def pause(self, name: str) -> list[OutboxEntry]:
        """Begin nothing for a receiver until something is delivered to it; return what waited."""
        receiver = self._receivers.setdefault(name, _Receiver())
        receiver.is_paused = True
        return self._take_all(receiver)

    def drain(self) -> list[OutboxEntry]:
        """Return all that waits, and keep none of it."""
        return [entry for each in self._receivers.values() for entry in self._take_all(each)]

    def full(self) -> list[str]:
        """Return the receivers of which enough waits here."""
        return [name for name, each in self._receivers.items() if each.firsts or each.is_paused]

    def full_of_retries(self) -> list[str]:
        """Return the receivers of which enough waits here that was tried before."""
        return [name for name, each in self._receivers.items() if each.retries]

    def _next(self, receiver: _Receiver) -> OutboxEntry | None:
        """Return what is next for a receiver, unless it has all that it may have."""
        is_scarce = 2 * self.free <= self._at_once
        if receiver.under_way.total() >= (receiver.window if is_scarce else self._for_one):
            return None
        if receiver.retries and self._may_retry(receiver):
            return receiver.retries.popleft()
        return receiver.firsts.popleft() if receiver.firsts else None

    def _may_retry(self, receiver: _Receiver) -> bool:
        return receiver.under_way[True] < max(self._for_one // 2, 1) and self._under_way[
            True
        ] < max(self._at_once // 2, 1)

    def _count(self, entry: OutboxEntry, by: int) -> None:
        self._under_way[entry.is_retry] += by
        self._receivers[entry.receiver].under_way[entry.is_retry] += by

    def _forget(self, name: str) -> None:
        if self._receivers[name].is_idle:
            del self._receivers[name]

    @staticmethod
    def _take_all(receiver: _Receiver) -> list[OutboxEntry]:
        taken = [*receiver.firsts, *receiver.retries]
        receiver.firsts.clear()
        receiver.retries.clear()
        return taken
