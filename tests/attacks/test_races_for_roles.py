"""Roles, assigned, taken away, inherited and deleted all at once."""

import asyncio
from collections.abc import Awaitable

import pytest

from authsvc.protocol.errors import Conflict, NotFound, OAuthError
from tests.provider import ORIGIN, Account, Provider


async def test_roles_assigned_and_taken_away_at_once_end_as_one_of_both(provider: Provider) -> None:
    await provider.create_role("editor", "articles:write")
    account = await provider.create_user()
    roles = provider.resources.role_administration

    async def change(assigns: bool) -> bool:
        async with provider.resources.database.transaction() as tx:
            act = roles.assign if assigns else roles.unassign
            return await act(tx, "editor", "user", account.id, ORIGIN)

    outcomes = await asyncio.gather(*(change(number % 2 == 0) for number in range(20)))

    given = sum(outcomes[::2])
    taken = sum(outcomes[1::2])
    async with provider.resources.database.transaction() as tx:
        held = await roles.unassign(tx, "editor", "user", account.id, ORIGIN)
    assert given - taken == int(held)
    events = await provider.audit_events()
    assert len([e for e in events if e.event == "role.assigned"]) == given


async def test_two_roles_made_to_inherit_from_each_other_at_once_make_no_circle(
    provider: Provider,
) -> None:
    roles = provider.resources.role_administration
    for number in range(5):
        one, other = f"one{number}", f"other{number}"
        await provider.create_role(one)
        await provider.create_role(other)

        async def inherit(name: str, parent: str) -> None:
            async with provider.resources.database.transaction() as tx:
                await roles.inherit(tx, name, parent, ORIGIN)

        outcomes = await asyncio.gather(
            inherit(one, other), inherit(other, one), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes if outcome] == [Conflict]


async def test_a_role_deleted_while_it_is_assigned_is_not_found(provider: Provider) -> None:
    roles, database = provider.resources.role_administration, provider.resources.database
    accounts = [await provider.create_user() for _ in range(10)]

    async def assign(account: Account) -> None:
        async with database.transaction() as tx:
            await roles.assign(tx, "fleeting", "user", account.id, ORIGIN)

    for _ in range(3):
        await provider.create_role("fleeting")

        async def delete() -> None:
            async with database.transaction() as tx:
                await roles.delete(tx, "fleeting", ORIGIN)

        work: list[Awaitable[None]] = [assign(account) for account in accounts]
        work.insert(5, delete())
        outcomes = await asyncio.gather(*work, return_exceptions=True)

        assert all(outcome is None or isinstance(outcome, OAuthError) for outcome in outcomes)
        async with database.reading() as tx:
            with pytest.raises(NotFound):
                await roles.get(tx, "fleeting")
