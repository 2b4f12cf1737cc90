"""The guard and the issuer that it depends on: keys, introspection, and when they fail."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest

from authsvc.guard import RemoteVerifier
from authsvc.protocol.errors import InvalidToken, TemporarilyUnavailable
from authsvc.signing import published_keys
from tests.conftest import Backend, OpenProvider
from tests.guarded import ORDERS, ResourceServer, active_key, machine_token, prepare
from tests.provider import ORIGIN, Provider, header_of

INTROSPECT, JWKS, METADATA = "/introspect", "/jwks", "/.well-known/openid-configuration"


@pytest.fixture
async def provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    running: Provider = await open_providers(sqlite_backend, resources={ORDERS: ["orders"]})
    return running


async def test_the_keys_are_fetched_once_for_many_and_not_for_each_invented_kid(
    provider: Provider,
) -> None:
    _, _, token = await prepare(provider)
    service = ResourceServer(provider, revocation="none")
    assert await asyncio.gather(*(service.status(token) for _ in range(50))) == [200] * 50
    assert service.wire.counted[JWKS] == 1

    invented = [
        jwt.encode({}, "k" * 32, headers={"typ": "at+jwt", "kid": str(n)}) for n in range(50)
    ]
    assert await asyncio.gather(*map(service.status, invented)) == [401] * 50
    assert service.wire.counted[JWKS] == 1


async def test_a_key_that_is_new_is_found(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _, token = await prepare(provider)
    service = ResourceServer(provider)
    assert await service.status(token) == 200
    async with provider.resources.database.transaction() as tx:
        kid = (await active_key(provider)).kid
        await provider.resources.key_rotation.revoke(tx, kid, ORIGIN)
        await provider.resources.key_rotation.revoke(tx, (await active_key(provider)).kid, ORIGIN)
    fresh = await machine_token(provider, client)
    assert header_of(fresh)["kid"] != kid

    monkeypatch.setattr(published_keys, "REFETCH_PAUSE", 0.0)

    assert await service.status(fresh) == 200
    assert await service.status(token) == 401


def answers(status: int = 200, **options: Any) -> httpx.Response:
    return httpx.Response(status, **options)


BAD_ANSWERS: tuple[tuple[str, httpx.Response], ...] = (
    (METADATA, answers(500)),
    (METADATA, answers(json=[])),
    (METADATA, answers(text="<html>")),
    (METADATA, answers(json={"issuer": "https://evil.example", "jwks_uri": "x"})),
    (METADATA, answers(302, headers={"Location": "https://evil.example"})),
    (JWKS, answers(503)),
    (JWKS, answers(json={})),
    (JWKS, answers(json={"keys": 5})),
    (INTROSPECT, answers(401, json={"error": "invalid_client"})),
    (INTROSPECT, answers(500, json={"active": True})),
    (INTROSPECT, answers(text="yes")),
    (INTROSPECT, answers(json=[])),
    (INTROSPECT, answers(json={"active": "true"})),
    (INTROSPECT, answers(json={"active": 1})),
    (INTROSPECT, answers(json={"active": True, "permissions": ["orders:read"]})),
)


async def test_an_issuer_that_does_not_answer_well_is_503_and_never_a_yes(
    provider: Provider,
) -> None:
    _, _, token = await prepare(provider)
    for path, answer in BAD_ANSWERS:
        service = ResourceServer(provider)
        service.wire.answers[path] = answer

        response = await service.get(token)

        assert response.status_code == 503, (path, answer.content)
        assert response.json()["error"] == "temporarily_unavailable"
        assert int(response.headers["retry-after"]) >= 1


async def test_an_issuer_that_is_away_is_503_and_is_not_asked_by_everybody(
    provider: Provider,
) -> None:
    _, _, token = await prepare(provider)
    service = ResourceServer(provider)
    service.wire.cut = True

    statuses = await asyncio.gather(*(service.status(token) for _ in range(50)))

    assert statuses == [503] * 50
    assert service.wire.counted.total() == 1


async def test_stale_keys_are_not_trusted_while_the_issuer_is_away(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, token = await prepare(provider)
    fresh = ResourceServer(provider, revocation="none")
    assert await fresh.status(token) == 200
    monkeypatch.setattr(published_keys, "_LONGEST_MAX_AGE", 0.0)
    stale = ResourceServer(provider, revocation="none")
    assert await stale.status(token) == 200

    fresh.wire.cut = stale.wire.cut = True

    assert await fresh.status(token) == 200
    assert await stale.status(token) == 503


async def test_an_issuer_on_tls_does_not_send_us_out_of_it() -> None:
    issuer = "https://id.example"

    async def metadata(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"issuer": issuer, "jwks_uri": "http://id.example/jwks"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(metadata)) as http:
        verifier = RemoteVerifier(issuer, client_id="a", client_secret="b", http=http)
        token = jwt.encode({}, "k" * 32, headers={"typ": "at+jwt", "kid": "1"})
        with pytest.raises(TemporarilyUnavailable):
            await verifier.verify(token)


async def test_a_client_of_its_own_is_closed_with_the_verifier() -> None:
    async with RemoteVerifier("http://127.0.0.1:9", client_id="a", client_secret="b") as verifier:
        with pytest.raises(InvalidToken):
            await verifier.verify("garbage")
    assert verifier._http.is_closed


@pytest.mark.parametrize(
    "options",
    [
        {"revocation": "redis"},
        {"redis_url": "redis://127.0.0.1"},
        {"revocation": "redis", "redis_url": "redis+cluster://127.0.0.1"},
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(?i)redis"):
        RemoteVerifier("http://127.0.0.1", client_id="a", client_secret="b", **options)
