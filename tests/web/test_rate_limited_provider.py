"""The limits as the app wires them: each endpoint has its own, per address and per client."""

import pytest

from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

ENDPOINTS = {
    "rate_limit_token_address": ("POST", "/token"),
    "rate_limit_introspect_address": ("POST", "/introspect"),
    "rate_limit_revoke_address": ("POST", "/revoke"),
    "rate_limit_userinfo_address": ("GET", "/userinfo"),
    "rate_limit_discovery_address": ("GET", "/jwks"),
    "rate_limit_authorize_address": ("GET", "/authorize"),
    "rate_limit_login_address": ("POST", "/login"),
    "rate_limit_logout_address": ("GET", "/logout"),
    "rate_limit_admin_address": ("GET", "/admin/v1/users"),
}


@pytest.mark.parametrize("setting", ENDPOINTS)
async def test_each_limit_is_a_setting_and_says_when_to_come_back(
    sqlite_backend: Backend, open_providers: OpenProvider, setting: str
) -> None:
    method, path = ENDPOINTS[setting]
    provider: Provider = await open_providers(
        sqlite_backend, rate_limits=True, **{setting: "2/day"}
    )

    answers = [await provider.http.request(method, path) for _ in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert "retry-after" not in answers[0].headers
    refused = answers[2]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["ratelimit-limit"] == "2"
    assert "temporarily_unavailable" in refused.text
    if path not in ("/authorize", "/login", "/logout"):
        assert refused.json()["error"] == "temporarily_unavailable"


async def test_a_client_has_a_budget_of_its_own_that_nobody_else_can_use_up(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, rate_limits=True, rate_limit_token_client="2/day"
    )
    greedy, modest = await provider.create_client(), await provider.create_client()
    wrong = {"grant_type": "client_credentials", "client_id": modest.client_id}
    for _ in range(5):
        await provider.http.post("/token", data={**wrong, "client_secret": "x" * 40})

    statuses = [
        (await provider.token(greedy, grant_type="client_credentials")).status_code
        for _ in range(3)
    ]

    assert statuses == [200, 200, 429]
    modest_answer = await provider.token(modest, grant_type="client_credentials")
    assert modest_answer.status_code == 200
