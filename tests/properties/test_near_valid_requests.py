"""Valid requests with a few parameters changed get past the first checks, and break nothing."""

from urllib.parse import quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.endpoints_world import World
from tests.properties.profiles import PROFILE
from tests.properties.raw_requests import check_answer, send_raw
from tests.provider import CHALLENGE, PASSWORD, REDIRECT_URI, VERIFIER

FORM = "application/x-www-form-urlencoded"
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
_bytes = st.binary(max_size=40)
_texts = st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))


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


@settings(PROFILE, max_examples=600)
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

    check_answer(await send_raw(world, method, path, query, body, headers))
