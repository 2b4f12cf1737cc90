"""What a database's errors mean: away, full, too slow, read-only, or our own mistake.

The log gets the kind of failure, the caller a 503 with ``Retry-After``.
"""

from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authsvc.metrics import DATABASE_UNAVAILABLE
from authsvc.protocol.errors import OAuthError, TemporarilyUnavailable
from authsvc.storage.breaker import Breaker

RETRY_AFTER: Final = 1
"""Seconds after which a caller may try again."""
READ_ONLY: Final = "25006"
_NO_ANSWER = ("08", "57P")
"""SQLSTATEs of a connection that was lost, and of a server that shuts down or starts up."""


def note(breaker: Breaker, error: BaseException) -> None:
    """Tell the breaker whether ``error`` came from the database or for want of an answer."""
    if isinstance(error, PoolTimeoutError):
        return
    if isinstance(error, DBAPIError):
        is_answer = not error.connection_invalidated
        sqlstate = sqlstate_of(error)
        if sqlstate:
            is_answer = not sqlstate.startswith(_NO_ANSWER)
        if is_answer:
            breaker.note_answer()
            return
    breaker.note_failure()


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE (SQL:2023 part 2, §24) of what a server answered, else an empty text."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def unavailable(error: BaseException) -> OAuthError:
    """Return the answer for a database that can not serve; the log gets the kind of failure."""
    if isinstance(error, DBAPIError) and not _is_away(error):
        raise error
    return away(error)


def left_alone(detail: str = "breaker open") -> OAuthError:
    """Return the answer while a breaker is open."""
    return TemporarilyUnavailable(
        "The service can not reach its database",
        detail=detail,
        retry_after=RETRY_AFTER,
    )


def away(error: BaseException) -> OAuthError:
    """Return the answer for a database that did not let us in, or had no room."""
    reason = "pool_exhausted" if isinstance(error, PoolTimeoutError) else "away"
    DATABASE_UNAVAILABLE.labels(reason).inc()
    origin = error.orig if isinstance(error, DBAPIError) else error
    return TemporarilyUnavailable(
        "The service can not reach its database",
        detail=f"{type(origin).__name__}",
        retry_after=RETRY_AFTER,
    )


def refers_to_nothing(error: IntegrityError) -> bool:
    """Tell a reference to a row that is gone from a value that is taken."""
    if getattr(error.orig, "sqlstate", None) == "23503":
        return True
    return "FOREIGN KEY" in str(error.orig)


def _is_away(error: DBAPIError) -> bool:
    """Tell a database that is away from a statement that is wrong."""
    sqlstate = sqlstate_of(error)
    return (
        isinstance(error, OperationalError | InterfaceError)
        or error.connection_invalidated
        # Connection lost, out of resources, cancelled by a timeout or a restart, read-only.
        or sqlstate.startswith(("08", "53", "57", "25006", "40"))
    )
