"""How people and services use an installation, and over the day when."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from authsvc.config import Settings
from authsvc.tokens.revocation import _LEAST_LIFE, _MARGIN

DAY: Final = 86_400
_DEFAULTS: Final = Settings()


@dataclass(frozen=True)
class Traffic:
    """What is assumed. Lives and other times are in seconds."""

    people: int = 1_000_000
    sign_ins_per_day: float = 0.5
    """Of one person. Each begins a visit: a session, and a family of refresh tokens."""
    visit: float = 3_600.0
    """Mean length of a visit, in which an app refreshes; lengths are exponential."""
    refresh_interval: float = 300.0
    peak_factor: float = 4.0
    """What begins at the busiest moment of the day, over the day's mean."""
    clients: int = 1_000
    """Services, or copies of one, that get a token as soon as their last has expired."""
    introspections_per_refresh: float = 1.0
    userinfo_per_sign_in: float = 1.0
    discovery_per_sign_in: float = 1.0
    revocations_per_day: float = 0.05
    """Visits of one person that end with a revocation of what they got, of the sign-ins."""
    access_token_ttl: float = _DEFAULTS.access_token_ttl.total_seconds()
    refresh_token_idle_ttl: float = _DEFAULTS.refresh_token_idle_ttl.total_seconds()
    refresh_token_ttl: float = _DEFAULTS.refresh_token_ttl.total_seconds()
    session_idle_ttl: float = _DEFAULTS.session_idle_ttl.total_seconds()

    @property
    def revocation_ttl(self) -> float:
        """The life of an entry of the revocation list, but for that of a single token."""
        return max(self.access_token_ttl, _LEAST_LIFE.total_seconds()) + _MARGIN.total_seconds()

    @property
    def sign_ins(self) -> float:
        """Sign-ins of everybody a second, in the mean of a day."""
        return self.people * self.sign_ins_per_day / DAY

    @property
    def revoked_share(self) -> float:
        """The share of visits that end with a revocation."""
        return min(1.0, self.revocations_per_day / self.sign_ins_per_day)

    @property
    def refreshes_per_visit(self) -> float:
        """Mean number of refreshes in a visit: whole intervals in an exponential length."""
        return 1 / math.expm1(self.refresh_interval / self.visit)


@dataclass(frozen=True)
class DayCurve:
    """A day whose busiest moment, in its middle, has ``peak_factor`` times the mean.

    A raised cosine to a power: smooth, quiet at night, and the same each day.
    """

    peak_factor: float

    @cached_property
    def power(self) -> float:
        """The power that yields the peak; 0 is a day without one."""
        low, high = 0.0, 10_000.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if _peak_of(middle) < self.peak_factor else (low, middle)
        return low

    def at(self, seconds: float) -> float:
        """Return what begins at this time of a day, over the mean."""
        angle = 2 * math.pi * (seconds / DAY - 0.5)
        return self.peak_factor * math.pow((1 + math.cos(angle)) / 2, self.power)


def _peak_of(power: float) -> float:
    """Return the peak over the mean of the raised cosine to this power."""
    return math.exp(2 * math.lgamma(power + 1) + power * math.log(4) - math.lgamma(2 * power + 1))
