"""The master key: rotated without losing anything, and bound to what it seals."""

import base64
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from authsvc.config import ConfigError
from authsvc.master_key import SealError, parse_master_keys
from authsvc.resources import open_resources
from authsvc.storage.database import Database
from authsvc.storage.root_secrets import reseal_root_secret
from authsvc.storage.schema import root_secrets, signing_keys
from tests.conftest import MASTER_KEY, Backend, OpenProvider
from tests.provider import ORIGIN, Provider

NEW_KEY = base64.urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")


async def _sealed(database: Database) -> list[bytes]:
    async with database.reading() as tx:
        keys = await tx.execute(select(signing_keys.c.private_key_sealed))
        roots = await tx.execute(select(root_secrets.c.secret_sealed))
        return [*keys.scalars(), *roots.scalars()]


async def test_the_master_key_is_rotated_and_the_old_one_forgotten(
    backend: Backend, open_providers: OpenProvider
) -> None:
    before: Provider = await open_providers(backend)
    client, account = await before.create_client(), await before.create_user()
    tokens = await before.sign_in(client, account)
    old = parse_master_keys(MASTER_KEY)
    assert all(old.is_newest(sealed) for sealed in await _sealed(before.resources.database))

    both = f"{NEW_KEY},{MASTER_KEY}"
    async with open_resources(backend.settings(master_key=SecretStr(both))) as resources:
        assert resources.root.derive("test") == before.resources.root.derive("test")
        async with resources.database.transaction() as tx:
            resealed = await resources.key_rotation.reseal(tx, ORIGIN)
            resealed += await reseal_root_secret(tx, resources.master_keys)
            assert await reseal_root_secret(tx, resources.master_keys) == 0
            assert await resources.key_rotation.reseal(tx, ORIGIN) == 0
        stored = await _sealed(resources.database)

    new = parse_master_keys(NEW_KEY)
    assert resealed == len(stored)
    assert all(new.is_newest(sealed) and not old.is_newest(sealed) for sealed in stored)
    after: Provider = await open_providers(backend, master_key=SecretStr(NEW_KEY))
    assert (await after.userinfo(tokens["access_token"])).status_code == 200
    assert (await after.refresh(client, tokens["refresh_token"])).status_code == 200
    await after.sign_in(client, account)


async def test_a_key_sealed_under_the_new_master_key_needs_no_old_one(
    backend: Backend, open_providers: OpenProvider
) -> None:
    both = SecretStr(f"{NEW_KEY} {MASTER_KEY}")
    async with open_resources(backend.settings(master_key=both)) as resources:
        async with resources.database.transaction() as tx:
            kid = await resources.key_rotation.generate(tx, "ES256", ORIGIN)
        async with resources.database.reading() as tx:
            sealed: bytes = (
                await tx.execute(
                    select(signing_keys.c.private_key_sealed).where(signing_keys.c.kid == kid)
                )
            ).scalar_one()

    opened = parse_master_keys(NEW_KEY).open(sealed, purpose="signing key")
    assert opened
    with pytest.raises(SealError):
        parse_master_keys(MASTER_KEY).open(sealed, purpose="signing key")


async def test_without_the_right_master_key_nothing_starts(sqlite_backend: Backend) -> None:
    with pytest.raises(ConfigError) as caught:
        async with open_resources(sqlite_backend.settings(master_key=SecretStr(NEW_KEY))):
            pass

    assert NEW_KEY not in str(caught.value)
    assert "master key" in str(caught.value)


async def test_a_sealed_value_in_another_column_does_not_open(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend)
    database = provider.resources.database
    async with database.reading() as tx:
        key = (await tx.execute(select(signing_keys.c.private_key_sealed).limit(1))).scalar_one()
        root = (await tx.execute(select(root_secrets.c.secret_sealed))).scalar_one()
    master_keys = provider.resources.master_keys
    for sealed, foreign in ((key, "root secret"), (root, "signing key"), (root, "idempotency")):
        with pytest.raises(SealError):
            master_keys.open(sealed, purpose=foreign)

    async with database.transaction() as tx:
        await tx.execute(update(root_secrets).values(secret_sealed=key))
    with pytest.raises(ConfigError):
        async with open_resources(sqlite_backend.settings()):
            pass


@pytest.mark.parametrize(
    "alter",
    [
        lambda sealed: sealed[:-1],
        lambda sealed: sealed + b"\0",
        lambda sealed: sealed[:8] + bytes(12) + sealed[20:],
        lambda sealed: sealed[:30] + bytes([sealed[30] ^ 1]) + sealed[31:],
        lambda sealed: bytes(8) + sealed[8:],
        lambda _: b"",
    ],
)
def test_a_sealed_value_that_was_altered_does_not_open(alter: Any) -> None:
    master_keys = parse_master_keys(MASTER_KEY)
    sealed = master_keys.seal(b"a private key", purpose="signing key")

    assert master_keys.open(sealed, purpose="signing key") == b"a private key"
    with pytest.raises(SealError):
        master_keys.open(alter(sealed), purpose="signing key")


@pytest.mark.parametrize("text", ["", "short", "!" * 43, MASTER_KEY[:-2], f"{MASTER_KEY},x"])
def test_what_is_no_master_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the next lines look at it
        parse_master_keys(text)

    assert not text or text not in str(caught.value)
    assert "master key" in str(caught.value)
