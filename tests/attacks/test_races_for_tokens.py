"""Many requests for one thing at once, with real commits: one wins, and nothing forks."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from tests.conftest import Backend, OpenProvider
from tests.provider import Account, Provider, TestClient, claims_of

AT_ONCE = 50


async def _code(provider: Provider, client: TestClient, account: Account, **parameters: Any) -> str:
    answer = await provider.authorize(provider.browser(), client, account, **parameters)
    return answer["code"]


def _statuses(responses: list[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((r.status_code, r.json().get("error", "")) for r in responses)


async def test_of_fifty_that_redeem_one_code_one_wins_and_the_replays_revoke_what_it_got(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    code = await _code(provider, client, await provider.create_user())

    responses = await asyncio.gather(*(provider.redeem(client, code) for _ in range(AT_ONCE)))

    assert _statuses(responses) == {(200, ""): 1, (400, "invalid_grant"): AT_ONCE - 1}
    tokens = next(r.json() for r in responses if r.status_code == 200)
    assert (await provider.introspect(client, tokens["access_token"])) == {"active": False}
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    refreshed = await provider.refresh(client, tokens["refresh_token"])
    assert refreshed.json()["error"] == "invalid_grant"
    assert len(await provider.audit_events("code.replayed")) == AT_ONCE - 1


async def test_replays_revoke_the_access_token_of_a_code_that_gave_no_refresh_token(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    code = await _code(provider, client, await provider.create_user(), scope="openid")

    responses = await asyncio.gather(*(provider.redeem(client, code) for _ in range(10)))

    (tokens,) = [r.json() for r in responses if r.status_code == 200]
    assert "refresh_token" not in tokens
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401


async def test_fifty_that_refresh_one_token_all_get_the_same_successor_and_it_works(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())

    responses = await asyncio.gather(
        *(provider.refresh(client, tokens["refresh_token"]) for _ in range(AT_ONCE))
    )

    assert _statuses(responses) == {(200, ""): AT_ONCE}
    successors = {r.json()["refresh_token"] for r in responses}
    assert len(successors) == 1
    assert tokens["refresh_token"] not in successors
    access = [r.json()["access_token"] for r in responses]
    answers = await asyncio.gather(*(provider.userinfo(token) for token in access))
    assert {answer.status_code for answer in answers} == {200}
    (successor,) = successors
    assert (await provider.refresh(client, successor)).status_code == 200


async def test_without_a_window_one_of_fifty_refreshes_wins_and_the_family_dies(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend, refresh_window=0)
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())

    responses = await asyncio.gather(
        *(provider.refresh(client, tokens["refresh_token"]) for _ in range(AT_ONCE))
    )

    assert _statuses(responses) == {(200, ""): 1, (400, "invalid_grant"): AT_ONCE - 1}
    won = next(r.json() for r in responses if r.status_code == 200)
    assert (await provider.userinfo(won["access_token"])).status_code == 401
    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert (await provider.refresh(client, won["refresh_token"])).status_code == 400
    assert len(await provider.audit_events("refresh_token.reused")) == 1


async def test_without_a_window_a_slow_clock_gets_no_successor_twice(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, refresh_window=0)
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    assert (await provider.refresh(client, tokens["refresh_token"])).status_code == 200

    # As a request that began before the winner's and came to the token after it, or a
    # replica whose clock is behind.
    provider.clock.move(seconds=-1)
    repeated = await provider.refresh(client, tokens["refresh_token"])

    assert repeated.json()["error"] == "invalid_grant"


async def test_two_replicas_redeem_one_code_once(
    backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(backend)
    other: Provider = await open_providers(backend)
    client = await one.create_client()
    code = await _code(one, client, await one.create_user())

    responses = await asyncio.gather(
        *(replica.redeem(client, code) for _ in range(AT_ONCE // 2) for replica in (one, other))
    )

    assert _statuses(responses) == {(200, ""): 1, (400, "invalid_grant"): AT_ONCE - 1}
    tokens = next(r.json() for r in responses if r.status_code == 200)
    for replica in (one, other):
        assert (await replica.refresh(client, tokens["refresh_token"])).status_code == 400
        await _until_refused(replica, tokens["access_token"])


async def test_two_replicas_give_one_successor(
    backend: Backend, open_providers: OpenProvider
) -> None:
    one: Provider = await open_providers(backend)
    other: Provider = await open_providers(backend)
    client = await one.create_client()
    tokens = await one.sign_in(client, await one.create_user())

    responses = await asyncio.gather(
        *(
            replica.refresh(client, tokens["refresh_token"])
            for _ in range(AT_ONCE // 2)
            for replica in (one, other)
        )
    )

    assert _statuses(responses) == {(200, ""): AT_ONCE}
    (successor,) = {r.json()["refresh_token"] for r in responses}
    assert (await other.refresh(client, successor)).status_code == 200


async def test_of_refreshes_while_a_stolen_token_is_replayed_nothing_survives(
    provider: Provider,
) -> None:
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    first = (await provider.refresh(client, tokens["refresh_token"])).json()
    second = (await provider.refresh(client, first["refresh_token"])).json()

    responses = await asyncio.gather(
        *(provider.refresh(client, second["refresh_token"]) for _ in range(10)),
        provider.refresh(client, tokens["refresh_token"]),
        *(provider.refresh(client, second["refresh_token"]) for _ in range(10)),
    )

    for response in responses:
        if response.status_code == 200:
            issued = response.json()
            assert (await provider.userinfo(issued["access_token"])).status_code == 401
            assert (await provider.refresh(client, issued["refresh_token"])).status_code == 400
    assert claims_of(second["access_token"])["sub"]
    assert (await provider.userinfo(second["access_token"])).status_code == 401


async def test_a_change_of_roles_under_load_does_not_starve_the_token_endpoint(
    provider: Provider,
) -> None:
    """Requests hold a connection and load the changed roles with another: no deadlock."""
    client = await provider.create_client()
    account = await provider.create_user()
    codes = [await _code(provider, client, account) for _ in range(AT_ONCE)]
    await provider.create_role("late", "articles:read")

    responses = await asyncio.gather(*(provider.redeem(client, code) for code in codes))

    assert _statuses(responses) == {(200, ""): AT_ONCE}


async def _until_refused(provider: Provider, access_token: str) -> None:
    """Wait for the announcement; it takes a moment over Redis, none over the database."""
    async with asyncio.timeout(3):
        while True:
            if (await provider.userinfo(access_token)).status_code == 401:
                return
            await asyncio.sleep(0.01)
