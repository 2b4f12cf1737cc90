"""Structured logs: one JSON object a line, and nothing secret in any of them.

Callers log facts by name. As a last fence, a field whose name is that of a secret
is replaced before it is written, so that a slip does not become a leak.
"""

import json
import logging
import sys
import time
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

SAID_AGAIN: Final = 60.0
"""Seconds after which it is said again that something still fails."""

_SECRET_FIELDS = frozenset(
    {
        "access_token",
        "assertion",
        "authorization",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "cookie",
        "csrf_token",
        "id_token",
        "id_token_hint",
        "new_password",
        "password",
        "refresh_token",
        "secret",
        "set-cookie",
        "token",
    }
)


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _SECRET_FIELDS & event.keys():
        event[name] = "[redacted]"
    return event


def _serialize(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:
        # Half a surrogate pair, or a number beyond 64 bits: the line must not be lost.
        return json.dumps(event, default=str)


def configure(*, level: str = "info", console: bool = False) -> None:
    """Set up structlog and the standard library's logging on standard error.

    ``console`` chooses aligned text for a person instead of JSON lines.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The other one prints local variables, and so passwords and tokens.
            exception_formatter=structlog.dev.plain_traceback,
        )
        if console
        else structlog.processors.JSONRenderer(serializer=_serialize)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of the module ``name``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


class FailureLog:
    """Says of what is tried again and again that it fails, and when it works again.

    What fails five times a second would otherwise bury the log: it is said the first time,
    then once in ``SAID_AGAIN`` seconds with how often it failed meanwhile.
    """

    def __init__(
        self, logger: structlog.typing.FilteringBoundLogger, failed: str, works: str, **facts: str
    ) -> None:
        """``failed`` and ``works`` are the events, ``facts`` go with both."""
        self._logger = logger
        self._failed = failed
        self._works = works
        self._facts = facts
        self._is_failing = False
        self._untold = 0
        self._told_at = 0.0

    def note_failure(self, error: BaseException) -> None:
        """Note that it failed, with the name of the error's class alone: a text may tell more."""
        now = time.monotonic()
        self._untold += 1
        if self._is_failing and now - self._told_at < SAID_AGAIN:
            return
        self._logger.warning(
            self._failed, **self._facts, error=type(error).__name__, times=self._untold
        )
        self._is_failing, self._untold, self._told_at = True, 0, now

    def note_success(self) -> None:
        """Note that it worked."""
        if self._is_failing:
            self._logger.info(self._works, **self._facts)
            self._is_failing, self._untold = False, 0
