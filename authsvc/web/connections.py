"""HTTP/1.1 connections that end without cutting a request off (RFC 9112 §9.6)."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

KEEP_ALIVE: Final = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs (60 is usual).

The side that closes first must be the one that sends requests. Otherwise a request meets the
closing, and the caller can not know whether it was served.
"""

_LINGER: Final = 2.0
"""Seconds for which an idle connection is kept after the process was told to end."""


class DrainingConnection(HttpToolsProtocol):
    """A connection that is told to end answers what is on its way, and then says so.

    The server's own would close an idle connection at once, under a request that its caller may
    be sending at that moment.
    """

    _draining = False

    def on_headers_complete(self) -> None:
        """Begin a request; while draining its answer is the connection's last."""
        super().on_headers_complete()
        cycle = self._last_cycle()
        if self._draining and cycle is not None:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """End after the next answer, or when none was asked for within two seconds."""
        self._draining = True
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

    def _last_cycle(self) -> RequestResponseCycle | None:
        """Return the newest request and its answer: None before the first."""
        return self.cycle
