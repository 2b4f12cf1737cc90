"""A person's browser and the app behind it, over one connection."""

import base64
import hashlib
import json
import secrets
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from benchmarks.compare.connection import Answer, Connection
from benchmarks.compare.drive import Refused
from benchmarks.compare.target import REDIRECT_URI, Target
from tests.browser import Form, Page

_VERIFIER: Final = secrets.token_urlsafe(48)
_CHALLENGE: Final = (
    base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest()).decode().rstrip("=")
)
_MOST_PAGES: Final = 12


class Cookies:
    """The cookies of one browser: by name and path, without regard to the host."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}

    def take(self, answer: Answer) -> None:
        """Keep what an answer sets, and forget what it takes back."""
        if b"set-cookie" not in answer.head.lower():
            return
        for line in answer.headers("set-cookie"):
            pair, *attributes = (part.strip() for part in line.split(";"))
            name, _, value = pair.partition("=")
            given = {key.lower(): of for key, _, of in (a.partition("=") for a in attributes)}
            place = name, given.get("path", "/")
            ended = given.get("max-age") == "0" or "1970" in given.get("expires", "")
            if ended or not value:
                self._kept.pop(place, None)
            else:
                self._kept[place] = value

    def header(self, path: str) -> str:
        """Return the line that goes with a request for ``path``."""
        sent = [f"{name}={value}" for (name, at), value in self._kept.items() if _lies(path, at)]
        return f"Cookie: {'; '.join(sent)}\r\n" if sent else ""

    def forget(self) -> None:
        """Be a fresh browser."""
        self._kept.clear()


class Person:
    """Signs in and lets the app in; ``requests`` counts what was asked for it."""

    def __init__(self, target: Target, name: str, connection: Connection) -> None:
        """``name`` is one of the people whom the target knows."""
        self._target, self._name, self._connection = target, name, connection
        self.password = target.known.password
        self.cookies = Cookies()
        self.requests = 0

    async def authorize(self, **parameters: str) -> str:
        """Ask for a code, go through the pages that come, and return it."""
        asked = {
            "response_type": "code",
            "client_id": self._target.known.web.id,
            "redirect_uri": REDIRECT_URI,
            "scope": "openid offline_access api:read",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": _CHALLENGE,
            "code_challenge_method": "S256",
            **parameters,
        }
        place = f"{self._target.paths['authorize']}?{urlencode(asked)}"
        answer = await self._get(place)
        for _ in range(_MOST_PAGES):
            location = answer.header("location")
            if location is not None and location.startswith(REDIRECT_URI):
                return _code_in(location)
            if location is not None:
                place = _place(urljoin(f"http://here{place}", location))
                answer = await self._get(place)
            elif answer.status == 200:
                place, form = self._fill(place, answer)
                answer = await self._post(place, form)
            else:
                break
        raise Refused(f"{place}: {answer.status} {answer.body[:200]!r}")

    async def redeem(self, code: str) -> dict[str, Any]:
        """Return what the app gets for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": _VERIFIER,
        }
        return await self.token(form)

    async def refresh(self, refresh_token: str) -> dict[str, Any]:
        """Return what the app gets for a refresh token."""
        return await self.token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def token(self, form: dict[str, str]) -> dict[str, Any]:
        """Ask the token endpoint as the app does."""
        message = self._target.post("token", self._target.known.web, form)
        return await ask_json(self._connection, message)

    async def _get(self, place: str) -> Answer:
        head = f"GET {place} HTTP/1.1\r\nHost: 127.0.0.1:{self._target.port}\r\n"
        return await self._ask(head + self.cookies.header(place) + "\r\n")

    async def _post(self, place: str, form: dict[str, str]) -> Answer:
        body = urlencode(form)
        head = (
            f"POST {place} HTTP/1.1\r\nHost: 127.0.0.1:{self._target.port}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n"
        )
        return await self._ask(head + self.cookies.header(place) + "\r\n" + body)

    async def _ask(self, message: str) -> Answer:
        self.requests += 1
        answer = await self._connection.request(message.encode())
        self.cookies.take(answer)
        return answer

    def _fill(self, place: str, answer: Answer) -> tuple[str, dict[str, str]]:
        """Return where the form of a page goes, and what it says: the password, or yes."""
        page = Page(f"http://here{place}", 200, httpx.Headers(), answer.body.decode())
        form = next((form for form in page.forms if form.method == "post"), None)
        if form is None or page.alert:
            raise Refused(f"{place}: {page.alert or answer.body[:200]!r}")
        return _place(form.action), {**form.fields, **self._given(form)}

    def _given(self, form: Form) -> dict[str, str]:
        given = {"password": self.password} if "password" in form.fields else {}
        for field in ("username", "login"):
            if field in form.fields:
                given[field] = self._name
        if "#consent-approve" in form.buttons:
            name, value = form.buttons["#consent-approve"]
            given[name] = value
        return given


async def ask_json(connection: Connection, message: bytes) -> dict[str, Any]:
    """Return the document that a request is answered with; Refused unless it is 200."""
    answer = await connection.request(message)
    if answer.status != 200:
        raise Refused(f"{answer.status} {answer.body[:200]!r}")
    document: dict[str, Any] = json.loads(answer.body) if answer.body else {}
    return document


def _lies(path: str, at: str) -> bool:
    return path.startswith(at)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _code_in(location: str) -> str:
    answered = parse_qs(urlsplit(location).query)
    if "code" not in answered or answered.get("state") != ["the-state"]:
        raise Refused(location)
    return answered["code"][0]
