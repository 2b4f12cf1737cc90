"""Authorization responses as a client's redirection endpoint reads them.

RFC 6749 §4.1.2 and §4.2.2, OAuth 2.0 Form Post Response Mode §2.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from tests.browser import Browser, Page

Channel = Literal["query", "fragment", "form_post"]


@dataclass(frozen=True)
class Answer:
    """An authorization response as the client's redirection endpoint sees it."""

    uri: str
    """Without what the provider added to it."""
    channel: Channel
    parameters: Mapping[str, str]
    pages: Sequence[str] = ()
    """What the person was shown on the way."""

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    def __contains__(self, name: str) -> bool:
        return name in self.parameters

    @property
    def error(self) -> str | None:
        """The error code, None for a success."""
        return self.parameters.get("error")


def read_answer(browser: Browser, page: Page, shown: Sequence[str], expected: str) -> Answer:
    """Return what the redirection endpoint at ``expected`` would receive."""
    if browser.left_for is None:
        form = next(form for form in page.forms if "#form-post-continue" in form.buttons)
        assert form.method.lower() == "post"
        return Answer(form.action, "form_post", form.fields, shown)
    location = browser.left_for
    assert location.startswith(expected), location
    parts, before = urlsplit(location), urlsplit(expected)
    if parts.fragment:
        assert parts.query == before.query
        return Answer(expected, "fragment", _parameters(parts.fragment), shown)
    added = parts.query.removeprefix(before.query).removeprefix("&")
    return Answer(expected, "query", _parameters(added), shown)


def _parameters(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, strict_parsing=True, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)  # RFC 6749 §3.1: none more than once
    return dict(pairs)


def left_half_hash(value: str | None) -> str | None:
    """Return the left half of the SHA-256, as base64url (Core §3.2.2.9)."""
    if value is None:
        return None
    half = hashlib.sha256(value.encode("ascii")).digest()[:16]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")
