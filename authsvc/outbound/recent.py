"""What happened lately and is no answer to keep: renewals, and failures."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final

from authsvc.outbound.errors import OutboundError

RENEWALS: Final = 5
"""How often a URL may be asked in a minute for a newer answer than one just given."""
FAILURE_LIFETIME: Final = timedelta(seconds=30)
"""How long a failure stands for the next one."""
MAX_REMEMBERED: Final = 1_000
"""URLs of each kind."""

_RENEWAL_WINDOW: Final = timedelta(minutes=1)


class Renewals:
    """When URLs were asked for a newer answer, whatever came of it."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[datetime]] = OrderedDict()

    def is_spent(self, url: str, now: datetime) -> bool:
        """Tell whether ``url`` was asked too often to be asked again ``now``."""
        times = self._times.get(url)
        return times is not None and len(times) == RENEWALS and now - times[0] < _RENEWAL_WINDOW

    def note(self, url: str, now: datetime) -> None:
        """Remember that ``url`` is asked ``now``."""
        self._times.setdefault(url, deque(maxlen=RENEWALS)).append(now)
        self._times.move_to_end(url)
        if len(self._times) > MAX_REMEMBERED:
            self._times.popitem(last=False)


class Failures:
    """Failures that need not be made again at once: each costs a request and a line of the log."""

    def __init__(self) -> None:
        self._failures: OrderedDict[object, tuple[datetime, str, bool, str | None]] = OrderedDict()

    def find(self, request: object, now: datetime) -> OutboundError | None:
        """Return why ``request`` failed a moment ago, None if it did not."""
        failed_at, reason, temporary, host = self._failures.get(request, (None, "", False, None))
        if failed_at is None or now - failed_at >= FAILURE_LIFETIME:
            return None
        # One of its own: an exception holds on to all that it was raised through.
        error = OutboundError(reason, temporary=temporary)
        error.host = host
        return error

    def note(self, request: object, error: OutboundError, now: datetime) -> None:
        """Remember that ``request`` ended with ``error``."""
        self._failures[request] = (now, error.reason, error.temporary, error.host)
        self._failures.move_to_end(request)
        if len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)
