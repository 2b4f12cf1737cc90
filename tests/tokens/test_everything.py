"""Everything is revoked: in parts, interrupted, while people sign in, and what may register."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from authsvc.storage.identifiers import new_id
from authsvc.storage.refresh_tokens import TokenFamily, count_living_families, create_family
from authsvc.storage.schema import revocations
from authsvc.storage.sessions import create_session, list_sessions
from authsvc.tokens.everything import Ended, revoke_everything
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Provider
from tests.registration import initial_token, register

PEOPLE = 230
"""More than two batches of a hundred."""


@pytest.fixture(params=["sqlite", "postgres+redis"])
async def provider(
    request: pytest.FixtureRequest,
    make_backend: Callable[[BackendName], Backend],
    open_providers: OpenProvider,
) -> Provider:
    """A provider without memory of revocations, and one with it."""
    running: Provider = await open_providers(make_backend(request.param), registration="token")
    return running


async def end_all(provider: Provider) -> Ended:
    """Revoke everything, as the command does."""
    resources = provider.resources
    return await revoke_everything(
        resources.database, resources.revoker, resources.audit, resources.clock, ORIGIN
    )


async def sign_in_many(provider: Provider, client_id: str) -> None:
    """Let people sign in, each with a session and a family, and one who has nothing."""
    resources = provider.resources
    now = resources.clock.now()
    later = now + timedelta(hours=1)
    async with resources.database.transaction() as tx:
        for number in range(PEOPLE):
            user = await resources.people.create(tx, ORIGIN, username=f"person-of-{number}")
            session = await create_session(
                tx,
                cookie_hash=number.to_bytes(32, "big"),
                user_id=user.id,
                acr="1",
                amr=["pwd"],
                address="",
                user_agent="",
                now=now,
                expires_at=later,
            )
            family = TokenFamily(
                new_id(now), client_id, user.id, session.id, "openid", [], None, now, "1",
                ["pwd"], now, later,
            )  # fmt: skip
            await create_family(tx, family)
        await resources.people.create(tx, ORIGIN, username="nobody")


async def count_living(provider: Provider) -> tuple[int, int]:
    """Return how many sessions and families live."""
    now = provider.clock.now()
    async with provider.resources.database.reading() as tx:
        sessions = await list_sessions(tx, user_id=None, after=None, limit=2 * PEOPLE, now=now)
        return len(sessions), await count_living_families(tx, now=now)


async def test_more_people_than_fit_into_one_transaction_end_and_who_has_nothing_costs_nothing(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    await sign_in_many(provider, client.client_id)

    ended = await end_all(provider)

    assert ended == Ended(people=PEOPLE, clients=1, sessions=PEOPLE, families=PEOPLE)
    assert await count_living(provider) == (0, 0)
    async with provider.resources.database.reading() as tx:
        entries = await tx.execute(select(func.count()).select_from(revocations))
        assert entries.scalar_one() == 3 * PEOPLE + 1


async def test_interrupted_it_is_on_record_and_repeated_it_does_the_rest(
    make_backend: Callable[[BackendName], Backend], open_providers: OpenProvider
) -> None:
    # Not on SQLite: there who is cancelled while it writes may hold the file for a while, and
    # the command's process ends.
    provider: Provider = await open_providers(make_backend("postgres+redis"))
    client = await provider.create_client()
    await sign_in_many(provider, client.client_id)

    task = asyncio.create_task(end_all(provider))
    while (await count_living(provider))[0] == PEOPLE:  # noqa: ASYNC110  # it is another task
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    living = await count_living(provider)
    recorded = await provider.audit_events("tokens.everything_revoked")

    assert living[0] == living[1] > 0
    assert len(recorded) == 1
    assert (await end_all(provider)).people == living[0]
    assert await count_living(provider) == (0, 0)


async def test_who_is_signed_in_by_offline_access_alone_is_found_too(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    tokens = await provider.sign_in(client, account, browser)
    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")

    assert (await end_all(provider)).people == 1
    refused = await provider.refresh(client, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"


async def test_a_code_that_was_not_redeemed_is_good_no_more(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    answer = await provider.authorize(provider.browser(), client, account)

    await end_all(provider)

    assert (await provider.redeem(client, answer["code"])).json()["error"] == "invalid_grant"


async def test_an_initial_access_token_registers_nobody_any_more(provider: Provider) -> None:
    token = await initial_token(provider, uses=None)
    assert (await register(provider, token=token)).status_code == 201

    assert (await end_all(provider)).initial_access_tokens == 1
    assert (await register(provider, token=token)).status_code == 401


async def test_a_service_under_load_goes_on_and_ends_without_deadlock(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = [await provider.sign_in(client, account) for _ in range(4)]

    async def go_on(refresh_token: str) -> int:
        while True:
            response = await provider.refresh(client, refresh_token)
            if response.status_code != 200:
                return response.status_code
            refresh_token = response.json()["refresh_token"]

    async with asyncio.timeout(30):
        statuses, _ = await asyncio.gather(
            asyncio.gather(*(go_on(token["refresh_token"]) for token in tokens)),
            end_all(provider),
        )
    assert statuses == [400] * len(tokens)
    renewed = await provider.sign_in(client, account)
    assert (await provider.userinfo(renewed["access_token"])).status_code == 200
