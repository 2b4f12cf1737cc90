"""``authsvc jobs``: a worker, and what an operator sees of its work."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

from authsvc.clock import Clock
from authsvc.jobs.scheduler import SCHEDULE
from authsvc.resources import Resources
from authsvc.storage import outbox
from authsvc.storage.identifiers import new_id
from authsvc.tokens.logout_token import BACKCHANNEL_LOGOUT
from tests.cli.command import PATIENCE, Cli
from tests.cli.conftest import Inside
from tests.cli.inside import run_inside
from tests.conftest import Backend

NAMES = {scheduled.name for scheduled in SCHEDULE}


def entries_of(cli: Cli, state: str) -> list[dict[str, Any]]:
    listed = cli.json("jobs", "list")
    return [entry for entry in listed if (entry["type"], entry["state"]) == ("outbox", state)]


def make_dead(inside: Inside, *receivers: str) -> None:
    async def work(resources: Resources) -> None:
        now = resources.clock.now()
        async with resources.database.transaction() as tx:
            payloads = [{"client_id": receiver} for receiver in receivers]
            await outbox.add(tx, "test", payloads, now=now)
            for entry in await outbox.claim(
                tx, ["test"], now=now, lease=timedelta(hours=1), limit=100
            ):
                await outbox.give_up(tx, entry, now=now, error="the client answered 500")

    inside(work)


def test_everything_on_the_schedule_is_listed_before_it_has_ever_run(any_cli: Cli) -> None:
    listed = any_cli.json("jobs", "list")

    assert {job["name"] for job in listed} == NAMES
    for job in listed:
        assert (job["type"], job["state"]) == ("job", "idle")
        assert job["interval_seconds"] > 0
        assert job["last_run_at"] is job["last_error"] is job["lag_seconds"] is None
    assert "rotate_keys" in any_cli.run("jobs", "list").output


def test_an_operator_sees_what_was_given_up_and_lets_it_be_tried_again(
    cli: Cli, inside: Inside
) -> None:
    make_dead(inside, "shop", "news")
    dead = entries_of(cli, "dead")
    assert {entry["receiver"] for entry in dead} == {"shop", "news"}
    for entry in dead:
        assert (entry["kind"], entry["attempts"]) == ("test", 1)
        assert entry["last_error"] == "the client answered 500"
        assert entry["age_seconds"] >= 0
        assert entry["failed_at"]
    assert "2 outbox entries were given up" in cli.run("doctor").output
    first, second = (entry["id"] for entry in dead)

    assert cli.json("jobs", "retry", first) == {"retried": 1}
    assert cli.json("jobs", "retry", first) == {"retried": 0}
    assert [entry["id"] for entry in entries_of(cli, "dead")] == [second]
    (waiting,) = entries_of(cli, "waiting")
    assert (waiting["id"], waiting["attempts"], waiting["failed_at"]) == (first, 0, None)
    assert cli.json("jobs", "retry", "--all") == {"retried": 1}
    assert cli.json("jobs", "retry", "--all") == {"retried": 0}

    assert entries_of(cli, "dead") == []
    assert len(entries_of(cli, "waiting")) == 2
    events = [e for e in cli.json("audit", "list") if e["event"] == "outbox.retried"]
    # How many, and not which: of all of them these would be hundreds.
    assert [e["subject"] or e["details"] for e in events] == [{"every": True, "number": 1}, first]
    assert second not in str(events)
    assert all(event["actor"].startswith("cli:") for event in events)


def test_to_retry_something_one_has_to_say_what(cli: Cli) -> None:
    assert "name one entry, or --all" in cli.run("jobs", "retry").refusal(2)
    assert "name one entry, or --all" in cli.run("jobs", "retry", "x", "--all").refusal(2)
    refusal = cli.run("jobs", "retry", new_id(Clock().now())).refusal()
    assert refusal.startswith("there is no such outbox entry")


class SlowClient:
    """A client's back-channel endpoint that answers only when it is let."""

    def __init__(self) -> None:
        self.asked, self.may_answer = Event(), Event()
        client = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                client.asked.set()
                client.may_answer.wait(PATIENCE)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        """What the client registers."""
        return f"http://127.0.0.1:{self.server.server_port}/bc"


@contextmanager
def working(cli: Cli, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker until the block ends; it has begun when the block does."""
    with (cli.folder / "worker.log").open("wb") as log:
        process = cli.start("jobs", "run", "--json", *options, stderr=log)
        try:
            assert process.stdout is not None
            told = b""
            while not told.endswith(b"}\n"):
                line = process.stdout.readline()
                assert line, (cli.folder / "worker.log").read_text()
                told += line
            assert set(json.loads(told)["jobs"]) == NAMES
            yield process
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)


def register(cli: Cli, client: SlowClient) -> None:
    (cli.folder / "client.json").write_text(
        json.dumps(
            {
                "redirect_uris": ["https://app.example/callback"],
                "backchannel_logout_uri": client.uri,
            }
        )
    )
    cli.json("clients", "create", "--client-id", "shop", "--metadata", "client.json")


async def add_notice(resources: Resources) -> None:
    now = resources.clock.now()
    payload = {"client_id": "shop", "session_id": new_id(now), "user_id": new_id(now)}
    async with resources.database.transaction() as tx:
        await outbox.add(tx, BACKCHANNEL_LOGOUT, [payload], now=now)


def test_a_worker_delivers_and_on_sigterm_finishes_what_is_under_way(
    any_cli: Cli, backend: Backend
) -> None:
    client = SlowClient()
    cli = any_cli.with_variables(AUTHSVC_OUTBOUND_LOOPBACK="true")
    register(cli, client)
    with working(cli) as worker:
        run_inside(backend.settings(), add_notice)
        assert client.asked.wait(PATIENCE)
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # it would have ended by now, had it let go of what is under way
        assert worker.poll() is None
        client.may_answer.set()
        assert worker.wait(PATIENCE) == 0

    assert entries_of(cli, "waiting") == entries_of(cli, "dead") == []
    (delivering,) = [j for j in cli.json("jobs", "list") if j.get("name") == "deliver_outbox"]
    assert delivering["last_success_at"]
    assert delivering["last_error"] is None
    assert "Traceback" not in (cli.folder / "worker.log").read_text()


def test_a_worker_that_is_idle_ends_at_once_when_told(cli: Cli) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with working(cli) as worker:
            worker.send_signal(number)
            assert worker.wait(10) == 0


def test_a_worker_refuses_a_database_that_was_not_migrated(blank_cli: Cli) -> None:
    assert "authsvc db upgrade" in blank_cli.run("jobs", "run").refusal()
