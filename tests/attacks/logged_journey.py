"""A whole journey in a process of its own, so that its standard error is its log.

``python -m tests.attacks.logged_journey DATABASE_URL FORMAT`` prints the secrets that were
met and the ids that the responses carried, as JSON.
"""

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, Literal
from urllib.parse import quote

import httpx
import orjson

from authsvc.web.login import LoginEndpoints
from tests.attacks.journey import Journey, travel
from tests.conftest import Backend
from tests.provider import PASSWORD, Provider, open_provider


def _record_request_ids(seen: list[str]) -> None:
    handle = httpx.ASGITransport.handle_async_request

    async def recording(self: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
        response = await handle(self, request)
        seen.append(response.headers["x-request-id"])
        return response

    httpx.ASGITransport.handle_async_request = recording  # type: ignore[method-assign]  # a spy


async def _fail_unexpectedly(provider: Provider) -> int:
    """Let something of ours break while a password is at hand; return the status."""

    def broken(_self: Any, _request: Any, form: Any) -> Awaitable[None]:
        password = form.get("password")
        raise RuntimeError(f"broken with {len(password)} characters at hand")

    authenticate = LoginEndpoints._authenticate
    LoginEndpoints._authenticate = broken  # type: ignore[method-assign, assignment]  # a fake
    try:
        browser = provider.browser()
        page = await browser.get("/login")
        form = {"username": "anna", "password": PASSWORD}
        return (await browser.submit(page, form, button="#login-submit")).status
    finally:
        LoginEndpoints._authenticate = authenticate  # type: ignore[method-assign]  # as it was


async def _travel(database_url: str, log_format: Literal["json", "console"]) -> dict[str, Any]:
    request_ids: list[str] = []
    _record_request_ids(request_ids)
    backend = Backend("sqlite", database_url, None)
    settings = backend.settings(log_format=log_format, log_level="debug")
    async with open_provider(settings) as provider:
        journey: Journey = await travel(provider)
        status = await _fail_unexpectedly(provider)
        for secret in journey.secrets.values():
            await provider.http.get(f"/{quote(secret, safe='')}?{quote(secret, safe='')}=1")
            headers = {"User-Agent": secret, "Referer": secret, "X-Forwarded-For": secret}
            await provider.http.get(
                "/", headers={k.encode(): v.encode() for k, v in headers.items()}
            )
    return {"secrets": journey.secrets, "request_ids": request_ids, "status": status}


if __name__ == "__main__":
    answer = asyncio.run(_travel(sys.argv[1], sys.argv[2]))  # type: ignore[arg-type]  # a test's
    sys.stdout.buffer.write(orjson.dumps(answer))
