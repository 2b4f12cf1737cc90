"""The program as a whole: help, errors, streams, signals, secrets."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from authsvc.cli.program import app
from tests.cli.command import PATIENCE, SCRIPT, Cli

GROUPS = ["serve", "db", "keys", "users", "roles", "clients", "tokens", "audit", "doctor", "init"]


def test_help_names_every_group(cli: Cli) -> None:
    said = cli.run("--help")
    assert said.code == 0
    for group in GROUPS:
        assert f"\n  {group} " in said.output
    bare = cli.run()
    assert (bare.code, bare.output) == (2, "")
    assert bare.errors.strip() == said.output.strip()


def test_every_command_takes_json() -> None:
    commands = [*app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        commands += group.typer_instance.registered_commands
    assert len(commands) > 40
    for command in commands:
        assert command.callback is not None
        assert "as_json" in command.callback.__annotations__, command.callback


def test_the_version_is_told(cli: Cli) -> None:
    assert cli.run("--version").output.startswith("authsvc 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("users",),
        ("users", "nothing"),
        ("users", "create"),
        ("users", "create", "ada"),
        ("users", "list", "--nothing"),
        ("users", "list", "--limit", "x"),
        ("users", "list", "--limit", "0"),
        ("users", "show", "a", "b"),
        ("serve", "--port", "0"),
        ("keys", "retire"),
        ("roles", "allow", "x"),
        ("jobs", "nothing"),
        ("jobs", "retry"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert "--help`" in cli.run(*arguments).refusal(2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("users", "list", "--limit", "0"), "'--limit': it must be at least 1;"),
        (("serve", "--port", "65536"), "'--port': it must be at most 65535;"),
        (("serve", "--workers", "x"), "'--workers': it is no number;"),
    ],
)
def test_a_number_out_of_range_is_refused_in_our_own_words(
    cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    refusal = cli.run(*arguments).refusal(2)
    assert words in refusal
    assert "Input" not in refusal


def test_a_wrong_setting_is_one_line(cli: Cli) -> None:
    refusal = cli.with_variables(AUTHSVC_LOG_LEVEL="loud").run("users", "list").refusal()
    assert refusal.startswith("AUTHSVC_LOG_LEVEL holds 'loud'; it accepts")


@pytest.mark.parametrize(
    "url", ["postgresql://a:hidden@127.0.0.1:1/x", "postgresql://a:hidden@nowhere.invalid/x"]
)
def test_a_database_that_is_away_is_one_line(cli: Cli, url: str) -> None:
    away = cli.with_variables(AUTHSVC_DATABASE_URL=url)
    for command in (("users", "list"), ("db", "upgrade"), ("db", "current")):
        assert "hidden" not in away.run(*command).refusal()


def test_a_wrong_database_password_is_one_line(postgres_url: str, cli: Cli) -> None:
    user_and_host = postgres_url.partition("://")[2]
    user = user_and_host.partition(":")[0]
    host = user_and_host.rpartition("@")[2]
    for url in (f"postgresql://{user}:wrong@{host}", f"{postgres_url}_that_is_not_there"):
        away = cli.with_variables(AUTHSVC_DATABASE_URL=url)
        refusal = away.run("users", "list").refusal()
        assert refusal.startswith("the database refuses to serve (Invalid")
        (found,) = [
            f for f in json.loads(away.run("doctor", "--json").output) if f["status"] == "error"
        ]
        assert found["check"] == "database"


def test_what_nobody_expected_is_one_line_without_its_text(cli: Cli) -> None:
    path = cli.variables["AUTHSVC_DATABASE_URL"].removeprefix("sqlite:///")
    Path(path).write_bytes(b"this is no database, but holds a secret" * 100)
    refusal = cli.run("users", "list").refusal()
    assert "secret" not in refusal
    assert "DatabaseError" in refusal


def test_secrets_are_on_no_command_line(cli: Cli) -> None:
    process = cli.start("users", "create", "ada", "--email", "a@example.org", "--password-stdin")
    assert "--password-stdin" in psutil.Process(process.pid).cmdline()
    output, errors = process.communicate(b"correct horse battery\n", timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert b"correct horse" not in output + errors
    for words in (("--password", "x"), ("--client-secret", "x")):
        cli.run("users", "create", "bob", "--email", "b@example.org", *words).refusal(2)
        cli.run("clients", "create", *words).refusal(2)


def test_a_table_in_a_pipe_is_whole_and_without_colour(cli: Cli) -> None:
    name = "n" * 100
    cli.json("users", "create", name, "--email", "n@example.org")
    narrow = cli.with_variables(COLUMNS="20", FORCE_COLOR="1")
    header, row = narrow.run("users", "list").output.splitlines()
    assert header.startswith("USERNAME")
    assert name in row
    assert "\x1b" not in header + row


def test_nothing_that_is_stored_can_command_a_terminal(cli: Cli) -> None:
    cli.json("users", "create", "ada", "--email", "a@example.org", "--claim", 'note="\\u001b[2J"')
    assert "\x1b" not in cli.run("users", "show", "ada").output


def test_output_that_nobody_reads_to_its_end_is_no_error(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = cli.start("keys", "list", stdout=writer)
    os.close(writer)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (1, b"")


def test_ctrl_c_ends_without_a_traceback(cli: Cli) -> None:
    process = cli.start("users", "import", "-")
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    wait_for_reading(process)
    interrupt(process)
    assert process.returncode == 130
    assert process.stderr is not None
    assert process.stderr.read() == b""
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        stream.close()


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C until the process ends: one between two reads is seen at the next only."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def wait_for_reading(process: "subprocess.Popen[bytes]") -> None:
    """Return once the process has read what it was sent, and so waits for more."""
    assert process.stdin is not None
    unread = bytearray(4)
    while True:
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, unread)
        if not any(unread):
            return
        assert process.poll() is None
        time.sleep(0.01)


def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(cli: Cli) -> None:
    cli.json("users", "create", "ada", "--email", "ada@example.org")
    for second, code in ((b"correct horse battery", 0), (b"another", 1)):
        shown, ended = talk(cli, ["users", "set-password", "ada"], [
            (b"New password: ", b"correct horse battery\n"), (b"Again: ", second + b"\n"),
        ])  # fmt: skip
        assert ended == code
        assert b"correct horse" not in shown


def talk(cli: Cli, arguments: list[str], answers: list[tuple[bytes, bytes]]) -> tuple[bytes, int]:
    """Run the script on a terminal of its own and answer its questions."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        os.execve(SCRIPT, [str(SCRIPT), *arguments], cli.environment())  # noqa: S606  # our own
    shown = b""
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            shown += os.read(terminal, 1024)
        except OSError:
            break
        if answers and shown.endswith(answers[0][0]):
            os.write(terminal, answers.pop(0)[1])
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(status)


def test_a_shell_is_helped_to_complete(cli: Cli) -> None:
    completing = cli.with_variables(
        _AUTHSVC_COMPLETE="complete_bash", COMP_WORDS="authsvc users cr", COMP_CWORD="2"
    )
    process = completing.start()
    output, errors = process.communicate(timeout=PATIENCE)
    assert output.split() == [b"create"], errors
