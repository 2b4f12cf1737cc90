"""Cross-site request forgery: a form must come from a page that we gave this browser.

The token is a MAC over the browser's cookie and what the form is about. Another site can
make a browser post a form, but neither read the cookie nor make the token. Where the
browser says that the request came from another site, that alone refuses it.
"""

import base64
import hmac
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from authsvc.master_key import RootSecret
from authsvc.tokens.opaque import new_opaque_value
from authsvc.web.cookies import Cookies

STALE_FORM: Final = (
    "Your browser did not keep our cookie, or this page was open for long. Please try again."
)
"""What a person is told whose form does not come from a page of ours, as far as we can see."""


class FormTokens:
    """Makes and checks the ``csrf_token`` of forms."""

    def __init__(self, root: RootSecret, cookies: Cookies) -> None:
        self._key = root.derive("form token")
        self._cookies = cookies

    def browser_of(self, request: Request) -> str:
        """Return the browser's value, a new one where it has none."""
        return self._cookies.browser(request) or new_opaque_value()

    def keep(self, request: Request, response: Response, browser: str) -> None:
        """Give the browser its value, unless it has it."""
        if self._cookies.browser(request) != browser:
            self._cookies.set_browser(response, browser)

    def make(self, browser: str, about: str) -> str:
        """Return the token for a form ``about`` something, in a page for ``browser``."""
        message = f"{browser}\n{about}".encode("utf-8", "replace")
        digest = hmac.digest(self._key, message, "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def check(self, request: Request, token: str | None, about: str) -> bool:
        """Tell whether a form ``about`` something came from our own page."""
        browser = self._cookies.browser(request)
        if browser is None or token is None:
            return False
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return False
        return hmac.compare_digest(token.encode(), self.make(browser, about).encode())
