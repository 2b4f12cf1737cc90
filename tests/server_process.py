"""One server program that the tests run in a folder of its own, with its watchdog."""

import atexit
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.watchdog import family_of, send

PATIENCE = 60
"""Seconds a server may take to answer after its start, or to end when stopped."""


class ServerError(RuntimeError):
    """A server for the tests did not start, or can not do what is asked of it."""


class Account(NamedTuple):
    """Who a program runs as where we are root: PostgreSQL refuses to be root."""

    uid: int
    gid: int

    @classmethod
    def unprivileged(cls) -> "Account | None":
        """Return the account ``nobody`` if we are root, else None: we run as we are."""
        if os.geteuid() != 0:
            return None
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)


def popen_options(account: Account | None) -> dict[str, Any]:
    """Return what ``subprocess`` needs to run a program as ``account``, without our settings."""
    options: dict[str, Any] = {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def is_open_to_others(path: Path) -> bool:
    """Say whether any account may read ``path`` and reach it through its parents."""
    path = path.resolve()
    return path.stat().st_mode & 0o5 == 0o5 and all(
        parent.stat().st_mode & 0o1 for parent in path.parents
    )


def make_folder(account: Account | None) -> Path:
    """Make an empty folder that belongs to ``account`` and that it can reach."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    reachable = [place for place in places if account is None or is_open_to_others(place)]
    if not reachable:
        raise ServerError("no folder for temporary files is open to the account nobody")
    folder = Path(tempfile.mkdtemp(prefix="authsvc-", dir=reachable[0]))
    give_away(folder, account)
    return folder


def give_away(folder: Path, account: Account | None) -> None:
    """Make ``account`` the owner of ``folder`` and of everything in it."""
    if account is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *account, follow_symlinks=False)


class ServerProcess:
    """A server program that can be stopped, started and frozen; it never outlives us."""

    def __init__(
        self,
        folder: Path,
        command: list[str],
        *,
        stop_signal: signal.Signals,
        end_signal: signal.Signals,
        configuration: str = "",
        account: Account | None = None,
    ) -> None:
        """Start the watchdog alone.

        ``stop_signal`` keeps what the server holds, ``end_signal`` need not.
        ``configuration`` goes to standard input, so that no secret is an argument.
        """
        self.folder = folder
        self.log = folder / "server.log"
        self._command = command
        self._stop_signal = stop_signal
        self._configuration = configuration
        self._account = account
        self._process: subprocess.Popen[str] | None = None
        program = [sys.executable, str(Path(__file__).with_name("watchdog.py"))]
        self._watchdog = subprocess.Popen(
            [*program, str(int(end_signal)), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.close)

    def start(self) -> None:
        """Start the program; it may not answer yet."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                **popen_options(self._account),
            )
        self._tell_watchdog(self._process.pid)
        if self._process.stdin is not None:
            with self._process.stdin as configuration:
                configuration.write(self._configuration)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"the last lines of {Path(self._command[0]).name}:", *lines[-20:]])

    def is_running(self) -> bool:
        """Say whether the program runs; a frozen one does."""
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Freeze every process of the server: connections stay open and nothing answers."""
        server = self._running()
        send(signal.SIGSTOP, [server])
        send(signal.SIGSTOP, family_of(server))

    def resume(self) -> None:
        """Let the server go on where it was frozen."""
        send(signal.SIGCONT, family_of(self._running()))

    def stop(self) -> None:
        """End the program in good order, frozen or not, and keep its folder."""
        self.resume()
        send(self._stop_signal, [self._running()])
        self._reap()
        self._tell_watchdog(0)

    def close(self) -> None:
        """End the program and remove its folder; repeating it does nothing."""
        atexit.unregister(self.close)
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._reap()
        self._watchdog.wait(PATIENCE)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(PATIENCE)

    def _running(self) -> psutil.Process:
        if self._process is None or not self.is_running():
            raise ServerError("the server is not running")
        return psutil.Process(self._process.pid)

    def _tell_watchdog(self, pid: int) -> None:
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{pid}\n")
            self._watchdog.stdin.flush()
