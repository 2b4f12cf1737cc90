"""A worker that is killed between handing mail in and noting it: once more, the same message."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import update

from authsvc.resources import Resources
from authsvc.storage.schema import outbox
from tests.cli.command import PATIENCE, Cli, variables_of
from tests.cli.inside import run_inside
from tests.conftest import Backend
from tests.mail_catcher import open_mail_catcher

ADDRESS = "anna@people.example"


@contextmanager
def worker(cli: Cli) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker until the block ends."""
    process = cli.start("jobs", "run", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


async def end_leases(resources: Resources) -> None:
    """Let the minute be over for which a worker that is gone holds its entries."""
    async with resources.database.transaction() as tx:
        await tx.execute(update(outbox).values(due_at=resources.clock.now()))


async def count_waiting(resources: Resources) -> int:
    async with resources.database.reading() as tx:
        return len(list(await tx.execute(outbox.select())))


async def test_a_worker_killed_before_it_noted_a_message_sends_the_same_again(
    backend: Backend, tmp_path: Path
) -> None:
    async with open_mail_catcher() as catcher:
        cli = Cli(tmp_path, variables_of(backend)).with_variables(
            AUTHSVC_SMTP_URL=catcher.url(),
            AUTHSVC_MAIL_FROM="login@authsvc.example",
            AUTHSVC_OUTBOUND_CA_FILE=str(catcher.ca_file),
        )
        made = await asyncio.to_thread(cli.run, "users", "create", "anna", "--email", ADDRESS)
        assert made.code == 0, made.errors
        told = await asyncio.to_thread(
            cli.run, "users", "set-password", "anna", "--password-stdin", stdin="a horse battery"
        )
        assert told.code == 0, told.errors

        catcher.held.clear()
        with worker(cli) as killed:
            first = await catcher.take()
            killed.kill()
            await asyncio.to_thread(killed.wait, PATIENCE)
        catcher.held.set()
        assert await asyncio.to_thread(run_inside, backend.settings(), count_waiting) == 1

        await asyncio.to_thread(run_inside, backend.settings(), end_leases)
        with worker(cli):
            second = await catcher.take()
            async with asyncio.timeout(PATIENCE):
                while await asyncio.to_thread(  # noqa: ASYNC110  # another process sets no event
                    run_inside, backend.settings(), count_waiting
                ):
                    await asyncio.sleep(0.1)

    assert first.receivers == second.receivers == [ADDRESS]
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.content == second.content
    assert catcher.caught.empty()
