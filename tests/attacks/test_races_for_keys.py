"""Keys, root secrets and client assertions, made or used many times at once."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from authsvc.clock import Clock
from authsvc.master_key import parse_master_keys
from authsvc.oauth.client_assertion import ASSERTION_TYPE
from authsvc.resources import open_resources, open_storage
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.storage.root_secrets import get_or_create_root_secret
from authsvc.storage.signing_keys import load_signing_keys
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.provider import ORIGIN, Provider

_ROOT = Path(__file__).resolve().parents[2]


async def test_of_two_rotations_at_once_one_rotates(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas: list[Provider] = [await open_providers(backend) for _ in range(2)]

    async def rotate(replica: Provider) -> int:
        async with replica.resources.database.transaction() as tx:
            outcomes = await replica.resources.key_rotation.rotate(tx, ORIGIN)
        return sum(outcome.active is not None for outcome in outcomes)

    rotated = await asyncio.gather(*(rotate(replica) for replica in replicas))

    assert sorted(rotated) == [0, len(ALGORITHMS)]
    async with replicas[0].resources.database.reading() as tx:
        keys = await load_signing_keys(tx)
    for alg in ALGORITHMS:
        states = Counter(key.state for key in keys if key.alg == alg)
        assert states == {"retired": 1, "active": 1, "next": 1}


async def test_replicas_that_start_at_once_on_an_empty_database_agree(
    empty_backend: Backend,
) -> None:
    async def start() -> tuple[bytes, list[str]]:
        async with open_resources(empty_backend.settings(database_timeout=60)) as resources:
            async with resources.database.transaction() as tx:
                made = await resources.key_rotation.ensure_first_keys(tx, ORIGIN)
            return resources.root.derive("test"), made

    started = await asyncio.gather(start(), start(), start())

    assert len({root for root, _ in started}) == 1
    assert sorted(len(made) for _, made in started) == [0, 0, 2 * len(ALGORITHMS)]


@pytest.mark.parametrize("empty_backend", ["sqlite", "postgres"], indirect=True)
async def test_processes_that_start_at_once_on_an_empty_database_agree(
    empty_backend: Backend,
) -> None:
    program = """
import asyncio, sys
from authsvc.config import load_settings
from authsvc.resources import open_resources
from authsvc.storage.audit import Origin

async def start():
    async with open_resources(load_settings()) as resources:
        async with resources.database.transaction() as tx:
            made = await resources.key_rotation.ensure_first_keys(tx, Origin("test"))
        print(resources.root.derive("test").hex(), len(made))

asyncio.run(start())
"""
    environment = {
        "AUTHSVC_DATABASE_URL": empty_backend.database_url,
        "AUTHSVC_DATABASE_TIMEOUT": "60",
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            cwd=_ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]

    outputs = [(await process.communicate())[0].decode().split() for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sorted(int(output[1]) for output in outputs) == [0, 2 * len(ALGORITHMS)]


async def test_the_root_secret_is_made_once_by_transactions_that_overlap(
    empty_backend: Backend,
) -> None:
    master_keys = parse_master_keys(MASTER_KEY)
    async with open_storage(empty_backend.settings()) as (database, _):

        async def make() -> bytes:
            async with database.transaction() as tx:
                root = await get_or_create_root_secret(tx, master_keys, now=Clock().now())
                return root.derive("test")

        made = await asyncio.gather(*(make() for _ in range(10)))

    assert len(set(made)) == 1


async def test_a_client_assertion_used_twenty_times_at_once_counts_once(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas: list[Provider] = [await open_providers(backend) for _ in range(2)]
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(ECAlgorithm(ECAlgorithm.SHA256).to_jwk(key.public_key()))
    client = await replicas[0].create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public]}
    )
    now = int(replicas[0].clock.now().timestamp())
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": replicas[0].settings.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid4()),
    }
    assertion = jwt.encode(claims, key, algorithm="ES256")

    async def ask(replica: Provider) -> httpx.Response:
        return await replica.token(
            client,
            grant_type="client_credentials",
            client_assertion_type=ASSERTION_TYPE,
            client_assertion=assertion,
        )

    responses = await asyncio.gather(*(ask(r) for _ in range(10) for r in replicas))

    assert Counter(r.status_code for r in responses) == {200: 1, 401: 19}
    assert {r.json()["error"] for r in responses if r.status_code == 401} == {"invalid_client"}


async def test_many_private_key_jwt_introspections_at_once_do_not_starve_each_other(
    provider: Provider,
) -> None:
    """Each has spent its assertion, so holds a connection, when it reads the token's person."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(ECAlgorithm(ECAlgorithm.SHA256).to_jwk(key.public_key()))
    client = await provider.create_client()
    asking = await provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public]}
    )
    tokens = await provider.sign_in(client, await provider.create_user())
    now = int(provider.clock.now().timestamp())

    async def introspect() -> httpx.Response:
        claims = {
            "iss": asking.client_id,
            "sub": asking.client_id,
            "aud": provider.settings.issuer,
            "exp": now + 60,
            "jti": str(uuid4()),
        }
        return await provider.http.post(
            "/introspect",
            data={
                "token": tokens["access_token"],
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": jwt.encode(claims, key, algorithm="ES256"),
            },
        )

    responses = await asyncio.gather(*(introspect() for _ in range(40)))

    assert Counter(r.status_code for r in responses) == {200: 40}
    assert all(r.json()["active"] for r in responses)
