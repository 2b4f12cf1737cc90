"""``authsvc serve``: a server that hears what the command line changes."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cli.command import PATIENCE, Cli
from tests.server_programs import free_port


@contextmanager
def serving(cli: Cli) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    issuer = cli.variables["AUTHSVC_ISSUER"]
    port = urlsplit(issuer).port
    with cli.start("serve", "--port", str(port), "--json") as process:
        try:
            assert process.stdout is not None
            told = b""
            while not told.endswith(b"}\n"):
                line = process.stdout.readline()
                assert line, process.stderr and process.stderr.read()
                told += line
            assert json.loads(told) == {
                "issuer": issuer, "host": "127.0.0.1", "port": port, "workers": 1,
            }  # fmt: skip
            with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
                assert client.get(f"{issuer}/healthz").status_code == 200
            yield issuer, process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def here(any_cli: Cli) -> Cli:
    """The command line on each backend, of an issuer on a free port."""
    return any_cli.with_variables(AUTHSVC_ISSUER=f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def sqlite_here(cli: Cli) -> Cli:
    """The same on SQLite alone."""
    return cli.with_variables(AUTHSVC_ISSUER=f"http://127.0.0.1:{free_port()}")


def test_a_server_refuses_a_token_at_once_that_the_command_line_has_revoked(here: Cli) -> None:
    secret = "a-client-secret-of-at-least-32-characters"
    (here.folder / "job.json").write_text(
        '{"grant_types": ["client_credentials"], "response_types": [], "scope": "orders:read"}'
    )
    here.json(
        "clients", "create", "--client-id", "job", "--metadata", "job.json",
        "--client-secret-stdin", stdin=secret,
    )  # fmt: skip
    with serving(here) as (issuer, _), httpx.Client(auth=("job", secret)) as client:
        metadata = client.get(f"{issuer}/.well-known/openid-configuration").json()

        def introspect(token: str) -> bool:
            answer = client.post(metadata["introspection_endpoint"], data={"token": token})
            return bool(answer.json()["active"])

        def get_token() -> httpx.Response:
            return client.post(
                metadata["token_endpoint"], data={"grant_type": "client_credentials"}
            )

        token = get_token().json()["access_token"]
        assert introspect(token)
        here.json("tokens", "revoke", "--token", "-", stdin=token)
        assert not introspect(token)
        here.json("clients", "delete", "job")
        assert get_token().status_code == 401


def test_a_server_ends_in_good_order(sqlite_here: Cli) -> None:
    with serving(sqlite_here) as (_, process):
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 130)
    assert b"Traceback" not in output + errors


def test_an_address_that_is_taken_is_refused_in_one_line(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refusal = cli.run("serve", "--port", str(port)).refusal()
    assert refusal.startswith(f"can not listen on 127.0.0.1 port {port}: Address already in use; ")
    assert "--port PORT" in refusal
    assert "make run" in refusal


def test_a_host_that_is_not_ours_is_refused_in_one_line(cli: Cli) -> None:
    refusal = cli.run("serve", "--host", "192.0.2.1").refusal()
    assert refusal.startswith("can not listen on 192.0.2.1")
    assert "--port" not in refusal
