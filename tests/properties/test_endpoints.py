"""Whatever is sent to whichever endpoint: no 5xx, JSON or HTML, and no secret comes back."""

import json
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.endpoints_world import World
from tests.properties.profiles import PROFILE
from tests.properties.raw_requests import check_answer, send_raw

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


_bytes = st.binary(max_size=40)
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

    check_answer(await send_raw(world, method, path, query, body, headers))


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

    check_answer(await send_raw(world, method, prefix + path, b"", b"{}", headers))


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

    check_answer(await send_raw(world, method, path, b"", content, headers))
