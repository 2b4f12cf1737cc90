"""A client's host that does not answer holds up nobody but that client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from authsvc.storage.schema import client_assertions
from tests.answers import check_error
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.conftest import Backend, BackendName, OpenProvider
from tests.encryption_keys import encryption_jwk
from tests.provider import REDIRECT_URI, VERIFIER, Provider, TestClient
from tests.web_servers import Answer, ReceivedRequest, WebServer, open_web_server

UNCACHED = {"Cache-Control": "no-store"}
POOL = 2


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """The client's own server."""
    async with open_web_server(tls=False) as server:
        yield server


def jwks(*keys: object) -> bytes:
    """Return a JWK Set."""
    return orjson.dumps({"keys": keys})


async def encrypting(provider: Provider, web: WebServer, **metadata: Any) -> TestClient:
    """Create a client whose keys, those to encrypt to as well, are at ``/jwks``."""
    members: dict[str, Any] = {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": f"{web.url}/jwks",
        "id_token_encrypted_response_alg": "ECDH-ES",
        **metadata,
    }
    return await provider.create_client(**members)


async def ask(provider: Provider, client: TestClient, assertion: str, code: str) -> httpx.Response:
    """Redeem a code with an assertion."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
    return await provider.http.post("/token", data={**form, **assertion_parameters(assertion)})


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_a_jwks_uri_that_hangs_keeps_nobody_else_from_signing_in(
    make_backend: Callable[[BackendName], Backend],
    open_providers: OpenProvider,
    web: WebServer,
    name: BackendName,
) -> None:
    """SQLite has one writer, and PostgreSQL here as many connections as requests that hang."""
    provider: Provider = await open_providers(
        make_backend(name),
        outbound_loopback=True,
        outbound_timeout=60,
        database_timeout=5,
        database_pool_size=POOL,
    )
    hanging, released = asyncio.Semaphore(0), asyncio.Event()
    answered: set[str] = set()

    async def answer(request: ReceivedRequest) -> Answer:
        # The first time each client's signature can be verified; then its keys are wanted.
        if request.path in answered:
            hanging.release()
            await released.wait()
        answered.add(request.path)
        return Answer(200, UNCACHED, jwks(public_jwk("ES256")))

    attacks = []
    for number in range(POOL):
        web.handle(f"/jwks{number}", answer)
        client = await encrypting(provider, web, jwks_uri=f"{web.url}/jwks{number}")
        assertion = sign(claims_for(client.client_id), "ES256")
        attacks.append((client, assertion))
    other, account = await provider.create_client(), await provider.create_user()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ask(provider, client, assertion, "x"))
            for client, assertion in attacks
        ]
        for _ in attacks:
            await hanging.acquire()

        assert await provider.sign_in(other, account)

        assert not any(task.done() for task in tasks)
        released.set()
    for task in tasks:
        check_error(task.result(), 503, "temporarily_unavailable")


async def test_an_assertion_is_not_spent_when_the_keys_to_encrypt_to_can_not_be_had(
    sqlite_backend: Backend, open_providers: OpenProvider, web: WebServer
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    client = await encrypting(provider, web)
    code = (await provider.authorize(provider.browser(), client, await provider.create_user()))[
        "code"
    ]
    assertion = sign(claims_for(client.client_id), "ES256")

    web.respond("/jwks", headers=UNCACHED, body=jwks(public_jwk("ES256")))
    response = await ask(provider, client, assertion, code)
    check_error(response, 503, "temporarily_unavailable")
    async with provider.resources.database.reading() as tx:
        assert (await tx.execute(client_assertions.select())).all() == []

    both = jwks(public_jwk("ES256"), encryption_jwk("ECDH-ES"))
    web.respond("/jwks", headers=UNCACHED, body=both)
    response = await ask(provider, client, assertion, code)
    assert response.status_code == 200, response.text
    assert response.json()["id_token"].count(".") == 4
    check_error(await ask(provider, client, assertion, code), 401, "invalid_client")


async def test_a_token_for_the_client_itself_needs_no_key_to_encrypt_to(
    sqlite_backend: Backend, open_providers: OpenProvider, web: WebServer
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    client = await encrypting(provider, web, token_endpoint_auth_method="client_secret_basic")
    web.respond("/jwks", status=500)

    response = await provider.token(client, grant_type="client_credentials")

    assert response.status_code == 200, response.text
    assert web.requests == []
