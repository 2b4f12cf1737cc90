"""A person at a browser, for client programs: signs in, consents, and is sent back."""

import ssl
from typing import Self

import httpx

from tests.browser import Form, Page

_ANSWERS = (
    "#login-submit",
    "#consent-approve",
    "#logout-confirm",
    "#form-post-continue",
    "#device-submit",
    "#device-approve",
)
_DENIALS = {"#consent-approve": "#consent-deny", "#device-approve": "#device-deny"}
_MAX_STEPS = 20


class Person:
    """Follows links and forms of the provider until it sends the browser back to the app."""

    def __init__(
        self,
        username: str,
        password: str,
        *,
        tls: ssl.SSLContext | None = None,
        allows: bool = True,
        address: str | None = None,
    ) -> None:
        """``tls`` says which authorities are trusted; who does not allow denies consent.

        ``address`` is where the browser's connections come from.
        """
        transport = httpx.HTTPTransport(verify=tls or True, local_address=address)
        self.http = httpx.Client(transport=transport)
        self.pages: list[Page] = []
        self._answers = {"username": username, "password": password}
        self._buttons = [name if allows else _DENIALS.get(name, name) for name in _ANSWERS]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def visit(self, url: str, *, until: str) -> str:
        """Visit ``url``, answer what is asked, and return the address below ``until``."""
        return str(self.sent_to(url, until=until).url)

    def sent_to(self, url: str, *, until: str) -> httpx.Request:
        """Visit ``url``, answer what is asked, and return the first request below ``until``.

        That request is not made.
        """
        request: httpx.Request | None = self.http.build_request("GET", url)
        for _ in range(_MAX_STEPS):
            if request is None:
                page = self.pages[-1]
                raise RuntimeError(f"no way on: {page.status} {page.url} {page.text}")
            if str(request.url).startswith(until):
                return request
            request = self._send(request)
        raise RuntimeError("no way back to the app")

    def open(self, url: str) -> Page:
        """Visit ``url``, answer what is asked, and return the page where nothing is."""
        request: httpx.Request | None = self.http.build_request("GET", url)
        for _ in range(_MAX_STEPS):
            if request is None:
                return self.pages[-1]
            request = self._send(request)
        raise RuntimeError("no end to forms and redirects")

    def _send(self, request: httpx.Request) -> httpx.Request | None:
        """Make the request and return the one that follows from its answer, if any."""
        response = self.http.send(request)
        page = Page(str(response.url), response.status_code, response.headers, response.text)
        self.pages.append(page)
        return response.next_request or next(
            (
                self._fill_in(form, button)
                for form in page.forms
                for button in self._buttons
                if button in form.buttons
            ),
            None,
        )

    def _fill_in(self, form: Form, button: str) -> httpx.Request:
        name, value = form.buttons[button]
        data = {**form.fields, **({name: value} if name else {})}
        data |= {field: text for field, text in self._answers.items() if field in form.fields}
        return self.http.build_request("POST", form.action, data=data)
