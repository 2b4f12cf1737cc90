"""Password logins, as fast as Argon2 lets them be, and tokens beside a flood of them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.compare import wrk
from benchmarks.compare.cell import Amount, Wrong
from benchmarks.compare.chains import signed_in
from benchmarks.compare.connection import Connection, ConnectionLost
from benchmarks.compare.drive import Refused, drive
from benchmarks.compare.person import Person
from benchmarks.compare.processes import on_cores
from benchmarks.compare.rated import Rated
from benchmarks.compare.target import Target, client_credentials

_FLOOD = 40
"""Browsers that sign in again and again: more than the queue and the worker have places."""

_CHECKS = Path(__file__).parents[2]


def bare_argon2_rate(core: int, seconds: float) -> float:
    """Return how many passwords a second a process of its own checks on that core."""
    with on_cores([core]):
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.compare.bare_argon2", str(seconds)],
            cwd=_CHECKS,
            capture_output=True,
            text=True,
            check=True,
        )
    return float(finished.stdout)


async def password_login(target: Target, amount: Amount) -> Rated:
    """Sign in with a fresh browser: from the page on to the code."""
    async with AsyncExitStack() as stack:
        people = await signed_in(stack, target, amount)
        steps = [partial(_sign_in, person) for person in people]
        found = await drive(steps, warm=amount.warm, seconds=amount.seconds)
        await _check(people[0])
    return found


async def tokens_beside_logins(target: Target, amount: Amount) -> Rated:
    """Get tokens of the service's own while logins fill the queue of hashes."""
    form = urlencode(client_credentials("ES256"))
    load = partial(
        wrk.load,
        target.url("token"),
        connections=amount.connections,
        body=form,
        authorization=target.known.service.authorization,
    )
    async with _flood(target, amount) as refused:
        if amount.warm:
            await asyncio.to_thread(load, seconds=amount.warm)
        found = await asyncio.to_thread(load, seconds=amount.seconds)
    if not refused:
        raise Wrong("no login was refused: the queue was not full")
    found.notes["logins refused"] = len(refused)
    return found


@asynccontextmanager
async def _flood(target: Target, amount: Amount) -> AsyncIterator[list[str]]:
    """Sign in without end; yield what was refused. Who is refused comes again after a second."""
    refused: list[str] = []

    async def repeat(person: Person) -> None:
        while True:
            try:
                await _sign_in(person)
            except (ConnectionLost, Refused) as error:
                refused.append(str(error))
                await asyncio.sleep(1)

    async with AsyncExitStack() as stack:
        people = []
        for name in target.known.people[:_FLOOD]:
            connection = await stack.enter_async_context(Connection(target.port))
            people.append(Person(target, name, connection))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(repeat(person)) for person in people]
            # Until the queue is full, tokens would be got as if there were no flood.
            await asyncio.sleep(amount.warm)
            yield refused
            for task in tasks:
                task.cancel()


async def _sign_in(person: Person) -> float:
    person.cookies.forget()
    started = time.perf_counter()
    await person.authorize()
    return time.perf_counter() - started


async def _check(person: Person) -> None:
    """Raise Wrong unless the right password signs in, and another one does not."""
    person.cookies.forget()
    if "id_token" not in await person.redeem(await person.authorize()):
        raise Wrong("a login led to no ID token")
    person.cookies.forget()
    person.password += "?"
    try:
        await person.authorize()
    except Refused:
        return
    except ConnectionLost as error:
        raise Wrong("a wrong password ended the connection") from error
    raise Wrong("a wrong password signed in")
