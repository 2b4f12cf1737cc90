"""Whatever is sent to whichever endpoint: no 5xx, JSON or HTML, and no secret comes back."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.oauth.client_auth import ASSERTION_TYPE
from tests.conftest import ISSUER, MASTER_KEY, Backend
from tests.properties.profiles import PROFILE
from tests.provider import (
    CHALLENGE,
    PASSWORD,
    REDIRECT_URI,
    SECRET,
    VERIFIER,
    Provider,
    open_provider,
)

FORM = "application/x-www-form-urlencoded"
PATHS = (
    "/token",
    "/introspect",
    "/revoke",
    "/userinfo",
    "/jwks",
    "/authorize",
    "/authorize/resume",
    "/consent",
    "/login",
    "/logout",
    "/logout/confirm",
    "/",
    "/.well-known/openid-configuration",
    "/admin/v1/users",
    "/admin/v1/roles",
    "/admin/v1/clients",
    "/admin/v1/keys",
    "/admin/v1/sessions",
    "/admin/v1/audit",
    "/openapi.json",
)
# fmt: off
NAMES = (
    "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
    "client_id", "client_secret", "client_assertion", "client_assertion_type", "token",
    "token_type_hint", "access_token", "response_type", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "login_hint", "id_token_hint", "acr_values",
    "ui_locales", "response_mode", "resource", "audience", "request", "request_uri",
    "registration", "claims", "display", "continue", "csrf_token", "username", "password",
    "decision", "post_logout_redirect_uri", "limit", "cursor", "user",
)
# fmt: on


class World:
    """A provider, and values that mean something to it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.values: list[str] = []
        self.named: dict[str, str] = {}
        self.admin_token = ""
        self.cookies: dict[str, str] = {}
        self.credentials = ""

    async def settle(self) -> None:
        """Make people, clients and tokens."""
        provider = self.provider
        await provider.create_role("admin", ADMIN_PERMISSION)
        account = await provider.create_user(username="anna", roles=["admin"])
        client = await provider.create_client()
        browser = provider.browser()
        page = await browser.get("/authorize", provider.authorization_parameters(client))
        fields = page.forms[0].fields
        tokens = await provider.sign_in(client, account, browser)
        answer = await provider.authorize(browser, client, account)
        self.cookies = dict(browser.http.cookies)
        # Of another sign-in: examples may revoke what is among the values.
        self.admin_token = (await provider.sign_in(client, account))["access_token"]
        raw = f"{client.client_id}:{SECRET}".encode()
        self.credentials = f"Basic {base64.b64encode(raw).decode()}"
        self.named = {
            "client_id": client.client_id,
            "code": answer["code"],
            "continue": fields["continue"],
            "csrf_token": fields["csrf_token"],
            **{name: tokens[name] for name in ("access_token", "refresh_token", "id_token")},
        }
        self.values = [
            *("authorization_code", "refresh_token", "client_credentials", "password"),
            *(client.client_id, SECRET, "anna", PASSWORD, REDIRECT_URI, VERIFIER, CHALLENGE),
            *("S256", "plain", "code", "none", "login", "consent", "query", "form_post"),
            *("openid offline_access", "openid", "the-state", "approve", "deny", "0", "1"),
            *(answer["code"], tokens["access_token"], tokens["id_token"]),
            *(fields["continue"], fields["csrf_token"], ASSERTION_TYPE, ISSUER),
        ]


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any) -> Any:
    """One provider for all examples."""
    async for made in _open_world(tmp_path_factory, sqlite_template):
        yield made


async def _open_world(
    tmp_path_factory: pytest.TempPathFactory, template: Any
) -> AsyncIterator[World]:
    path = tmp_path_factory.mktemp("properties") / "authsvc.db"
    path.write_bytes(template.read_bytes())
    backend = Backend("sqlite", f"sqlite:///{path}", None)
    # Guesses must not close the door on the examples that follow.
    free = 1_000_000
    settings_ = backend.settings(
        log_level="error",
        login_account_attempts=free,
        login_account_attempts_everywhere=free,
        login_address_attempts=free,
    )
    async with open_provider(settings_) as provider:
        made = World(provider)
        await made.settle()
        yield made


def _check(response: httpx.Response) -> None:
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


_bytes = st.binary(max_size=40)
_texts = st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
_header_bytes = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
).map(lambda text: text.encode("latin-1"))
# fmt: off
_HEADERS = (
    "Authorization", "Cookie", "Content-Type", "Accept", "Origin", "Referer", "User-Agent",
    "X-Forwarded-For", "Forwarded", "X-Request-ID", "Host", "If-None-Match", "Sec-Fetch-Site",
    "Idempotency-Key", "Accept-Language", "Access-Control-Request-Method",
    "X-HTTP-Method-Override", "Range", "Accept-Encoding",
)
# fmt: on
_headers = st.dictionaries(st.sampled_from(_HEADERS), _header_bytes, max_size=4)
_methods = st.sampled_from(["GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "PATCH"])


async def _request(
    world: World,
    method: str,
    path: str,
    query: bytes,
    body: bytes,
    headers: dict[str, bytes],
) -> httpx.Response:
    raw_path = path.encode("ascii") + (b"?" + query if query else b"")
    url = httpx.URL(ISSUER).copy_with(raw_path=raw_path)
    transport = httpx.ASGITransport(world.provider.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as http:
        pairs = [(name.encode(), value) for name, value in headers.items()]
        return await http.request(method, url, content=body, headers=pairs)


@settings(PROFILE, max_examples=250)
@given(
    method=_methods,
    path=st.sampled_from(PATHS),
    query=st.binary(max_size=60).map(lambda raw: quote_from_bytes(raw, safe="&=%+").encode()),
    body=st.binary(max_size=200),
    headers=_headers,
    is_form=st.booleans(),
)
async def test_arbitrary_bytes_break_no_endpoint(
    world: World,
    method: str,
    path: str,
    query: bytes,
    body: bytes,
    headers: dict[str, bytes],
    is_form: bool,
) -> None:
    if is_form:
        headers = {**headers, "Content-Type": FORM.encode()}

    _check(await _request(world, method, path, query, body, headers))


@settings(PROFILE, max_examples=150)
@given(
    segments=st.lists(st.one_of(_bytes, st.sampled_from([p.encode() for p in PATHS])), max_size=4),
    method=_methods,
)
async def test_arbitrary_paths_break_nothing(
    world: World, segments: list[bytes], method: str
) -> None:
    path = "/" + "/".join(quote_from_bytes(segment, safe="/") for segment in segments)
    headers = {"Authorization": f"Bearer {world.admin_token}".encode()}
    prefix = "/admin/v1" if len(segments) % 2 else ""

    _check(await _request(world, method, prefix + path, b"", b"{}", headers))


_ASK = {
    "response_type": "code",
    "client_id": "{client_id}",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid offline_access",
    "state": "the-state",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
_REDEEM = {
    "grant_type": "authorization_code",
    "code": "{code}",
    "redirect_uri": REDIRECT_URI,
    "code_verifier": VERIFIER,
}
_REFRESH = {"grant_type": "refresh_token", "refresh_token": "{refresh_token}"}
_SIGN_IN = {"username": "anna", "password": PASSWORD, "csrf_token": "{csrf_token}"}
_CONSENT = {"continue": "{continue}", "csrf_token": "{csrf_token}", "decision": "approve"}
_LOGOUT = {"client_id": "{client_id}", "id_token_hint": "{id_token}"}
# Requests that are valid as they stand: examples change a few of their parameters.
_VALID: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET", "/authorize", _ASK),
    ("GET", "/authorize", {**_ASK, "prompt": "none", "response_mode": "form_post"}),
    ("POST", "/authorize", _ASK),
    ("POST", "/token", _REDEEM),
    ("POST", "/token", _REFRESH),
    ("POST", "/token", {"grant_type": "client_credentials", "scope": "api:read"}),
    ("POST", "/introspect", {"token": "{access_token}", "token_type_hint": "access_token"}),
    ("POST", "/introspect", {"token": "{refresh_token}"}),
    ("POST", "/revoke", {"token": "{id_token}", "token_type_hint": "refresh_token"}),
    ("POST", "/userinfo", {"access_token": "{access_token}"}),
    ("GET", "/login", {"continue": "{continue}"}),
    ("POST", "/login", {**_SIGN_IN, "continue": "{continue}"}),
    ("GET", "/authorize/resume", {"continue": "{continue}"}),
    ("POST", "/consent", _CONSENT),
    ("GET", "/logout", _LOGOUT),
    ("POST", "/logout/confirm", {"csrf_token": "{csrf_token}", **_LOGOUT}),
)
_Change = tuple[str, str, int | bytes]


@st.composite
def _near_valid(draw: st.DrawFn) -> tuple[int, list[_Change]]:
    """Return which valid request, and how it is changed; a number is one of the values."""
    chosen = draw(st.integers(0, len(_VALID) - 1))
    own = st.sampled_from(list(_VALID[chosen][2]))
    name = st.one_of(own, own, st.sampled_from(NAMES))
    value: st.SearchStrategy[int | bytes] = st.one_of(st.integers(0, 30), _texts, _bytes)
    action = st.sampled_from(["set", "set", "drop", "double"])
    return chosen, draw(st.lists(st.tuples(action, name, value), max_size=3))


def _encode(world: World, parameters: dict[str, str], changes: list[_Change]) -> bytes:
    pairs = [(name, value.format(**world.named).encode()) for name, value in parameters.items()]
    for action, name, value in changes:
        raw = world.values[value].encode() if isinstance(value, int) else value
        if action != "double":
            pairs = [pair for pair in pairs if pair[0] != name]
        if action != "drop":
            pairs.append((name, raw))
    return "&".join(f"{name}={quote_from_bytes(raw, safe='')}" for name, raw in pairs).encode()


@settings(PROFILE, max_examples=400)
@given(
    request=_near_valid(),
    is_authenticated=st.sampled_from([True, True, True, False]),
    has_cookies=st.booleans(),
)
async def test_near_valid_requests_break_no_endpoint(
    world: World,
    request: tuple[int, list[_Change]],
    is_authenticated: bool,
    has_cookies: bool,
) -> None:
    chosen, changes = request
    method, path, parameters = _VALID[chosen]
    encoded = _encode(world, parameters, changes)
    headers = {"Content-Type": FORM.encode()}
    if is_authenticated and path in {"/token", "/introspect", "/revoke"}:
        headers["Authorization"] = world.credentials.encode()
    if has_cookies:
        pairs = (f"{name}={value}" for name, value in world.cookies.items())
        headers["Cookie"] = "; ".join(pairs).encode()
    query, body = (encoded, b"") if method == "GET" else (b"", encoded)

    _check(await _request(world, method, path, query, body, headers))


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
# fmt: off
_MEMBERS = (
    "username", "password", "email", "email_verified", "claims", "disabled", "name",
    "permissions", "inherits", "client_id", "redirect_uris", "grant_types", "scope", "jwks",
    "token_endpoint_auth_method", "alg", "key", "overlap",
)
# fmt: on


@settings(PROFILE, max_examples=200)
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT", "DELETE", "GET"]),
    path=st.sampled_from([path for path in PATHS if path.startswith("/admin/v1")]),
    body=st.one_of(_json, st.dictionaries(st.sampled_from(_MEMBERS), _json, max_size=5)),
    tail=st.one_of(st.just(""), st.text(max_size=12)),
)
async def test_arbitrary_json_breaks_no_part_of_the_admin_api(
    world: World, method: str, path: str, body: Any, tail: str
) -> None:
    content = b"" if method == "GET" else json.dumps(body).encode()
    headers = {
        "Authorization": f"Bearer {world.admin_token}".encode(),
        "Content-Type": b"application/json",
    }
    if tail:
        path += "/" + quote_from_bytes(tail.encode("utf-8", "surrogatepass"), safe="")

    _check(await _request(world, method, path, b"", content, headers))
