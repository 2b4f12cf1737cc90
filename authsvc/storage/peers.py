"""The other processes, as far as they are heard: who fell silent, and who could not tell all.

A process that lost Redis alone goes on changing things, and can tell nobody. The others
notice that it fell silent, or hear from it later that something could not be told.
"""

from dataclasses import dataclass
from typing import Final

FORGOTTEN: Final = 3600.0
"""Seconds after which a process that fell silent is taken to have ended."""


@dataclass(slots=True)
class _Peer:
    heard_at: float
    untold: int


class Peers:
    """Those that were heard; times are seconds of one monotonic clock."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._peers: dict[str, _Peer] = {}

    def note(self, identity: str, untold: int, *, now: float) -> bool:
        """Note that ``identity`` was heard; tell whether it could not tell something since.

        ``untold`` counts what it could not tell, ever.
        """
        peer = self._peers.get(identity)
        if peer is None:
            self._peers[identity] = _Peer(now, untold)
            return untold > 0
        peer.heard_at = now
        is_more, peer.untold = untold > peer.untold, untold
        return is_more

    def forget(self, identity: str) -> None:
        """Note that ``identity`` has ended in good order."""
        self._peers.pop(identity, None)

    def is_one_silent(self, *, now: float) -> bool:
        """Tell whether one was not heard lately that may go on all the same."""
        silent = False
        for identity, peer in list(self._peers.items()):
            if now - peer.heard_at >= FORGOTTEN:
                del self._peers[identity]
            elif now - peer.heard_at >= self._silence:
                silent = True
        return silent
