"""A service of somebody else's behind the guard lets in whom it should, and nobody else."""

import base64
import time
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.signing.keyring import SigningKey
from tests.conftest import Backend, OpenProvider
from tests.guarded import ORDERS, ResourceServer, active_key, machine_token, prepare
from tests.provider import ORIGIN, Provider, claims_of, header_of

INTROSPECT = "/introspect"


@pytest.fixture
async def provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    running: Provider = await open_providers(sqlite_backend, resources={ORDERS: ["orders"]})
    return running


async def test_a_token_with_the_permission_is_let_in(provider: Provider) -> None:
    client, account, token = await prepare(provider)
    service = ResourceServer(provider)

    person = await service.get(token)
    machine = await service.get(await machine_token(provider, client))

    assert person.json() == {
        "subject": account.id,
        "client_id": "app",
        "is_client": False,
        "roles": ["buyer"],
        "permissions": ["orders:read"],
    }
    assert machine.json()["is_client"] is True


async def test_the_refusals_are_those_of_rfc_6750(provider: Provider) -> None:
    client, _, token = await prepare(provider)
    powerless = await provider.create_client(resources=[ORDERS])
    service = ResourceServer(provider)

    none = await service.http.get("/orders")
    basic = await service.http.get("/orders", auth=("a", "b"))
    query = await service.http.get("/orders", params={"access_token": token})
    both = await service.get(token, params={"access_token": token})
    malformed = await service.http.get("/orders", headers={"Authorization": "Bearer a b"})
    elsewhere = await service.get(await machine_token(provider, client, resource=None))
    lacking = await service.get(await machine_token(provider, powerless))
    two = await service.http.get("/orders", headers=[("Authorization", f"Bearer {token}")] * 2)

    for response in (none, basic, query):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'
    assert [r.status_code for r in (both, malformed, two)] == [400, 400, 400]
    assert 'error="invalid_request"' in malformed.headers["www-authenticate"]
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in elsewhere.headers["www-authenticate"]
    assert (lacking.status_code, lacking.json()["error"]) == (403, "insufficient_scope")
    assert lacking.headers["cache-control"] == "no-store"


async def test_with_introspection_what_is_taken_away_counts_no_more_at_once(
    provider: Provider,
) -> None:
    client, account, token = await prepare(provider)
    machine = await machine_token(provider, client)
    revoked = await machine_token(provider, client)
    service = ResourceServer(provider)
    roles, database = provider.resources.role_administration, provider.resources.database
    assert [await service.status(t) for t in (token, machine, revoked)] == [200] * 3

    await provider.revoke(client, revoked)
    async with database.transaction() as tx:
        await roles.unassign(tx, "buyer", "client", "app", ORIGIN)
    assert [await service.status(t) for t in (token, machine, revoked)] == [200, 403, 401]

    async with database.transaction() as tx:
        await provider.resources.people.disable(tx, account.id, ORIGIN)
    assert await service.status(token) == 401


async def test_without_a_check_of_revocation_a_token_is_good_until_it_expires(
    provider: Provider,
) -> None:
    client, _, token = await prepare(provider)
    service = ResourceServer(provider, revocation="none")

    await provider.revoke(client, token)
    assert await service.status(token) == 200
    assert service.wire.counted[INTROSPECT] == 0

    provider.clock.move(seconds=305)
    assert await service.status(token) == 200
    provider.clock.move(seconds=10)
    assert await service.status(token) == 401


def forgeries(token: str, key: SigningKey) -> dict[str, str]:
    claims, header = claims_of(token), header_of(token)
    more = {**claims, "permissions": ["orders:read", "orders:write"]}
    other = ec.generate_private_key(ec.SECP256R1())
    own = {"typ": "at+jwt", "kid": key.kid}
    public = orjson.dumps(dict(key.public_jwk))

    def encode(part: Any) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=")

    def signed(changes: dict[str, Any] | None = None, **headers: Any) -> str:
        return jwt.encode(
            {**claims, **(changes or {})}, key.private_key, "ES256", headers={**own, **headers}
        )

    head, body, signature = token.split(".")
    return {
        "no signature": f"{head}.{body}.",
        "alg none": f"{encode({**header, 'alg': 'none'})}.{body}.",
        "HS256 under the public key": jwt.encode(
            claims, base64.b64encode(public), "HS256", headers=own
        ),
        "another key": jwt.encode(claims, other, "ES256", headers=own),
        "its own key in the header": jwt.encode(
            claims,
            other,
            "ES256",
            headers={"typ": "at+jwt", "jwk": jwt.algorithms.ECAlgorithm.to_jwk(
                other.public_key(), as_dict=True)},
        ),
        "changed claims": f"{head}.{encode(more)}.{signature}",
        "another type": signed(typ="JWT"),
        "no type": signed(typ=None),
        "critical extension": signed(crit=["x"], x=1),
        "another issuer": signed({"iss": "https://evil.example"}),
        "no audience": signed({"aud": None}),
        "expired": signed({"exp": int(time.time()) - 60}),
        "no expiry": signed({"exp": None}),
        "permissions that are none": signed({"permissions": 5}),
        "kid that is no text": f"{encode({**header, 'kid': 5})}.{body}.{signature}",
        "kid of nobody": f"{encode({**header, 'kid': 'nobody'})}.{body}.{signature}",
        "too long": signed({"x": "x" * 20_000}),
        "garbage": "a.b.c",
        "no JWT": "garbage",
    }  # fmt: skip


@pytest.mark.parametrize("revocation", ["none", "introspection"])
async def test_a_forged_token_is_refused_before_anybody_is_asked(
    provider: Provider, revocation: str
) -> None:
    _, _, token = await prepare(provider)
    service = ResourceServer(provider, revocation=revocation)
    for name, forged in forgeries(token, await active_key(provider)).items():
        response = await service.get(forged)

        assert response.status_code == 401, name
        assert response.json()["error"] == "invalid_token"
    assert service.wire.counted[INTROSPECT] == 0


async def test_an_id_token_is_no_access_token(provider: Provider) -> None:
    client, account, _ = await prepare(provider)
    tokens = await provider.sign_in(client, account)

    assert await ResourceServer(provider, revocation="none").status(tokens["id_token"]) == 401
