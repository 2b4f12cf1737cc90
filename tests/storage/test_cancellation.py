"""Tasks end, although a driver has lost their cancellation."""

import asyncio

import pytest

from authsvc.storage.cancellation import check_not_cancelled, end_all


async def _lose_cancellations(times: int, started: asyncio.Event) -> None:
    for _ in range(times):
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    started = asyncio.Event()
    loses = asyncio.create_task(_lose_cancellations(1, started))
    ends = asyncio.create_task(asyncio.Event().wait())
    await started.wait()
    async with asyncio.timeout(20):
        await end_all([loses, ends])
    assert loses.cancelled()
    assert ends.cancelled()


async def test_what_a_task_raises_at_its_end_is_not_raised_again() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    failed = asyncio.create_task(fail())
    await asyncio.wait({failed})
    await end_all([failed])
    assert isinstance(failed.exception(), ValueError)


async def test_a_loop_finds_out_that_its_cancellation_was_lost() -> None:
    started = asyncio.Event()

    async def loop() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            check_not_cancelled()

    task = asyncio.create_task(loop())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
