"""Requests of any bytes, and what holds of every answer."""

from urllib.parse import urlsplit

import httpx

from tests.conftest import ISSUER, MASTER_KEY
from tests.properties.endpoints_world import World
from tests.provider import PASSWORD, REDIRECT_URI, SECRET, VERIFIER


async def send_raw(
    world: World,
    method: str,
    path: str,
    query: bytes,
    body: bytes,
    headers: dict[str, bytes],
) -> httpx.Response:
    """Send a request whose path, query, body and headers are taken as they are."""
    raw_path = path.encode("ascii") + (b"?" + query if query else b"")
    url = httpx.URL(ISSUER).copy_with(raw_path=raw_path)
    transport = httpx.ASGITransport(world.provider.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as http:
        pairs = [(name.encode(), value) for name, value in headers.items()]
        return await http.request(method, url, content=body, headers=pairs)


def check_answer(response: httpx.Response) -> None:
    """Assert that an answer is no failure, JSON or a page as is due, and tells nothing."""
    assert response.status_code < 500, response.text
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.content:
        assert kind in {
            "application/json",
            "application/jwk-set+json",
            "text/html",
            "text/plain",
        }, kind
        if kind.endswith("json"):
            body = response.json()
            if response.status_code >= 400:
                assert {"error", "error_description"} <= body.keys()
    location = response.headers.get("location", "/")
    parts = urlsplit(location)
    assert parts.netloc == "" or location.startswith(REDIRECT_URI), location
    told = response.text + str(response.headers)
    # What a client sent in an authorization request is its own, and goes on with the person.
    goes_on = location.startswith((REDIRECT_URI, "/authorize?"))
    for secret in (SECRET, PASSWORD, VERIFIER, MASTER_KEY):
        if not goes_on and secret in told:
            assert _is_field_of_the_person(response, secret), f"{secret} comes back"
    for leak in ("Traceback", "sqlalchemy", "sqlite3", "asyncpg"):
        assert leak not in told


def _is_field_of_the_person(response: httpx.Response, secret: str) -> bool:
    """Whether it was typed into a field that is shown again, such as the user name."""
    return f'value="{secret}"' in response.text and f'name="password" value="{secret}"' not in (
        response.text
    )
