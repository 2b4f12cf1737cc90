"""``authsvc init``, the first half of ``make run``."""

import json
import os
import subprocess
from pathlib import Path

from authsvc.resources import Resources
from authsvc.storage.users import get_user
from tests.cli.command import PATIENCE, Cli
from tests.cli.inside import run_inside
from tests.conftest import Backend


def test_from_nothing_to_an_administrator_who_can_sign_in(fresh_cli: Cli) -> None:
    made = fresh_cli.json("init")
    assert len(made["signing_keys"]) == 8
    administrator = made["administrator"]
    assert administrator["username"] == "admin"
    shown = fresh_cli.json("users", "show", "admin")
    assert (shown["roles"], shown["permissions"]) == (["admin"], ["authsvc:admin"])
    assert (fresh_cli.folder / "keys/master.key").stat().st_mode & 0o077 == 0
    backend = Backend("sqlite", f"sqlite:///{fresh_cli.folder}/var/authsvc.db", None)
    settings = backend.settings(
        master_key=(fresh_cli.folder / "keys/master.key").read_text().strip()
    )

    async def verify(resources: Resources) -> bool:
        async with resources.database.reading() as tx:
            user = await get_user(tx, "admin")
        return await resources.password_hashes.verify(user.password_hash, administrator["password"])

    assert run_inside(settings, verify)


def test_a_second_run_changes_nothing(fresh_cli: Cli) -> None:
    first = fresh_cli.run("init")
    assert first.output.count("password") == 2
    assert "authsvc serve" in first.output
    keys, users = fresh_cli.json("keys", "list"), fresh_cli.json("users", "list")
    second = fresh_cli.run("init")
    assert second.code == 0
    assert "password" not in second.output
    assert "authsvc serve" in second.output
    assert fresh_cli.json("init")["administrator"] is None
    assert (fresh_cli.json("keys", "list"), fresh_cli.json("users", "list")) == (keys, users)


def test_where_the_service_starts_right_after_nobody_is_told_to_start_it(fresh_cli: Cli) -> None:
    for _ in range(2):
        said = fresh_cli.run("init", "--before-serve")
        assert said.code == 0
        assert "authsvc serve" not in said.output


def make_run(folder: Path, **variables: str) -> list[str]:
    """Return what ``make run`` runs: the issuer and the arguments, a program a line."""
    program = folder / "bin" / "authsvc"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\necho ${AUTHSVC_ISSUER-unset} $*\n")
    program.chmod(0o700)
    stamp = folder / ".runtime"
    stamp.touch()
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("AUTHSVC_", "PORT"))}
    return subprocess.check_output(
        ["make", "--no-print-directory", f"VENV={folder}", f"--old-file={stamp}", "run"],
        cwd=Path(__file__).parents[2],
        env=environment | variables,
        text=True,
        timeout=PATIENCE,
    ).splitlines()


def test_make_run_serves_on_the_port_that_is_named_as_the_issuer_that_is_named(
    tmp_path: Path,
) -> None:
    def served(issuer: str, port: int) -> list[str]:
        return [f"{issuer} init --before-serve", f"{issuer} serve --port {port}"]

    here, elsewhere = "http://127.0.0.1", "https://id.example"
    assert make_run(tmp_path) == served(f"{here}:8000", 8000)
    assert make_run(tmp_path, PORT="9000") == served(f"{here}:9000", 9000)
    named = make_run(tmp_path, PORT="9000", AUTHSVC_ISSUER=elsewhere)
    assert named == served(elsewhere, 9000)
    assert make_run(tmp_path, AUTHSVC_ISSUER_FILE="issuer") == served("unset", 8000)


def test_two_at_once_make_one_administrator(any_cli: Cli) -> None:
    processes = [any_cli.start("init", "--json") for _ in range(2)]
    made = []
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        made.append(json.loads(output)["administrator"])
    assert sum(administrator is not None for administrator in made) == 1
    assert [user["username"] for user in any_cli.json("users", "list")] == ["admin"]


def test_where_there_are_people_no_administrator_is_made(cli: Cli) -> None:
    cli.json("users", "create", "ada", "--email", "ada@example.org")
    assert cli.json("init")["administrator"] is None
    assert [user["username"] for user in cli.json("users", "list")] == ["ada"]


def test_a_role_that_is_there_already_gets_the_permission(cli: Cli) -> None:
    cli.json("roles", "create", "admin", "--permission", "orders:read")
    cli.json("init")
    assert cli.json("users", "show", "admin")["permissions"] == ["authsvc:admin", "orders:read"]
