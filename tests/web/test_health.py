"""Liveness, readiness and metrics."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import delete

from authsvc.protocol.errors import TemporarilyUnavailable
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.signing.rotation import REGISTRY as KEYS_REGISTRY
from authsvc.storage.database import Database
from authsvc.storage.health import probe_database
from authsvc.storage.schema import signing_keys
from authsvc.web import health
from authsvc.web.gauges import sample_database
from tests.provider import Provider, open_provider
from tests.replicas.replicas import until
from tests.servers import PostgresServer, RedisServer


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


@pytest.fixture
def frozen_servers(
    make_backend: Callable[[str], Any], postgres_server: PostgresServer, redis_server: RedisServer
) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A backend, and what freezes both of its servers until the end of the test."""
    frozen: list[PostgresServer | RedisServer] = []

    def freeze() -> None:
        for server in (postgres_server, redis_server):
            server.pause()
            frozen.append(server)

    backend = make_backend("postgres+redis")
    yield backend, freeze
    for server in frozen:
        server.resume()


async def test_readiness_is_known_within_a_second_although_both_servers_hang(
    frozen_servers: tuple[Any, Callable[[], None]], open_providers: Any
) -> None:
    backend, freeze = frozen_servers
    provider: Provider = await open_providers(backend, database_request_timeout_ms=700)
    assert (await provider.http.get("/readyz")).status_code == 200
    freeze()
    for _ in range(2):
        started = time.monotonic()
        response = await provider.http.get("/readyz")
        assert time.monotonic() - started < 1
        assert response.status_code == 503
        checks = response.json()["checks"]
        assert checks["database"]["status"] == "error"
        assert checks["redis"]["status"] == "degraded"
    assert (await provider.http.get("/healthz")).status_code == 200


async def test_the_service_ends_although_both_servers_hang(
    frozen_servers: tuple[Any, Callable[[], None]],
) -> None:
    """Drivers turn a cancellation into errors of their own: no loop may go on after that."""
    backend, freeze = frozen_servers
    async with asyncio.timeout(30), open_provider(backend.settings()) as provider:
        assert (await provider.http.get("/readyz")).status_code == 200
        freeze()
        pools = provider.resources.database.pool_use
        await until(lambda: any(used for used, _ in pools().values()))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[Database]:
    """Lists the databases that were asked whether they can serve."""
    asked: list[Database] = []

    async def probe(database: Database) -> Any:
        asked.append(database)
        return await probe_database(database)

    monkeypatch.setattr(health, "probe_database", probe)
    return asked


async def test_however_many_ask_the_dependencies_are_asked_once(
    sqlite_provider: Provider, probes: list[Database]
) -> None:
    readiness: health.Readiness = sqlite_provider.app.state.readiness
    http = sqlite_provider.http
    # Only those who ask meanwhile share it: nothing is kept here.
    answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(probes) < 20

    probes.clear()
    readiness.fresh_seconds = 3_600
    for _ in range(5):
        assert (await http.get("/readyz")).status_code == 200
    assert len(probes) == 1


async def test_a_finding_is_kept_for_half_a_second_and_no_longer(
    sqlite_provider: Provider, probes: list[Database]
) -> None:
    readiness = health.Readiness(sqlite_provider.server)
    assert await readiness.find() == await readiness.find()
    assert len(probes) == 1
    # The loop's clock is that of its last turn, so a sleep may end a little early.
    await asyncio.sleep(health.FRESH_SECONDS + 0.02)
    await readiness.find()
    assert len(probes) == 2


async def test_who_leaves_takes_the_answer_from_nobody(
    sqlite_provider: Provider, probes: list[Database]
) -> None:
    readiness = health.Readiness(sqlite_provider.server)
    leaves, stays = (asyncio.create_task(readiness.find()) for _ in range(2))
    while not probes:  # noqa: ASYNC110  # the tasks run meanwhile
        await asyncio.sleep(0)
    leaves.cancel()
    assert (await stays)["database"] == {"status": "ok"}
    assert leaves.cancelled()
    assert len(probes) == 1


async def test_that_the_process_ends_is_told_at_once(sqlite_provider: Provider) -> None:
    state = sqlite_provider.app.state
    state.readiness.fresh_seconds = 3_600
    assert (await sqlite_provider.http.get("/readyz")).status_code == 200
    state.draining.begun_at = time.monotonic()
    assert (await sqlite_provider.http.get("/readyz")).status_code == 503
    state.draining.begun_at = None
    assert (await sqlite_provider.http.get("/readyz")).status_code == 200


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
    assert account.id not in text
    assert "127.0.0.1" not in text


async def test_what_a_request_says_is_never_a_label(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    said = "said-by-a-stranger"
    http = sqlite_provider.http
    await sqlite_provider.token(client, grant_type=said)
    await http.post("/token", data={"client_id": said, "grant_type": said})
    await http.get(f"/{said}?{said}={said}", headers={"User-Agent": said, "X-Request-ID": said})
    await http.request(said, "/token")
    await http.get(f"/clients/{said}/logo")
    await http.get(f"/admin/v1/users/{said}", headers={"Authorization": f"Bearer {said}"})
    await http.post("/introspect", data={"token": said}, auth=(said, said))
    text = (await http.get("/metrics")).text
    assert said not in text
    assert said.upper() not in text
    assert 'authsvc_grant_failures_total{error="unsupported_grant_type",grant="other"}' in text


async def test_hashes_that_are_refused_are_counted(sqlite_provider: Provider) -> None:
    hashes = sqlite_provider.resources.password_hashes
    before = REGISTRY.get_sample_value("authsvc_password_hashes_refused_total") or 0
    waited = REGISTRY.get_sample_value("authsvc_password_hash_wait_seconds_count") or 0
    outcomes = await asyncio.gather(
        *(hashes.hash("a password like others") for _ in range(60)), return_exceptions=True
    )
    refused = sum(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes)
    assert refused > 0
    assert REGISTRY.get_sample_value("authsvc_password_hashes_refused_total") == before + refused
    counted = REGISTRY.get_sample_value("authsvc_password_hash_wait_seconds_count")
    assert counted == waited + 60 - refused
    assert (hashes.waiting, hashes.running) == (0, 0)


async def test_keys_audit_log_and_clock_are_looked_up(provider: Provider) -> None:
    provider.clock.move(days=3)
    await provider.create_user(username="somebody")
    provider.clock.move(minutes=7)
    await sample_database(provider.server)

    def shown(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"authsvc_{name}", labels)

    for alg in ALGORITHMS:
        assert shown("signing_keys", alg=alg, state="next") == 1
        age = shown("signing_key_age_seconds", alg=alg, state="active")
        assert age is not None
        assert 3 * 86_400 < age < 4 * 86_400
    assert shown("signing_keys", alg="ES256", state="retired") == 0
    assert shown("signing_key_rotation_interval_seconds") == 7_776_000
    assert shown("master_key_signing_keys", position="newest") == 2 * len(ALGORITHMS)
    assert shown("master_key_signing_keys", position="older") == 0
    unchained = shown("audit_unchained_seconds")
    assert unchained is not None
    assert unchained >= 420
    position = shown("audit_chain_position")
    assert position is not None
    async with provider.resources.database.transaction() as tx:
        head = await provider.resources.audit_chain.chain(tx)
    await sample_database(provider.server)
    assert shown("audit_unchained_seconds") == 0
    assert shown("audit_chain_position") == head.position > position
    if not provider.resources.database.is_sqlite:
        difference = shown("clock_difference_seconds")
        assert difference is not None
        assert difference > 3 * 86_400
