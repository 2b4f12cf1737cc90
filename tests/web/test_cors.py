"""Scripts of other origins: which endpoints they may call (Fetch, CORS protocol)."""

import pytest

from tests.provider import Provider

ORIGIN_OF_AN_APP = "https://spa.example"
OPEN = [
    ("POST", "/token"),
    ("POST", "/revoke"),
    ("POST", "/device_authorization"),
    ("GET", "/userinfo"),
    ("POST", "/userinfo"),
    ("GET", "/jwks"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
]
CLOSED = [
    ("POST", "/introspect"),
    ("GET", "/authorize"),
    ("POST", "/authorize"),
    ("GET", "/authorize/resume"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/consent"),
    ("GET", "/device"),
    ("POST", "/device"),
    ("POST", "/device/confirm"),
    ("GET", "/logout"),
    ("POST", "/logout/confirm"),
    ("GET", "/"),
    ("GET", "/admin/v1/users"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), OPEN)
async def test_an_endpoint_without_cookies_is_open_to_scripts(
    sqlite_provider: Provider, method: str, path: str
) -> None:
    preflight = await sqlite_provider.http.options(
        path,
        headers={
            "Origin": ORIGIN_OF_AN_APP,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert method in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type"} <= {name.strip() for name in allowed.split(",")}
    answer = await sqlite_provider.http.request(method, path, headers={"Origin": ORIGIN_OF_AN_APP})
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_an_endpoint_with_cookies_or_for_servers_is_closed_to_scripts(
    sqlite_provider: Provider, method: str, path: str
) -> None:
    preflight = await sqlite_provider.http.options(
        path, headers={"Origin": ORIGIN_OF_AN_APP, "Access-Control-Request-Method": method}
    )
    assert preflight.status_code >= 400
    answer = await sqlite_provider.http.request(method, path, headers={"Origin": ORIGIN_OF_AN_APP})
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_script_can_read_why_it_was_refused(sqlite_provider: Provider) -> None:
    for method, path in (("GET", "/userinfo"), ("POST", "/token"), ("GET", "/token")):
        response = await sqlite_provider.http.request(
            method, path, headers={"Origin": ORIGIN_OF_AN_APP}
        )
        assert response.status_code >= 400
        assert response.headers["access-control-allow-origin"] == "*"
        exposed = response.headers["access-control-expose-headers"]
        assert "WWW-Authenticate" in exposed
        assert "Retry-After" in exposed


async def test_a_script_of_a_public_client_redeems_refreshes_and_revokes(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(token_endpoint_auth_method="none")
    sqlite_provider.http.headers["Origin"] = ORIGIN_OF_AN_APP
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    refreshed = await sqlite_provider.refresh(client, tokens["refresh_token"])
    assert refreshed.headers["access-control-allow-origin"] == "*"
    response = await sqlite_provider.userinfo(refreshed.json()["access_token"])
    assert response.headers["access-control-allow-origin"] == "*"
    response = await sqlite_provider.revoke(client, refreshed.json()["refresh_token"])
    assert response.headers["access-control-allow-origin"] == "*"
