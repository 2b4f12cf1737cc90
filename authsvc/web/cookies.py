"""The three cookies: the session, the browser (for CSRF), and the known device.

Over https they are ``Secure`` and ``__Host-``: no other host can set or read them. All
are ``HttpOnly``, and ``SameSite=Lax``, so that they come along when a client sends a
person here, and not when another site posts a form.
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

    def _set(self, response: Response, name: str, value: str, ttl: timedelta | None) -> None:
        response.set_cookie(
            self._name(name),
            value,
            max_age=None if ttl is None else int(ttl.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def _name(self, name: str) -> str:
        return f"__Host-authsvc_{name}" if self.secure else f"authsvc_{name}"
