"""Simulates who waits for a password hash: arrivals by chance, a fixed time, a few workers."""

import heapq
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Waits:
    """What became of the sign-ins; times in seconds."""

    mean: float
    of_99_in_100: float
    busy: float
    """Workers that hash, in the mean."""
    most_waiting: int
    """The longest that the queue was."""


def simulate_waits(
    rate: float, hash_seconds: float, workers: int, *, arrivals: int = 40_000, seed: int = 1
) -> Waits:
    """Let ``rate`` sign-ins a second come to ``workers``, each of which has a core of its own."""
    chance = random.Random(seed)
    free_at = [0.0] * workers
    begun: list[float] = []
    waits: list[float] = []
    at, most_waiting = 0.0, 0
    for _ in range(arrivals):
        at += chance.expovariate(rate)
        begins = max(at, heapq.heappop(free_at))
        heapq.heappush(free_at, begins + hash_seconds)
        waits.append(begins - at)
        if begins > at:
            heapq.heappush(begun, begins)
        while begun and begun[0] <= at:
            heapq.heappop(begun)
        most_waiting = max(most_waiting, len(begun))
    waits.sort()
    return Waits(
        mean=sum(waits) / arrivals,
        of_99_in_100=waits[int(arrivals * 0.99)],
        busy=arrivals * hash_seconds / max(free_at),
        most_waiting=most_waiting,
    )


def workers_needed(rate: float, hash_seconds: float, *, wait: float = 0.1) -> int:
    """Return the fewest workers with which 99 of 100 sign-ins wait no longer than ``wait``."""
    low = max(1, int(rate * hash_seconds))
    high = 2 * low + 2
    while low < high:
        middle = (low + high) // 2
        if simulate_waits(rate, hash_seconds, middle).of_99_in_100 <= wait:
            high = middle
        else:
            low = middle + 1
    return low
