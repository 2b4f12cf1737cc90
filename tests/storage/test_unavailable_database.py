"""A database that is away, frozen or full: 503 with Retry-After, and back when it is back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from authsvc.protocol.errors import TemporarilyUnavailable
from authsvc.resources import open_storage
from authsvc.storage.migrations import upgrade
from tests.conftest import Backend
from tests.provider import Account, Provider, TestClient, open_provider
from tests.servers import PostgresServer, start_postgres

PATIENCE = 2
"""Seconds a request may wait for the database here, or a statement outside of one."""


@pytest.fixture(scope="module")
def fragile_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own, which may be stopped without hurting other tests."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="module")
async def fragile(fragile_server: PostgresServer) -> AsyncIterator[Provider]:
    """A provider on that server."""
    backend = Backend("postgres", fragile_server.create_database(), None)
    settings = backend.settings(
        database_timeout=PATIENCE,
        database_request_timeout_ms=PATIENCE * 1_000,
        database_pool_size=6,
    )
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database)
    async with open_provider(settings) as provider:
        yield provider


@pytest.fixture(scope="module")
async def client(fragile: Provider) -> TestClient:
    """A client."""
    return await fragile.create_client()


@pytest.fixture(scope="module")
async def account(fragile: Provider) -> Account:
    """A person."""
    return await fragile.create_user()


def _assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "no-store" in response.headers["cache-control"]
    if response.headers["content-type"] == "application/json":
        assert response.json()["error"] == "temporarily_unavailable"
    for leak in ("SELECT", "INSERT", "asyncpg", "Traceback", "postgres"):
        assert leak not in response.text


async def _knock_everywhere(
    provider: Provider, client: TestClient, account: Account, tokens: dict[str, Any]
) -> list[httpx.Response]:
    """Call each endpoint that needs the database, all at once."""
    browser, http = provider.browser(), provider.http
    form = {"username": account.username, "password": account.password}
    refused = provider.refresh(client, tokens["refresh_token"])
    return await asyncio.gather(
        refused,
        provider.token(client, grant_type="client_credentials"),
        provider.redeem(client, "a-code"),
        provider.userinfo(tokens["access_token"]),
        provider.revoke(client, tokens["refresh_token"]),
        http.post(
            "/introspect",
            data={"token": tokens["access_token"]},
            auth=client.auth or httpx.USE_CLIENT_DEFAULT,
        ),
        browser.http.get("/authorize", params=provider.authorization_parameters(client)),
        browser.http.post("/login", data=form),
        browser.http.get("/jwks"),
    )


async def test_a_database_that_is_stopped_is_503_everywhere_and_comes_back(
    fragile: Provider, fragile_server: PostgresServer, client: TestClient, account: Account
) -> None:
    tokens = await fragile.sign_in(client, account)

    await asyncio.to_thread(fragile_server.stop)
    try:
        responses = await _knock_everywhere(fragile, client, account, tokens)
        ready = await fragile.http.get("/readyz")
        alive = await fragile.http.get("/healthz")
    finally:
        await asyncio.to_thread(fragile_server.start)

    for response in responses:
        _assert_unavailable(response)
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert ready.json()["checks"]["database"]["status"] == "error"
    assert (await fragile.http.get("/readyz")).status_code == 200
    await _refresh_at_last(fragile, client, tokens["refresh_token"])


async def test_a_sign_in_is_503_on_a_page_and_works_afterwards(
    fragile: Provider, fragile_server: PostgresServer, client: TestClient, account: Account
) -> None:
    browser = fragile.browser()
    page = await browser.get("/authorize", fragile.authorization_parameters(client))
    form = {"username": account.username, "password": account.password}

    await asyncio.to_thread(fragile_server.stop)
    try:
        failed = await browser.submit(page, form, button="#login-submit")
    finally:
        await asyncio.to_thread(fragile_server.start)
        await fragile.http.get("/readyz")

    assert failed.status == 503
    assert failed.headers["retry-after"] == "1"
    again = await browser.submit(page, form, button="#login-submit")
    if again.status == 503:  # a connection from before
        again = await browser.submit(page, form, button="#login-submit")
    assert browser.left_for is not None or again.has("#consent-approve")


async def test_a_database_that_hangs_is_503_in_bounded_time_and_comes_back(
    fragile: Provider, fragile_server: PostgresServer, client: TestClient, account: Account
) -> None:
    tokens = await fragile.sign_in(client, account)

    fragile_server.pause()
    try:
        started = time.monotonic()
        responses = await _knock_everywhere(fragile, client, account, tokens)
        took = time.monotonic() - started
    finally:
        fragile_server.resume()

    for response in responses:
        _assert_unavailable(response)
    assert took < 2 * PATIENCE
    assert (await fragile.http.get("/readyz")).status_code == 200
    assert (await fragile.refresh(client, tokens["refresh_token"])).status_code == 200


async def test_connections_that_the_server_cut_cost_an_answer_or_two(
    fragile: Provider, client: TestClient, account: Account
) -> None:
    tokens = await fragile.sign_in(client, account)
    connection = await asyncpg.connect(fragile.settings.database_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'authsvc'"
    )
    await connection.close()

    await _refresh_at_last(fragile, client, tokens["refresh_token"])


async def _refresh_at_last(provider: Provider, client: TestClient, refresh_token: str) -> None:
    """Refresh; connections from before the break may cost an answer each way: reading, writing."""
    for _ in range(2):
        response = await provider.refresh(client, refresh_token)
        if response.status_code == 200:
            return
        _assert_unavailable(response)
    assert (await provider.refresh(client, refresh_token)).status_code == 200


async def test_a_pool_that_is_used_up_is_503(fragile: Provider) -> None:
    database = fragile.resources.database
    held = [await database.engine.connect() for _ in range(3)]
    try:
        with pytest.raises(TemporarilyUnavailable) as caught:
            await _write(fragile)
    finally:
        for connection in held:
            await connection.close()

    assert caught.value.status_code == 503
    await _write(fragile)


async def _write(provider: Provider) -> None:
    async with provider.resources.database.transaction() as tx:
        await provider.resources.changes.bump(tx, "roles")
