"""Ends a test server and removes its folder once the process that started it is gone.

Standard input is a pipe whose other end only the starting process holds: the end of
input means that it closed the pipe or died, however it died. Each line before
that is the process id of the server, or 0 while it is stopped.
"""

import shutil
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

import psutil

PATIENCE = 10
"""Seconds a server has to end by itself before it is killed."""


def family_of(server: psutil.Process) -> list[psutil.Process]:
    """Return the processes of a server, the one that started the others first."""
    return [server, *server.children(recursive=True)]


def send(signal_number: int, processes: Iterable[psutil.Process]) -> None:
    """Signal each process; one that ended meanwhile needs none."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal_number)


def end(server: psutil.Process, signal_number: int) -> None:
    """Ask ``server`` to end, frozen or not, and kill what remains of its family."""
    family = family_of(server)
    send(signal.SIGCONT, family)
    send(signal_number, [server])
    remaining = psutil.wait_procs(family, timeout=PATIENCE)[1]
    send(signal.SIGKILL, remaining)


def watch(signal_number: int, folder: str) -> None:
    """Follow standard input to its end, then end the last server it named."""
    server: psutil.Process | None = None
    for line in sys.stdin:
        server = None
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(int(line)) if int(line) else None
    if server is not None:
        with suppress(psutil.NoSuchProcess):
            end(server, signal_number)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
