"""A signing key that is compromised: what it signed dies at once, and the next one signs."""

import asyncio
from typing import Any

import pytest

from authsvc.protocol.errors import Conflict
from authsvc.storage.signing_keys import KeyState
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider, header_of
from tests.signing.test_rotation import (
    JWKS_MAX_AGE,
    PROPAGATION,
    issue,
    keys_of,
    published_kids,
    rotate,
)


async def _revoke(provider: Provider, kid: str) -> Any:
    async with provider.resources.database.transaction() as tx:
        return await provider.resources.key_rotation.revoke(tx, kid, ORIGIN)


async def test_what_a_revoked_key_signed_is_invalid_at_once_everywhere(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    client, account = await replicas[0].create_client(), await replicas[0].create_user()
    tokens = await replicas[0].sign_in(client, account)
    machine = await issue(replicas[0], client)
    kid = header_of(machine)["kid"]
    for replica in replicas:
        assert (await replica.userinfo(tokens["access_token"])).status_code == 200

    await _revoke(replicas[0], kid)

    for replica in replicas:
        # With Redis the announcement is on its way; without it nobody needs one.
        async with asyncio.timeout(1 if backend.redis_url else 0.5):
            while (await replica.userinfo(tokens["access_token"])).status_code == 200:
                assert backend.redis_url
        assert (await replica.userinfo(tokens["access_token"])).status_code == 401
        for token in (tokens["access_token"], machine):
            assert await replica.introspect(client, token) == {"active": False}
        assert kid not in await published_kids(replica)
    # A refresh token was not signed by it: whoever holds one gets a token that is good.
    refreshed = await replicas[1].refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200
    renewed = refreshed.json()["access_token"]
    assert header_of(renewed)["kid"] != kid
    assert (await replicas[0].userinfo(renewed)).status_code == 200


async def test_the_next_key_takes_over_even_if_clients_do_not_know_it_yet(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    await rotate(sqlite_provider)
    keys = await keys_of(sqlite_provider)
    assert keys["next"][0].usable_at > sqlite_provider.clock.now()

    await _revoke(sqlite_provider, keys["active"][0].kid)

    assert header_of(await issue(sqlite_provider, client))["kid"] == keys["next"][0].kid
    after = await keys_of(sqlite_provider)
    assert len(after["next"]) == 1
    assert after["next"][0].usable_at > sqlite_provider.clock.now()


async def test_with_every_key_revoked_there_is_one_that_signs(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    keys = await keys_of(sqlite_provider)
    compromised = [key.kid for key in (*keys["next"], *keys["active"])]

    for kid in compromised:
        for _ in range(2):
            assert (await _revoke(sqlite_provider, kid)).state == "revoked"

    assert header_of(await issue(sqlite_provider, client))["kid"] not in compromised
    assert not set(compromised) & await published_kids(sqlite_provider)


@pytest.mark.parametrize("state", ["next", "retired"])
async def test_a_key_that_does_not_sign_is_revoked_without_touching_the_one_that_does(
    sqlite_provider: Provider, state: KeyState
) -> None:
    await rotate(sqlite_provider)
    keys = await keys_of(sqlite_provider)

    await _revoke(sqlite_provider, keys[state][0].kid)

    after = await keys_of(sqlite_provider)
    assert [key.kid for key in after["active"]] == [key.kid for key in keys["active"]]
    assert len(after["next"]) == 1


async def test_a_revoked_key_is_never_used_again(sqlite_provider: Provider) -> None:
    keys = await keys_of(sqlite_provider)
    kid = keys["active"][0].kid
    await _revoke(sqlite_provider, kid)

    async with sqlite_provider.resources.database.transaction() as tx:
        with pytest.raises(Conflict):
            await sqlite_provider.resources.key_rotation.retire(tx, kid, ORIGIN)
    for _ in range(3):
        sqlite_provider.clock.move(seconds=JWKS_MAX_AGE + PROPAGATION)
        await rotate(sqlite_provider)

    assert [key.kid for key in (await keys_of(sqlite_provider))["revoked"]] == [kid]
    events = await sqlite_provider.audit_events("keys.revoked")
    assert [event.details["kids"] for event in events] == [[kid]]
