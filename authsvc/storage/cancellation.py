"""Cancellations that a driver has lost."""

import asyncio


def check_not_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and a driver swallowed it.

    Some wait with ``asyncio.wait_for``, which before Python 3.12 forgets a cancellation that
    comes together with the answer; others turn it into an error of their own. A loop that must
    end calls this at each turn, and whoever translates errors before that.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
