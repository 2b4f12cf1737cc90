"""Each endpoint with parameters that it could take."""

import httpx

from tests.provider import REDIRECT_URI, SECRET, VERIFIER, Provider, TestClient

FORM = "application/x-www-form-urlencoded"


def requests_of(
    provider: Provider, client: TestClient
) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Return each endpoint with parameters that it could take, by a name."""
    credentials = {"client_id": client.client_id, "client_secret": SECRET}
    authorization = provider.authorization_parameters(
        client,
        prompt="none",
        max_age=1,
        login_hint="anna",
        id_token_hint="a.b.c",
        acr_values="aal1",
        ui_locales="en",
        response_mode="query",
        resource="https://api.example",
        display="page",
    )
    logout = {
        "id_token_hint": "a.b.c",
        "client_id": client.client_id,
        "post_logout_redirect_uri": REDIRECT_URI,
        "state": "x",
    }
    code = {"code": "c", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    assertion = {
        "client_assertion": "a.b.c",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    grant = {"grant_type": "authorization_code"}
    return {
        "authorize": ("GET", "/authorize", authorization),
        "posted authorize": ("POST", "/authorize", authorization),
        "code": ("POST", "/token", {**credentials, **grant, **code}),
        "refresh": (
            "POST",
            "/token",
            {**credentials, "grant_type": "refresh_token", "refresh_token": "r", "scope": "openid"},
        ),
        "assertion": ("POST", "/token", {**assertion, **grant, **code}),
        "introspect": (
            "POST",
            "/introspect",
            {**credentials, "token": "t", "token_type_hint": "access_token"},
        ),
        "revoke": ("POST", "/revoke", {**credentials, "token": "t", "token_type_hint": "x"}),
        "userinfo": ("POST", "/userinfo", {"access_token": "a.b.c"}),
        "login": ("GET", "/login", {"continue": "x"}),
        "posted login": (
            "POST",
            "/login",
            {"username": "u", "password": "p", "continue": "x", "csrf_token": "t"},
        ),
        "resume": ("GET", "/authorize/resume", {"continue": "x"}),
        "consent": (
            "POST",
            "/consent",
            {"continue": "x", "csrf_token": "t", "decision": "approve"},
        ),
        "device authorization": (
            "POST",
            "/device_authorization",
            {**credentials, "scope": "openid", "resource": "https://api.example"},
        ),
        "device code": (
            "POST",
            "/token",
            {
                **credentials,
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "device_code": "d",
            },
        ),
        "device": ("GET", "/device", {"user_code": "BCDF-GHJK"}),
        "posted device": ("POST", "/device", {"user_code": "BCDF-GHJK", "csrf_token": "t"}),
        "device resume": ("GET", "/device/resume", {"continue": "x"}),
        "device answer": (
            "POST",
            "/device/confirm",
            {"device": "x", "csrf_token": "t", "decision": "approve"},
        ),
        "logout": ("GET", "/logout", logout),
        "confirm": ("POST", "/logout/confirm", {**logout, "csrf_token": "t"}),
    }


async def send(
    provider: Provider, method: str, path: str, encoded: bytes, **headers: str
) -> httpx.Response:
    """Send encoded parameters in the query of a GET, or in the body of a POST."""
    if method == "GET":
        url = provider.http.base_url.copy_with(raw_path=path.encode() + b"?" + encoded)
        return await provider.http.request("GET", url, headers=headers)
    return await provider.http.post(
        path, content=encoded, headers={"Content-Type": FORM, **headers}
    )
