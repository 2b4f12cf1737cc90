"""Every awkward value in every parameter of every endpoint: nothing breaks, nothing changes."""

from collections.abc import Mapping
from urllib.parse import quote_from_bytes, urlencode

import httpx
import pytest

from tests.attacks.endpoints import requests_of, send
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider, TestClient
from tests.storage.counting import count_rows

LOGGED = frozenset({"audit_events", "audit_checkpoints", "job_runs"})
"""What may be left behind: that it happened, and that jobs ran meanwhile."""

VALUES: Mapping[str, bytes] = {
    "nothing": b"",
    "a space": b" ",
    "NUL": b"a\x00b",
    "only NUL": b"\x00",
    "CR LF": b"a\r\nSet-Cookie: x=y",
    "no UTF-8": b"\xff\xfe\xfa",
    "half a surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "long": b"a" * 20_000,
    "quote": b"' OR '1'='1",
    "comment": b"x'; DROP TABLE users; --",
    "wildcards": b"%_%",
    "backslash": b"\\'\"\\",
    "format": b"%s%n{0}${7*7}{{7*7}}",
    "path": b"../../../../etc/passwd",
    "markup": b"<script>alert(1)</script>",
    "number": b"-1",
    "huge number": b"9" * 400,
    "JSON": b'{"$ne": null}',
    "invisible": "\u202e\u2066\u200b\ufeff".encode(),
    "wide": "\U0001f4a9\U0010ffff".encode(),
}


def _check(response: httpx.Response, sent: bytes) -> str | None:
    """Return what is wrong with an answer to bad input, if anything is."""
    if response.status_code >= 500:
        return f"{response.status_code}"
    if any(leak in response.text for leak in ("Traceback", "sqlalchemy", "SELECT ", "alert(1)")):
        return "leaks or echoes"
    if b"Set-Cookie: x=y" in sent and "x=y" in str(response.headers):
        return "splits the response"
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind not in {"application/json", "text/html"} and response.content:
        return f"is {kind}"
    if kind == "application/json" and response.status_code >= 400:
        body = response.json()
        if not {"error", "error_description"} <= body.keys():
            return "is not the RFC's error"
        if response.headers.get("cache-control") != "no-store":
            return "may be stored"
    return None


async def _find_problems(provider: Provider, client: TestClient) -> list[str]:
    problems = []
    for name, (method, path, parameters) in requests_of(provider, client).items():
        for parameter in [*parameters, "unknown"]:
            rest = urlencode({k: v for k, v in parameters.items() if k != parameter}).encode()
            for kind, value in VALUES.items():
                escaped = quote_from_bytes(value, safe="").encode()
                encoded = rest + b"&" + parameter.encode() + b"=" + escaped
                response = await send(provider, method, path, encoded)
                if wrong := _check(response, value):
                    problems.append(f"{name} {parameter}={kind}: {wrong}")
    return problems


@pytest.mark.parametrize("backend", ["sqlite", "postgres"], indirect=True)
async def test_no_value_of_any_parameter_breaks_an_endpoint_or_changes_anything(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend, log_level="error")
    client = await provider.create_client()
    await provider.create_user(username="anna")
    before = await count_rows(provider, without=LOGGED)

    problems = await _find_problems(provider, client)

    assert problems == []
    assert await count_rows(provider, without=LOGGED) == before
