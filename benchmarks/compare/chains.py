"""Cells whose requests follow from one another."""

import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks.compare.cell import Amount, Wrong
from benchmarks.compare.connection import Connection
from benchmarks.compare.drive import Refused, drive, drive_in_turns
from benchmarks.compare.person import Person, ask_json
from benchmarks.compare.rated import Rated
from benchmarks.compare.single import ask
from benchmarks.compare.target import Client, Target, client_credentials

_EACH_TURN = 60
"""Tokens that a connection gets before it revokes them."""


async def revocation(target: Target, amount: Amount) -> Rated:
    """Revoke tokens that were just issued and are revoked once; getting them is not timed."""
    form = client_credentials("ES256" if target.name == "ours" else None)
    kept: list[str] = []
    revoked: list[str] = []
    service: Client = target.known.service

    async def issue(connection: Connection, message: bytes) -> float:
        kept.append((await ask_json(connection, message))["access_token"])
        return 0.0

    async def revoke(connection: Connection) -> float:
        token = kept.pop()
        message = target.post("revoke", service, {"token": token})
        started = time.perf_counter()
        await ask_json(connection, message)
        took = time.perf_counter() - started
        revoked.append(token)
        return took

    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(Connection(target.port))
            for _ in range(amount.connections)
        ]
        minting = target.post("token", service, form)
        found = await drive_in_turns(
            [partial(issue, connection, minting) for connection in connections],
            [partial(revoke, connection) for connection in connections],
            warm=amount.warm,
            seconds=amount.seconds,
            each=_EACH_TURN,
        )
    for token in (revoked[0], revoked[-1]):
        if (await ask(target, "introspect", {"token": token}))["active"] is not False:
            raise Wrong(f"{target.name} says that a revoked token is active")
    return found


async def refresh(target: Target, amount: Amount) -> Rated:
    """Exchange a refresh token for the next one: each connection has a chain of its own."""
    async with AsyncExitStack() as stack:
        chains = [Chain(person) for person in await signed_in(stack, target, amount)]
        for chain in chains:
            await chain.begin()
        found = await drive(
            [chain.step for chain in chains], warm=amount.warm, seconds=amount.seconds
        )
        await chains[0].check(target)
    return found


async def code_flow(target: Target, amount: Amount) -> Rated:
    """Get a code with the session of a person who has allowed it before, and redeem it."""
    async with AsyncExitStack() as stack:
        people = await signed_in(stack, target, amount)
        before = people[0].requests

        async def step(person: Person) -> float:
            started = time.perf_counter()
            tokens = await person.redeem(await person.authorize())
            took = time.perf_counter() - started
            if not {"access_token", "id_token", "refresh_token"} <= tokens.keys():
                raise Refused(f"no more than {sorted(tokens)}")
            return took

        await step(people[0])
        if people[0].requests - before != 1:
            raise Wrong(f"{target.name} showed a page to a person who was signed in")
        steps = [partial(step, person) for person in people]
        return await drive(steps, warm=amount.warm, seconds=amount.seconds)


class Chain:
    """One refresh token after the other, of one sign-in."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._spent: list[str] = []
        self._tokens: dict[str, Any] = {}

    async def begin(self) -> None:
        """Get the first refresh token."""
        self._tokens = await self._person.redeem(await self._person.authorize(prompt="consent"))

    async def step(self) -> float:
        """Refresh once."""
        token = self._tokens["refresh_token"]
        started = time.perf_counter()
        self._tokens = await self._person.refresh(token)
        took = time.perf_counter() - started
        if self._tokens["refresh_token"] == token:
            raise Refused("the refresh token is still the same")
        self._spent = [*self._spent[-1:], token]
        return took

    async def check(self, target: Target) -> None:
        """Raise Wrong unless an old refresh token is refused, and then the whole chain is."""
        if "id_token" not in self._tokens:
            raise Wrong(f"{target.name} issued no ID token")
        for token in (self._spent[0], self._tokens["refresh_token"]):
            try:
                await self._person.refresh(token)
            except Refused as refused:
                if "invalid_grant" in str(refused):
                    continue
                raise
            raise Wrong(f"{target.name} honoured a refresh token that was spent, or stolen")


async def signed_in(stack: AsyncExitStack, target: Target, amount: Amount) -> list[Person]:
    """Return as many people as there are connections, each signed in and with consent given."""
    people = []
    for number in range(amount.connections):
        connection = await stack.enter_async_context(Connection(target.port))
        person = Person(target, target.known.people[number % len(target.known.people)], connection)
        await person.redeem(await person.authorize(prompt="consent"))
        people.append(person)
    return people
