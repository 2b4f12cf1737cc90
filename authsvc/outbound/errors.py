"""Why a request of ours came to nothing. Every reason is for the log, never for the public."""

from typing import ClassVar, Literal

Outcome = Literal["ok", "cached", "refused", "failed", "busy", "breaker_open"]


class OutboundError(Exception):
    """A request that brought nothing; ``reason`` says why, ``temporary`` is worth a retry.

    ``host`` is where it ended after redirects, if that is known.
    """

    outcome: ClassVar[Outcome] = "failed"

    def __init__(self, reason: str, *, temporary: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.temporary = temporary
        self.host: str | None = None


class Refused(OutboundError):
    """We would not: what the URL names or what the host sent is against the rules here.

    It is ``temporary`` where the URL is not to blame: another answer of the DNS may do.
    """

    outcome = "refused"

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        super().__init__(reason, temporary=temporary)


class Unwanted(OutboundError):
    """The host answered, but not with what was asked for."""


class Busy(OutboundError):
    """We could not: too much is under way here, which says nothing of the host."""

    outcome = "busy"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, temporary=True)


class HostFailed(OutboundError):
    """The host spoke no HTTP, took too long or answered 5xx.

    ``status`` is the 5xx that it answered, if it did.
    """

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason, temporary=True)
        self.status = status


class Unreachable(HostFailed):
    """There was no connection: no such name, nobody who listens, or no TLS."""


class BreakerOpen(OutboundError):
    """The host or the URL failed so often that it is left alone for a while."""

    outcome = "breaker_open"

    def __init__(self) -> None:
        super().__init__("it failed again and again and is left alone", temporary=True)
