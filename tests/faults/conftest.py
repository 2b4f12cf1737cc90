"""The servers and the replicas that these tests do harm to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import MASTER_KEY, Backend, prepare
from tests.devices import create_device_client
from tests.faults.relay import Relay
from tests.faults.replica import Replica
from tests.faults.world import World
from tests.mail_catcher import MailCatcher, open_mail_catcher
from tests.provider import open_provider
from tests.served import Served, serve
from tests.servers import start_postgres, start_redis

SETTINGS = {
    "AUTHSVC_MASTER_KEY": MASTER_KEY,
    "AUTHSVC_ISSUER": "http://127.0.0.1:8000",
    "AUTHSVC_DATABASE_POOL_SIZE": "4",
    "AUTHSVC_RATE_LIMITS": "off",
    "AUTHSVC_ARGON2_TIME_COST": "1",
    "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
    "AUTHSVC_ARGON2_PARALLELISM": "1",
    # What is promised is promised to an operator who sets nothing.
    "AUTHSVC_DATABASE_REQUEST_TIMEOUT_MS": "700",
    "AUTHSVC_JWKS_MAX_AGE": "1",
    "AUTHSVC_REGISTRATION": "open",
    "AUTHSVC_TRUSTED_PROXIES": "127.0.0.1/32",
}


@pytest.fixture(scope="session")
def _own_servers() -> Iterator[None]:
    """Servers of our own, whatever the environment names: these are harmed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AUTHSVC_TEST_DATABASE_URL", raising=False)
        patch.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
        yield


@pytest.fixture(scope="session")
async def mail() -> AsyncIterator[MailCatcher]:
    """Where the mail of all replicas goes."""
    async with open_mail_catcher() as catcher:
        yield catcher


@pytest.fixture(scope="session")
async def world(
    _own_servers: None, mail: MailCatcher, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Three replicas that hear each other, a client, an administrator, a person signed in."""
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(max_connections=40))
        redis, standby = [stack.enter_context(start_redis()) for _ in range(2)]
        database_url = postgres.create_database()
        await prepare(database_url)
        to_postgres = stack.enter_context(Relay(_port_of(postgres.url)))
        to_redis = stack.enter_context(Relay(_port_of(redis.url)))
        relayed = [database_url, database_url, _moved(database_url, to_postgres.port)]
        folders = [tmp_path_factory.mktemp(f"replica-{number}") for number in range(3)]
        redis_url = _moved(redis.url, to_redis.port)
        all_served = await asyncio.gather(
            *(
                asyncio.to_thread(_serve, stack, _variables(url, redis_url, mail), folder)
                for url, folder in zip(relayed, folders, strict=True)
            )
        )
        backend = Backend("postgres+redis", database_url, redis_url)
        async with AsyncExitStack() as replicas_stack:
            replicas = [Replica.of(served, backend.settings()) for served in all_served]
            for replica in replicas:
                replicas_stack.push_async_callback(replica.close)
            async with open_provider(backend.settings()) as operator:
                await operator.create_role("admin", "authsvc:admin")
                client = await operator.create_client()
                admin = await operator.create_client(roles=["admin"])
                device = await create_device_client(operator)
                account = await operator.create_user()
            signed_in = replicas[0].browser()
            await replicas[0].authorize(signed_in, client, account)
            opened = World(
                replicas,
                postgres,
                redis,
                standby,
                to_postgres,
                to_redis,
                database_url,
                client,
                admin,
                device,
                mail,
                account,
                signed_in,
            )
            await opened.until_well()
            yield opened


def _variables(database_url: str, redis_url: str, mail: MailCatcher) -> dict[str, str]:
    return {
        **SETTINGS,
        "AUTHSVC_DATABASE_URL": database_url,
        "AUTHSVC_REDIS_URL": redis_url,
        "AUTHSVC_SMTP_URL": mail.url(),
        "AUTHSVC_MAIL_FROM": "login@authsvc.example",
        "AUTHSVC_OUTBOUND_CA_FILE": str(mail.ca_file),
    }


def _serve(stack: ExitStack, variables: dict[str, str], folder: Path) -> Served:
    return stack.enter_context(serve(variables, folder))


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _moved(url: str, port: int) -> str:
    """Return ``url`` with another port."""
    return url.replace(f":{_port_of(url)}/", f":{port}/")
