"""What a load found, whoever made it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rated:
    """Requests, or flows, of one run. ``p50`` and ``p99`` are in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int = 0
    """Answers that were not the wanted ones, such as 429 and 503."""
    lost: int = 0
    """Connections that broke, and requests that were not answered in time."""
    notes: dict[str, float | str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def clean(self) -> bool:
        """Whether every request was answered as wanted, and there were any."""
        return self.requests > 0 and not self.refused and not self.lost


def percentile(latencies: Sequence[float], share: float) -> float:
    """Return the smallest of the latencies that ``share`` of them do not exceed."""
    if not latencies:
        raise ValueError("nothing was measured")
    ordered = sorted(latencies)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def rated(latencies: Sequence[float], seconds: float, refused: int, lost: int) -> Rated:
    """Return what a load found whose latencies, in seconds, are given one by one."""
    if not latencies:
        return Rated(0, seconds, 0.0, 0.0, refused, lost)
    p50, p99 = (percentile(latencies, share) * 1000 for share in (0.5, 0.99))
    return Rated(len(latencies), seconds, p50, p99, refused, lost)


def median_of(runs: Sequence[Rated]) -> Rated:
    """Return the medians of several runs, and the sum of what went wrong in them."""
    return Rated(
        requests=round(statistics.median(run.requests for run in runs)),
        seconds=statistics.median(run.seconds for run in runs),
        p50=statistics.median(run.p50 for run in runs),
        p99=statistics.median(run.p99 for run in runs),
        refused=sum(run.refused for run in runs),
        lost=sum(run.lost for run in runs),
    )
