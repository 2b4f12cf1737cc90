"""Client authentication with client_secret_jwt (RFC 7523 §3, OpenID Connect Core §9)."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from authsvc.protocol.errors import InvalidRequest
from authsvc.storage.schema import client_secrets
from tests.answers import check_error
from tests.client_keys import assertion_parameters, claims_for, encode, public_jwk, sign
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.provider import ORIGIN, SECRET, Provider, TestClient, claims_of

NEWER_KEY = "_" * 42 + "8"


def keyed(claims: dict[str, Any], secret: str = SECRET, alg: str = "HS256", **header: Any) -> str:
    """Return the claims with a MAC by hand (RFC 7515 §5.1, RFC 7518 §3.2)."""
    head = encode(orjson.dumps({"alg": alg, "typ": "JWT", **header}))
    signing_input = f"{head}.{encode(orjson.dumps(claims))}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    mac = hmac.new(secret.encode(), signing_input.encode(), digest).digest()
    return f"{signing_input}.{encode(mac)}"


async def create_client(provider: Provider, **metadata: Any) -> TestClient:
    """Create a client that authenticates with client_secret_jwt."""
    return await provider.create_client(
        **{"token_endpoint_auth_method": "client_secret_jwt", **metadata}
    )


async def present(provider: Provider, assertion: str, **more: str) -> httpx.Response:
    """Ask for a token with ``assertion``."""
    data = {"grant_type": "client_credentials", **assertion_parameters(assertion), **more}
    return await provider.http.post("/token", data=data)


async def works(provider: Provider, client: TestClient, secret: str = SECRET) -> bool:
    """Tell whether the client can authenticate with ``secret``."""
    response = await present(provider, keyed(claims_for(client.client_id), secret))
    if response.status_code != 200:
        check_error(response, 401, "invalid_client")
    return response.status_code == 200


@pytest.mark.parametrize("alg", [None, "HS256"])
@pytest.mark.parametrize("audience", ["", "/token"])
async def test_a_client_authenticates_with_its_secret_as_the_key(
    provider: Provider, alg: str | None, audience: str
) -> None:
    client = await create_client(provider, token_endpoint_auth_signing_alg=alg)
    claims = claims_for(client.client_id, aud=provider.settings.issuer + audience)
    response = await present(provider, keyed(claims))
    assert response.status_code == 200, response.text
    assert claims_of(response.json()["access_token"])["client_id"] == client.client_id


@pytest.mark.parametrize("endpoint", ["/introspect", "/revoke"])
async def test_it_works_at_every_endpoint(sqlite_provider: Provider, endpoint: str) -> None:
    client = await create_client(sqlite_provider)
    data = {"token": "x", **assertion_parameters(keyed(claims_for(client.client_id)))}
    assert (await sqlite_provider.http.post(endpoint, data=data)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"exp": 4_000_000_000},
        {"exp": "soon"},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"jti": None},
        {"jti": ""},
        {"jti": 5},
        {"jti": "x" * 256},
    ],
)
async def test_each_claim_is_checked(sqlite_provider: Provider, changes: dict[str, Any]) -> None:
    client = await create_client(sqlite_provider)
    response = await present(sqlite_provider, keyed(claims_for(client.client_id, **changes)))
    check_error(response, 401, "invalid_client")


async def test_a_wrong_secret_and_other_algorithms_are_refused(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider)
    claims = claims_for(client.client_id)
    head = encode(b'{"alg":"none"}')
    unsigned = f"{head}.{encode(orjson.dumps(claims))}."
    for assertion in (
        keyed(claims, "x" * 40),
        keyed(claims, ""),
        keyed(claims, alg="HS384"),
        keyed(claims, alg="HS512"),
        keyed(claims)[:-1],
        unsigned,
    ):
        check_error(await present(sqlite_provider, assertion), 401, "invalid_client")
    assert await works(sqlite_provider, client)


async def test_the_two_kinds_of_assertion_are_not_mixed_up(sqlite_provider: Provider) -> None:
    """RFC 8725 §2.1: a public key is no secret, and a secret no public key."""
    jwk = public_jwk("RS256")
    by_secret = await create_client(sqlite_provider, jwks={"keys": [jwk]})
    by_key = await sqlite_provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]}
    )
    by_basic = await sqlite_provider.create_client(jwks={"keys": [jwk]})
    for assertion in (
        sign(claims_for(by_secret.client_id), "RS256"),
        keyed(claims_for(by_key.client_id), orjson.dumps(jwk).decode()),
        keyed(claims_for(by_key.client_id), jwk["n"]),
        keyed(claims_for(by_key.client_id), SECRET),
        keyed(claims_for(by_basic.client_id), SECRET),
        sign(claims_for(by_basic.client_id), "RS256"),
    ):
        check_error(await present(sqlite_provider, assertion), 401, "invalid_client")
    response = await sqlite_provider.token(by_secret, grant_type="client_credentials")
    check_error(response, 401, "invalid_client")


async def test_an_assertion_is_used_once_by_any_replica(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(sqlite_backend)
    two: Provider = await open_providers(sqlite_backend)
    client = await create_client(one)
    assertion = keyed(claims_for(client.client_id))
    assert (await present(one, assertion)).status_code == 200
    for replica in (two, one):
        check_error(await present(replica, assertion), 401, "invalid_client")


async def test_a_secret_for_hmac_has_256_bits(sqlite_provider: Provider) -> None:
    administration = sqlite_provider.server.client_administration
    metadata = await administration.check(
        {"token_endpoint_auth_method": "client_secret_jwt", "grant_types": ["client_credentials"]}
    )
    async with sqlite_provider.resources.database.transaction() as tx:
        with pytest.raises(InvalidRequest, match="32 to 256"):
            await administration.create(tx, metadata, ORIGIN, client_secret="x" * 31)
        given = await administration.create(tx, metadata, ORIGIN, client_secret="x" * 32)
        made = await administration.create(tx, metadata, ORIGIN)
    assert given["client_secret"] == "x" * 32
    assert len(made["client_secret"]) >= 43


async def sealed_secrets(provider: Provider, client: TestClient) -> list[bytes | None]:
    """Return what is stored beside the hashes of the client's secrets."""
    columns = client_secrets.c
    query = select(columns.secret_sealed).where(columns.client_id == client.client_id)
    async with provider.resources.database.reading() as tx:
        return list((await tx.execute(query)).scalars())


async def test_only_a_client_that_signs_with_its_secret_has_it_kept_and_sealed(
    sqlite_provider: Provider,
) -> None:
    signing, basic = await create_client(sqlite_provider), await sqlite_provider.create_client()
    assert await sealed_secrets(sqlite_provider, basic) == [None]
    (sealed,) = await sealed_secrets(sqlite_provider, signing)
    assert sealed is not None
    assert SECRET.encode() not in sealed


async def test_a_rotated_secret_overlaps(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider)
    administration = sqlite_provider.server.client_administration
    async with sqlite_provider.resources.database.transaction() as tx:
        rotated = await administration.rotate_secret(
            tx, client.client_id, ORIGIN, overlap=timedelta(seconds=30)
        )
    new = rotated["client_secret"]
    assert await works(sqlite_provider, client)
    assert await works(sqlite_provider, client, new)
    sqlite_provider.clock.move(seconds=31)
    at = int(sqlite_provider.clock.now().timestamp())
    for secret, status in ((SECRET, 401), (new, 200)):
        claims = claims_for(client.client_id, iat=at, exp=at + 60)
        assert (await present(sqlite_provider, keyed(claims, secret))).status_code == status


async def test_a_client_that_turns_to_signing_gets_a_secret_to_sign_with(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    administration = sqlite_provider.server.client_administration
    change = await administration.check_change(
        client.client_id, {"token_endpoint_auth_method": "client_secret_jwt"}
    )
    async with sqlite_provider.resources.database.transaction() as tx:
        updated = await administration.update(tx, client.client_id, change, ORIGIN)
    assert not await works(sqlite_provider, client)
    assert await works(sqlite_provider, client, updated["client_secret"])


async def test_secrets_are_sealed_anew_under_a_new_master_key(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    old: Provider = await open_providers(sqlite_backend)
    client = await create_client(old)
    before = await sealed_secrets(old, client)
    both: Provider = await open_providers(
        sqlite_backend, master_key=SecretStr(f"{NEWER_KEY},{MASTER_KEY}")
    )
    assert await works(both, client)
    for expected in (1, 0):
        async with both.resources.database.transaction() as tx:
            assert await both.server.client_secrets.reseal(tx) == expected
    assert await sealed_secrets(both, client) != before
    assert await works(both, client)
