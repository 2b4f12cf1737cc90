"""A small browser without scripts: cookies, redirects, forms."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name and value of each button, by the button's selector ``#id``."""


@dataclass
class Page(HTMLParser):
    """A page as it was answered."""

    url: str
    status: int
    headers: httpx.Headers
    text: str

    def __post_init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.alert: str | None = None
        self._ids: set[str] = set()
        self._inputs: set[str] = set()
        self._in_alert = False
        self.feed(self.text)

    def has(self, selector: str) -> bool:
        """Tell whether the page has ``#id`` or ``input[name=x]``."""
        if selector.startswith("#"):
            return selector[1:] in self._ids
        return selector.removeprefix("input[name=").removesuffix("]") in self._inputs

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms, fields, ids and alerts."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self._ids.add(given["id"])
        if given.get("role") == "alert":
            self._in_alert, self.alert = True, ""
        if tag == "form":
            self.forms.append(Form(urljoin(self.url, given.get("action", "")), given["method"]))
        elif tag == "input" and self.forms:
            self._inputs.add(given.get("name", ""))
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms and "id" in given:
            button = (given.get("name", ""), given.get("value", ""))
            self.forms[-1].buttons[f"#{given['id']}"] = button

    def handle_data(self, data: str) -> None:
        """Collect the alert's text."""
        if self._in_alert:
            self.alert = (self.alert or "") + data.strip()

    def handle_endtag(self, tag: str) -> None:
        """End the alert."""
        if tag == "p":
            self._in_alert = False


class Browser:
    """Follows redirects within the provider, and stops where it would leave it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.left_for: str | None = None
        self.history: list[httpx.Response] = []

    @property
    def origin(self) -> str:
        """The provider's origin."""
        return str(self.http.base_url).rstrip("/")

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> Page:
        """Visit a page."""
        return await self._follow(await self.http.get(path, params=parameters))

    async def post(self, path: str, data: dict[str, Any], **options: Any) -> Page:
        """Post a form that was not taken from a page."""
        return await self._follow(await self.http.post(path, data=data, **options))

    async def submit(self, page: Page, values: dict[str, str], *, button: str) -> Page:
        """Fill in the form that has the button, and press it."""
        form = next(form for form in page.forms if button in form.buttons)
        name, value = form.buttons[button]
        data = {**form.fields, **values, **({name: value} if name else {})}
        return await self._follow(await self.http.post(form.action, data=data))

    async def close(self) -> None:
        """Close the browser."""
        await self.http.aclose()

    async def _follow(self, response: httpx.Response) -> Page:
        self.left_for = None
        for _ in range(10):
            self.history.append(response)
            if not response.has_redirect_location:
                break
            location = urljoin(str(response.url), response.headers["location"])
            if urlsplit(location)[:2] != urlsplit(str(response.url))[:2]:
                self.left_for = location
                break
            response = await self.http.get(location)
        return Page(str(response.url), response.status_code, response.headers, response.text)
