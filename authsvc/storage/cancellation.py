"""Cancellations that a driver has lost."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

_AGAIN: Final = 1.0
"""Seconds after which a task that has not ended is cancelled once more."""


def check_not_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and a driver swallowed it.

    Some wait with ``asyncio.wait_for``, which before Python 3.12 forgets a cancellation that
    comes together with the answer; others turn it into an error of their own. A loop that must
    end calls this at each turn, and whoever translates errors before that.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks`` until each has ended: none goes on because a driver lost its cancellation.

    What they raise is not raised here: they end anyway.
    """
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=_AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)
