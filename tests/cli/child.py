"""Inside the process of one command. It imports little: each command pays for it."""

import os
import sys
from pathlib import Path


def run_in_place(
    arguments: tuple[str, ...], variables: dict[str, str], folder: Path, streams: list[Path]
) -> None:
    """Run the command as if it had been started with these variables, folder and files."""
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, (path, mode) in enumerate(zip(streams, ("rb", "wb", "wb"), strict=True)):
        with path.open(mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  # they live as long as the process
    from authsvc.cli.program import run_program  # noqa: PLC0415  # not by the tests themselves

    code = run_program(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
