"""The runbooks of docs/operations.md: the commands that are in the text, run as they stand."""

import asyncio
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
_PATIENCE = 120
_SECTION = re.compile(r"^#{2,3} (?P<heading>.+)$", re.MULTILINE)
_BLOCK = re.compile(
    r"^(?P<indent> *)```sh\n(?P<commands>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


class CommandFailed(Exception):
    """A block ended with something else than 0; holds what it said."""


def read_runbooks() -> dict[str, list[str]]:
    """Return the blocks of commands of each section that has some, by its heading."""
    text = DOCUMENT.read_text()
    blocks = list(_BLOCK.finditer(text))
    # A comment of a shell looks like a heading.
    headings = [
        found
        for found in _SECTION.finditer(text)
        if not any(block.start() < found.start() < block.end() for block in blocks)
    ]
    runbooks: dict[str, list[str]] = {}
    for block in blocks:
        heading = [found for found in headings if found.start() < block.start()][-1]
        runbooks.setdefault(heading["heading"], []).append(dedent(block["commands"]))
    return runbooks


class Steps:
    """The blocks of one runbook that are still to be run, in their order."""

    def __init__(self, blocks: list[str], variables: Mapping[str, str], folder: Path) -> None:
        self.remaining = list(blocks)
        self._variables = dict(variables)
        self._folder = folder

    async def run(self, *, stdin: str = "", **variables: str) -> str:
        """Run the next block and return what it printed; raises CommandFailed."""
        commands = self.remaining[0]
        # Without a terminal: what asks for a password reads it from standard input.
        finished = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", commands],
            input=stdin,
            env={**self._variables, **variables},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            start_new_session=True,
        )
        if finished.returncode != 0:
            raise CommandFailed(f"{commands}\n{finished.stdout}\n{finished.stderr}")
        del self.remaining[0]
        return finished.stdout

    def leave(self) -> None:
        """Leave the rest to another test."""
        self.remaining.clear()


@contextmanager
def follow(heading: str, variables: Mapping[str, str], folder: Path) -> Iterator[Steps]:
    """Follow a runbook; every block of it is to be run before the end."""
    steps = Steps(read_runbooks()[heading], variables, folder)
    yield steps
    assert not steps.remaining
