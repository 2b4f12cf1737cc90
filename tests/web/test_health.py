"""Liveness, readiness and metrics."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete

from authsvc.signing.rotation import REGISTRY as KEYS_REGISTRY
from authsvc.storage.schema import signing_keys
from tests.provider import Provider
from tests.replicas.replicas import until
from tests.servers import PostgresServer


async def test_the_process_answers(provider: Provider) -> None:
    response = await provider.http.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}
    assert response.headers["cache-control"] == "no-store"


async def test_readiness_names_each_dependency(provider: Provider) -> None:
    changes = provider.resources.changes
    await until(lambda: provider.resources.redis is None or changes.live)
    response = await provider.http.get("/readyz")
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "ok"
    assert {name: check["status"] for name, check in answer["checks"].items()} == {
        "database": "ok",
        "redis": "ok",
        "keys": "ok",
    }


async def test_without_redis_the_service_is_degraded_and_ready(
    sqlite_backend: Any, open_providers: Any
) -> None:
    away = SecretStr("redis://:a-password@127.0.0.1:1/0")
    provider: Provider = await open_providers(sqlite_backend, redis_url=away)
    response = await provider.http.get("/readyz")
    assert response.status_code == 200
    assert response.json()["checks"]["redis"]["status"] == "degraded"
    assert "a-password" not in response.text
    tokens = await provider.sign_in(await provider.create_client(), await provider.create_user())
    assert (await provider.userinfo(tokens["access_token"])).status_code == 200


@pytest.fixture
def postgres_backend(make_backend: Callable[[str], Any]) -> Any:
    """A database of a real PostgreSQL."""
    return make_backend("postgres")


async def test_without_its_database_the_service_is_not_ready_and_says_so(
    postgres_backend: Any, open_providers: Any, postgres_server: PostgresServer
) -> None:
    provider: Provider = await open_providers(postgres_backend)
    postgres_server.drop_database(postgres_backend.database_url)
    response = await provider.http.get("/readyz")
    assert response.status_code == 503
    answer = response.json()
    assert answer["status"] == "error"
    assert answer["checks"]["database"]["status"] == "error"
    assert answer["checks"]["database"]["detail"]
    assert (await provider.http.get("/healthz")).status_code == 200
    response = await provider.http.post("/token", data={"client_id": "x"})
    assert response.status_code == 503
    assert response.json()["error"] == "temporarily_unavailable"
    assert int(response.headers["retry-after"]) >= 1
    assert "SELECT" not in response.text


async def test_without_a_signing_key_the_service_is_not_ready(
    sqlite_provider: Provider,
) -> None:
    resources = sqlite_provider.resources
    async with resources.database.transaction() as tx:
        await tx.execute(delete(signing_keys))
        await resources.changes.bump(tx, KEYS_REGISTRY)
    response = await sqlite_provider.http.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["keys"]["status"] == "error"
    assert response.json()["checks"]["database"]["status"] == "ok"


async def test_metrics_count_without_naming_anybody(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    account = await sqlite_provider.create_user()
    await sqlite_provider.sign_in(client, account)
    await sqlite_provider.token(client, grant_type="password")
    response = await sqlite_provider.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    text = response.text
    for line in (
        'authsvc_tokens_issued_total{grant="authorization_code"}',
        'authsvc_logins_total{outcome="succeeded"}',
        'authsvc_errors_total{error="unsupported_grant_type",route="/token"}',
        'authsvc_http_request_seconds_count{method="POST",route="/token",status="200"}',
        "authsvc_redis_live 0.0",
        "authsvc_password_hashes_waiting 0.0",
    ):
        assert line in text, line
    assert client.client_id not in text
    assert account.username not in text
