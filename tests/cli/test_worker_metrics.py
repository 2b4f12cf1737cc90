"""``authsvc jobs run --metrics-port``: what a worker did is scraped from the worker."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.command import PATIENCE, Cli
from tests.cli.inside import run_inside
from tests.cli.test_jobs import SlowClient, add_notice, register, working
from tests.conftest import Backend
from tests.server_programs import free_port

_DELIVERED = (
    "authsvc_outbox_entries_total[('kind', 'backchannel_logout'), ('outcome', 'delivered')]"
)
_SENT = "authsvc_outbound_requests_total[('method', 'POST'), ('outcome', 'ok')]"
_RUN = "authsvc_job_runs_total[('name', 'deliver_outbox'), ('outcome', 'done')]"


def scrape(port: int) -> dict[str, float]:
    """Return each sample by its name and labels."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    assert answer.status_code == 200
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def await_scrape(port: int, done: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Scrape until what is shown is as wanted, and return it."""
    until = time.monotonic() + PATIENCE
    while not done(shown := scrape(port)):
        assert time.monotonic() < until, shown
        time.sleep(0.1)
    return shown


def test_what_a_worker_did_is_shown_also_while_it_ends(any_cli: Cli, backend: Backend) -> None:
    client, port = SlowClient(), free_port()
    cli = any_cli.with_variables(AUTHSVC_OUTBOUND_LOOPBACK="true")
    register(cli, client)
    with working(cli, "--metrics-port", str(port)) as worker:
        run_inside(backend.settings(), add_notice)
        assert client.asked.wait(PATIENCE)
        worker.send_signal(signal.SIGTERM)
        # What is under way is shown to its end; the signals are the worker's, not the server's.
        time.sleep(0.5)
        assert scrape(port).get(_DELIVERED, 0) == 0
        assert worker.poll() is None
        client.may_answer.set()
        assert worker.wait(PATIENCE) == 0
        with pytest.raises(httpx.ConnectError):
            scrape(port)
    assert "Traceback" not in (cli.folder / "worker.log").read_text()


def test_a_worker_shows_what_a_server_shows_but_is_none(any_cli: Cli, backend: Backend) -> None:
    client, port = SlowClient(), free_port()
    client.may_answer.set()
    cli = any_cli.with_variables(AUTHSVC_OUTBOUND_LOOPBACK="true")
    register(cli, client)
    with working(cli, "--metrics-port", str(port)):
        run_inside(backend.settings(), add_notice)
        shown = await_scrape(
            port, lambda samples: bool(samples.get(_DELIVERED) and samples.get(_RUN))
        )
        assert shown[_DELIVERED] == shown[_SENT] == 1
        await_scrape(port, lambda samples: "authsvc_audit_chain_position[]" in samples)
        assert shown["authsvc_breaker_open[('dependency', 'database')]"] == 0
        assert "authsvc_outbox_waiting[]" in shown
        assert any(name.startswith("authsvc_job_lag_seconds[") for name in shown)
        # Or nobody would be told that no server is left.
        assert shown["authsvc_workers[]"] == 0
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            assert http.get("/healthz").json() == {"status": "ok"}
            assert http.post("/metrics").status_code == 405
            for path in ("/token", "/admin/v1/users", "/readyz", "/metrics/"):
                answer = http.get(path, headers={"Accept": "text/html"})
                assert answer.status_code == 404, path


def test_nobody_who_is_connected_holds_up_the_end_of_a_worker(cli: Cli) -> None:
    port = free_port()
    with working(cli, "--metrics-port", str(port)) as worker:
        scrape(port)
        with (
            socket.create_connection(("127.0.0.1", port)),
            socket.create_connection(("127.0.0.1", port)) as half,
        ):
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0


def _listening(process: "subprocess.Popen[bytes]") -> set[tuple[str, int]]:
    connections = psutil.Process(process.pid).net_connections("inet")
    listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
    return {(each.laddr.ip, each.laddr.port) for each in listening}


def test_a_worker_listens_where_it_is_told_and_else_nowhere(cli: Cli) -> None:
    port = free_port()
    with working(cli) as worker:
        assert _listening(worker) == set()
    with working(cli, "--metrics-port", str(port)) as worker:
        assert _listening(worker) == {("127.0.0.1", port)}
    with working(cli, "--metrics-host", "127.0.0.2", "--metrics-port", str(port)) as worker:
        assert _listening(worker) == {("127.0.0.2", port)}


def test_an_address_that_can_not_be_had_is_refused_in_one_line(cli: Cli) -> None:
    port = free_port()
    with working(cli, "--metrics-port", str(port)):
        refusal = cli.run("jobs", "run", "--metrics-port", str(port)).refusal()
    assert refusal == (
        f"can not listen on 127.0.0.1 port {port}: Address already in use; "
        "take another with --metrics-port PORT"
    )
    host = ("--metrics-host", "192.0.2.1")
    refusal = cli.run("jobs", "run", *host, "--metrics-port", str(port)).refusal()
    assert refusal.startswith("can not listen on 192.0.2.1")
    assert "take another" not in refusal
    assert "--metrics-host needs --metrics-port" in cli.run("jobs", "run", *host).refusal(2)
    for wrong in ("0", "65536", "-1", "http"):
        assert "--metrics-port" in cli.run("jobs", "run", "--metrics-port", wrong).refusal(2)
