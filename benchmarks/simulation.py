"""Simulates weeks of visits, one after the other, with the rows that they make and the purge.

A sample of the people is followed; what it yields is scaled up. Each sign-in makes rows, each
row is over at a time that decision 28 names, and the purge takes what it can in its runs.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Final

from authsvc.jobs.purge_expired import BUDGET_SECONDS, GRACE
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.storage.purge import LOOK_AGAIN
from benchmarks.traffic import DAY, DayCurve, Traffic

_RUN: Final = next(job.seconds for job in SCHEDULE if job.name == "purge_expired")
_GRACE: Final = GRACE.total_seconds()
_AGAIN: Final = LOOK_AGAIN.total_seconds()
_PER_DAY: Final = round(DAY / _RUN)
TABLES: Final = (
    "sessions",
    "session_clients",
    "authorization_codes",
    "token_families",
    "refresh_tokens",
    "revocations",
)


@dataclass(frozen=True)
class Simulated:
    """The last day: what is highest at one time of it, for all people of the traffic."""

    rows: dict[str, float]
    """The most rows of each table."""
    late: float
    """The most rows that were due to be purged and that a run left over."""
    purge_share: float
    """What the purge has to do in a day, over what its runs can do; above 1 it falls behind."""
    refreshes: float
    """Refreshes a second, at their peak, which is lower and later than that of sign-ins."""
    revocations: float
    """Entries of the revocation list a second, at their peak."""
    visits: float
    """Visits under way at once."""
    listed: float
    """Living entries of the revocation list."""


@dataclass
class _Days:
    """What comes and goes, counted in the runs of the purge."""

    runs: int
    made: dict[str, list[int]] = field(default_factory=dict)
    over: dict[str, list[int]] = field(default_factory=dict)
    counted: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for counts, names in (
            (self.made, TABLES),
            (self.over, TABLES),
            (self.counted, ("refreshes", "revocations", "visits", "listed", "looks")),
        ):
            counts.update((name, [0] * (self.runs + 1)) for name in names)

    def row(self, table: str, made: float, over: float) -> None:
        """Note a row that is made at one instant, and may be purged from another on."""
        if (run := int(made / _RUN)) < self.runs:
            self.made[table][run] += 1
            self.over[table][min(math.ceil(over / _RUN), self.runs)] += 1

    def count(self, name: str, at: float, number: int = 1) -> None:
        """Note that something happened."""
        if (run := int(at / _RUN)) < self.runs:
            self.counted[name][run] += number

    def during(self, name: str, start: float, end: float) -> None:
        """Note something that lasts."""
        self.count(name, start)
        self.count(name, end, -1)

    def kept(self, table: str, made: float, first_look: float, needed_until: float) -> float:
        """Note a row that the purge looks at each week until nothing needs it; return when."""
        look = first_look
        while look < needed_until:
            self.count("looks", look)
            look += _AGAIN
        self.row(table, made, look)
        return look


def simulate(
    traffic: Traffic, purged_rows_a_second: float, *, sample: int = 4_000, seed: int = 1
) -> Simulated:
    """Follow ``sample`` sign-ins a day until nothing grows any more, and one day longer."""
    # However many people there are, what comes of a sample is the same.
    noted = _follow(replace(traffic, people=1, clients=0), sample, seed)
    scale = traffic.sign_ins * DAY / sample
    # In its pauses, each as long as a batch, it deletes nothing.
    capacity = purged_rows_a_second * BUDGET_SECONDS / 2 / scale
    rows, late, share = _purge(noted, capacity)
    last = slice(noted.runs - _PER_DAY, noted.runs)
    rates = {
        name: _highest(noted.counted[name][last]) / _RUN for name in ("refreshes", "revocations")
    }
    return Simulated(
        rows={name: count * scale for name, count in rows.items()},
        late=late * scale,
        purge_share=share,
        refreshes=rates["refreshes"] * scale,
        revocations=rates["revocations"] * scale,
        visits=_highest([*accumulate(noted.counted["visits"])][last]) * scale,
        listed=_highest([*accumulate(noted.counted["listed"])][last]) * scale,
    )


@lru_cache(maxsize=16)
def _follow(traffic: Traffic, sample: int, seed: int) -> _Days:
    longest = min(traffic.refresh_token_ttl, traffic.refresh_token_idle_ttl + 10 * traffic.visit)
    days = math.ceil((longest + 2 * _AGAIN + 2 * _GRACE) / DAY) + 2
    noted = _Days(days * _PER_DAY)
    chance = random.Random(seed)
    for at in _arrivals(chance, DayCurve(traffic.peak_factor), sample / DAY, days):
        _visit(noted, traffic, at, chance)
    return noted


def _arrivals(chance: random.Random, curve: DayCurve, rate: float, days: int) -> Iterator[float]:
    """Yield instants of a Poisson process that follows the day, by thinning."""
    at = 0.0
    while (at := at + chance.expovariate(rate * curve.peak_factor)) < days * DAY:
        if chance.random() * curve.peak_factor < curve.at(at % DAY):
            yield at


def _visit(noted: _Days, traffic: Traffic, at: float, chance: random.Random) -> None:
    """Note all that comes of one sign-in."""
    end = at + chance.expovariate(1 / traffic.visit)
    revoked = chance.random() < traffic.revoked_share
    dead = (end if revoked else at + traffic.refresh_token_ttl) + _GRACE
    refreshes = int((end - at) / traffic.refresh_interval)
    family_gone = dead
    for number in range(refreshes + 1):
        made = at + number * traffic.refresh_interval
        family_gone = min(made + traffic.refresh_token_idle_ttl + _GRACE, dead)
        noted.row("refresh_tokens", made, family_gone)
        if number:
            noted.count("refreshes", made)
    noted.row("token_families", at, family_gone)
    noted.during("visits", at, end)
    code_over = at + traffic.access_token_ttl + _GRACE
    noted.kept("authorization_codes", at, code_over, family_gone)
    session_ended = at + traffic.session_idle_ttl
    gone = noted.kept("sessions", at, session_ended + _GRACE, family_gone)
    noted.row("session_clients", at, gone)
    for revoked_at in (session_ended, *([end] if revoked else [])):
        noted.count("revocations", revoked_at)
        listed_until = revoked_at + traffic.revocation_ttl
        noted.during("listed", revoked_at, listed_until)
        noted.row("revocations", revoked_at, listed_until + _GRACE)


def _purge(noted: _Days, capacity: float) -> tuple[dict[str, float], float, float]:
    """Let each run take what is over, as far as it comes.

    Return, of the last day, the most rows by table, the most rows left over by a run, and what
    there was to do over what could be done.
    """
    # What a session has met goes with the session.
    tables = [name for name in TABLES if name != "session_clients"]
    due, rows = dict.fromkeys(tables, 0.0), dict.fromkeys(tables, 0.0)
    last_day: dict[str, list[float]] = {name: [] for name in tables}
    late, work = 0.0, 0.0
    for run in range(noted.runs):
        looks = noted.counted["looks"][run]
        for name in tables:
            rows[name] += noted.made[name][run]
            due[name] += noted.over[name][run]
        is_last_day = run >= noted.runs - _PER_DAY
        if is_last_day:
            for name in tables:
                last_day[name].append(rows[name])
            work += looks + sum(noted.over[name][run] for name in tables)
        taken = _share(due, capacity - looks)
        for name in tables:
            due[name] -= taken[name]
            rows[name] -= taken[name]
        if is_last_day:
            late = max(late, sum(due.values()))
    highest = {name: _highest(counts) for name, counts in last_day.items()}
    return (
        {name: highest.get(name, highest["sessions"]) for name in TABLES},
        late,
        work / (capacity * _PER_DAY),
    )


def _share(due: dict[str, float], capacity: float) -> dict[str, float]:
    """Return what a run takes of each table: a batch of each in turn, until one has no more."""
    taken = {}
    for left, (name, number) in zip(
        range(len(due), 0, -1), sorted(due.items(), key=lambda item: item[1]), strict=True
    ):
        taken[name] = min(number, max(0.0, capacity) / left)
        capacity -= taken[name]
    return taken


def _highest(counts: Sequence[float]) -> float:
    """Return the highest mean of half an hour: a sample has chance peaks that many have not."""
    width = 6
    return max(sum(counts[i : i + width]) / width for i in range(len(counts) - width + 1))
