"""HTTP/1.1 connections that cut no request off at their end (RFC 9112 §9.6), nor wait for ever."""

import asyncio
from typing import ClassVar, Final, Literal

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

KEEP_ALIVE: Final = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs (60 is usual).

The side that closes first must be the one that sends requests. Otherwise a request meets the
closing, and the caller can not know whether it was served.
"""

_LINGER: Final = 2.0
"""Seconds for which a connection is waited for after the process was told to end."""


class DrainingConnection(HttpToolsProtocol):
    """A connection that is told to end answers what is on its way, and then says so.

    The server's own would close an idle connection at once, under a request that its caller may
    be sending at that moment; and would wait for ever for the rest of a request.
    """

    head_seconds: ClassVar[float] = 10.0
    """Longest time that the head of a request may take, from its first byte."""
    body_seconds: ClassVar[float] = 10.0
    """Longest time in which no byte of a body comes."""

    _draining = False
    _awaited: Literal["head", "body"] | None = None
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the server's own
        """Wait for the first request no longer than for the next ones."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._unset_keepalive_if_required()
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and wait for the rest of a request that is not complete."""
        if self._awaited is None:
            # Before a request there may be blank lines, which the parser tells nobody of.
            self._awaited = "head"
        super().data_received(data)
        self._wait_for_the_rest()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._awaited = "head"

    def on_headers_complete(self) -> None:
        """Begin a request; while draining its answer is the connection's last."""
        self._awaited = "body"
        self._forget_deadline()
        super().on_headers_complete()
        cycle = self._last_cycle()
        if self._draining and cycle is not None:
            cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End a request."""
        self._awaited = None
        super().on_message_complete()

    def shutdown(self) -> None:
        """End after the next answer, or when none was asked for within two seconds."""
        self._draining = True
        if self._deadline is not None:
            self._forget_deadline()
            self._set_deadline()
        cycle = self._last_cycle()
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.loop.call_later(_LINGER, self._close_if_idle)
        else:
            cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        cycle = self._last_cycle()
        if (cycle is None or cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()

    def _wait_for_the_rest(self) -> None:
        if self._awaited != "head":
            # Each byte of a body gives it more time; those of a head do not.
            self._forget_deadline()
        if self._awaited is not None and self._deadline is None:
            self._set_deadline()

    def _set_deadline(self) -> None:
        seconds = self.head_seconds if self._awaited == "head" else self.body_seconds
        if self._draining:
            seconds = min(seconds, _LINGER)
        self._deadline = self.loop.call_later(seconds, self._end_waiting, self._is_ours_to_act())

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_waiting(self, was_ours_to_act: bool) -> None:
        self._deadline = None
        # When it became the caller's turn meanwhile, the whole time is theirs from now on.
        if was_ours_to_act or self._is_ours_to_act():
            self._set_deadline()
        elif not self.transport.is_closing():
            self.transport.close()

    def _is_ours_to_act(self) -> bool:
        """Tell whether nothing comes because of us."""
        cycle = self._last_cycle()
        if self.flow.read_paused:
            return True
        if cycle is None or cycle.response_complete:
            return False
        # An answer is owed to the request before this head; or leave to send this body.
        return self._awaited == "head" or cycle.waiting_for_100_continue

    def _last_cycle(self) -> RequestResponseCycle | None:
        """Return the newest request and its answer: None before the first."""
        return self.cycle
