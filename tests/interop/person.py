"""A person at a browser, for client programs: signs in, consents, and is sent back."""

import re
from urllib.parse import urljoin

import httpx

from tests.browser import Page


class Person:
    """Follows links and forms of the provider until it sends the browser back to the app."""

    def __init__(self, username: str, password: str) -> None:
        self._http = httpx.Client()
        self._answers = {"username": username, "password": password}

    def visit(self, url: str, *, until: str) -> str:
        """Visit ``url``, answer what is asked, and return the address below ``until``."""
        response = self._http.get(url)
        for _ in range(20):
            location = response.headers.get("location")
            if location is not None:
                location = str(urljoin(str(response.url), location))
                if location.startswith(until):
                    return location
                response = self._http.get(location)
                continue
            page = Page(str(response.url), response.status_code, response.headers, response.text)
            response = self._answer(page)
        raise RuntimeError("no way back to the app")

    def _answer(self, page: Page) -> httpx.Response:
        wanted = ("#login-submit", "#consent-approve", "#logout-confirm")
        for form in page.forms:
            for button in wanted:
                if button in form.buttons:
                    name, value = form.buttons[button]
                    data = {**form.fields, **({name: value} if name else {})}
                    data |= {k: v for k, v in self._answers.items() if k in form.fields}
                    return self._http.post(form.action, data=data)
        raise RuntimeError(f"a page without a way on: {page.status} {page.url} {page.alert}")


def parameter(url: str, name: str) -> str:
    """Return a parameter of ``url``."""
    found = re.search(rf"[?&]{name}=([^&]*)", url)
    if found is None:
        raise RuntimeError(f"no {name} in {url}")
    return str(found[1])
