"""The cookies: the session, the browser (for CSRF), the known device, the browser state.

Over https they are ``Secure`` and ``__Host-``: no other host can set or read them. All
are ``HttpOnly``, and ``SameSite=Lax``, so that they come along when a client sends a
person here, and not when another site posts a form. The browser state is the exception:
our own script reads it, in a frame of another site (Session Management §3.2).
"""

from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

_DEVICE_TTL = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Cookies:
    """Reads and sets the cookies; ``secure`` is whether people come over https."""

    secure: bool
    session_ttl: timedelta

    def session(self, request: Request) -> str | None:
        """Return the session cookie."""
        return request.cookies.get(self._name("session"))

    def browser(self, request: Request) -> str | None:
        """Return the value that a browser has had since its first page here."""
        value = request.cookies.get(self._name("browser"))
        return value if value and len(value) <= 100 else None

    def device(self, request: Request) -> str | None:
        """Return the device cookie."""
        return request.cookies.get(self._name("device"))

    def set_session(self, response: Response, value: str) -> None:
        """Let the browser be signed in."""
        self._set(response, "session", value, self.session_ttl)

    def clear_session(self, response: Response) -> None:
        """Let the browser forget a session that has ended."""
        self._set(response, "session", "", timedelta())

    def set_browser(self, response: Response, value: str) -> None:
        """Name the browser until it is closed."""
        self._set(response, "browser", value, None)

    def set_device(self, response: Response, value: str) -> None:
        """Remember that somebody has signed in here."""
        self._set(response, "device", value, _DEVICE_TTL)

    def browser_state(self, request: Request) -> str | None:
        """Return the value that our script in a client's page reads."""
        return request.cookies.get(self._name("browser_state"))

    def set_browser_state(self, response: Response, value: str) -> None:
        """Let our script see that somebody is signed in."""
        self._set(response, "browser_state", value, self.session_ttl, readable=True)

    def clear_browser_state(self, response: Response) -> None:
        """Let our script see that nobody is signed in."""
        self._set(response, "browser_state", "", timedelta(), readable=True)

    def _set(
        self,
        response: Response,
        name: str,
        value: str,
        ttl: timedelta | None,
        *,
        readable: bool = False,
    ) -> None:
        response.set_cookie(
            self._name(name),
            value,
            max_age=None if ttl is None else int(ttl.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=not readable,
            # Browsers take SameSite=None over https alone.
            samesite="none" if readable and self.secure else "lax",
        )

    def _name(self, name: str) -> str:
        return f"__Host-authsvc_{name}" if self.secure else f"authsvc_{name}"
