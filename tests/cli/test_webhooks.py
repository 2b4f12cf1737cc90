"""``authsvc webhooks``: an operator registers receivers, and looks after them."""

import asyncio
import json
import signal
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from authsvc.clock import Clock
from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.oauth.server import open_authorization_server
from authsvc.resources import open_resources
from authsvc.storage.identifiers import new_id
from authsvc.webhooks.events import EVENTS
from tests.cli.command import OTHER_MASTER_KEY, PATIENCE, Cli
from tests.cli.test_jobs import entries_of, working
from tests.conftest import MASTER_KEY, Backend
from tests.event_receiver import NETWORKS
from tests.provider import MovableClock
from tests.web_certificates import CertificateAuthority

URL = "https://receiver.example/events"


class Receiver:
    """A receiver in a thread of its own, which answers with ``status`` once it is let."""

    def __init__(self, folder: Path) -> None:
        self.status = 204
        self.asked, self.may_answer = Event(), Event()
        self.may_answer.set()
        self.received: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append((headers, body))
                receiver.asked.set()
                receiver.may_answer.wait(PATIENCE)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        authority = CertificateAuthority(folder)
        self.ca_file = authority.ca_file
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls: ssl.SSLContext = authority.server_context(["localhost"])
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What an operator registers."""
        return f"https://localhost:{self.server.server_port}/events"

    def reached_from(self, cli: Cli) -> Cli:
        """Return the same command line, which may send webhooks here."""
        return cli.with_variables(
            AUTHSVC_WEBHOOK_NETWORKS=NETWORKS, AUTHSVC_OUTBOUND_CA_FILE=str(self.ca_file)
        )


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver of webhooks."""
    running = Receiver(tmp_path)
    yield running
    running.may_answer.set()
    running.server.shutdown()
    running.server.server_close()


def test_the_query_of_a_url_is_masked_whatever_shows_it(cli: Cli) -> None:
    secret = "of-the-receiver"
    url = f"{URL}?key={secret}"
    created = cli.json("webhooks", "create", url)
    webhook_id = created["id"]
    assert created["url"] == f"{URL}?***"
    results = [
        cli.run("webhooks", "list"),
        cli.run("webhooks", "list", "--json"),
        cli.run("webhooks", "show", webhook_id),
        cli.run("webhooks", "update", webhook_id, "--url", f"{url}2", "--event", "*"),
        cli.run("webhooks", "disable", webhook_id),
        cli.run("doctor"),
        cli.run("audit", "list"),
        cli.run("webhooks", "create", f"http://receiver.example/?key={secret}"),
    ]
    assert all(secret not in result.output + result.errors for result in results)
    assert all(f"{URL}?***" in result.output for result in results[:5])
    assert [result.code for result in results[:5]] == [0] * 5
    assert results[-1].code == 1


def test_a_webhook_lives_from_its_creation_to_its_deletion(any_cli: Cli) -> None:
    assert "webhooks create --help" in any_cli.run("webhooks", "list").output
    created = any_cli.json(
        "webhooks", "create", URL, "--event", "user.*", "--event", "keys.revoked"
    )
    webhook = {name: value for name, value in created.items() if name != "secret"}
    assert webhook.keys() == {"id", "url", "events", "enabled", "created_at"}
    assert (webhook["url"], webhook["events"]) == (URL, ["user.*", "keys.revoked"])
    assert any_cli.json("webhooks", "list") == [webhook]

    any_cli.json("users", "create", "ada", "--email", "ada@example.org")
    rotated = any_cli.json("webhooks", "rotate-secret", webhook["id"])
    assert rotated.keys() == created.keys()
    assert rotated["secret"] != created["secret"]
    shown = any_cli.json("webhooks", "show", webhook["id"])
    assert (shown["waiting"], shown["dead"]) == (1, 0)
    current, previous = shown["secrets"]
    assert current["expires_at"] is None
    assert current.keys() == previous.keys() == {"created_at", "expires_at"}
    (entry,) = entries_of(any_cli, "waiting")
    assert (entry["kind"], entry["receiver"]) == ("webhook", webhook["id"])

    moved = any_cli.json("webhooks", "update", webhook["id"], "--url", f"{URL}/new", "--event", "*")
    assert (moved["url"], moved["events"]) == (f"{URL}/new", ["*"])
    assert any_cli.json("webhooks", "disable", webhook["id"])["enabled"] is False
    assert any_cli.json("webhooks", "enable", webhook["id"])["enabled"] is True
    events = {
        event["event"]: event
        for event in any_cli.json("audit", "list")
        if event["event"].startswith("webhook.")
    }
    assert {event["subject"] for event in events.values()} == {webhook["id"]}
    assert events["webhook.created"]["details"] == {
        "host": "receiver.example:443",
        "events": ["user.*", "keys.revoked"],
    }
    waiting = any_cli.json("webhooks", "show", webhook["id"])["waiting"]
    assert any_cli.json("webhooks", "delete", webhook["id"]) == {
        "id": webhook["id"],
        "deleted": True,
        "discarded": waiting,
    }
    assert any_cli.json("webhooks", "list") == entries_of(any_cli, "waiting") == []
    assert any_cli.run("webhooks", "delete", webhook["id"]).refusal() == "there is no such webhook"


def test_a_secret_is_printed_once_and_nowhere_else(cli: Cli) -> None:
    debugging = cli.with_variables(AUTHSVC_LOG_LEVEL="debug")
    created = debugging.run("webhooks", "create", URL, "--json")
    secret = json.loads(created.output)["secret"].removeprefix("whsec_")
    webhook_id = json.loads(created.output)["id"]
    assert created.output.count(secret) == 1
    assert created.errors == ""
    told = debugging.run("webhooks", "rotate-secret", webhook_id).output
    assert "never shown again" in told
    commands = [
        ("webhooks", "list"),
        ("webhooks", "show", webhook_id),
        ("webhooks", "update", webhook_id, "--event", "user.*"),
        ("webhooks", "disable", webhook_id),
        ("audit", "list"),
        ("jobs", "list"),
        ("doctor",),
        ("webhooks", "delete", webhook_id),
    ]
    for command in commands:
        for form in ((), ("--json",)):
            said = debugging.run(*command, *form)
            assert secret not in said.output + said.errors
            assert "whsec_" not in said.output + said.errors


def test_what_can_not_be_is_refused_in_a_line(cli: Cli) -> None:
    webhook_id = cli.json("webhooks", "create", URL)["id"]
    nobody = new_id(Clock().now())
    for command in ("show", "enable", "disable", "rotate-secret", "delete"):
        assert cli.run("webhooks", command, nobody).refusal() == "there is no such webhook"
    refusal = cli.run("webhooks", "create", "https://10.0.0.1/").refusal()
    assert "requests may not go to" in refusal
    assert "scheme" in cli.run("webhooks", "create", "http://receiver.example/").refusal()
    assert "webhooks events" in cli.run("webhooks", "create", URL, "--event", "user").refusal()
    assert "name a --url" in cli.run("webhooks", "update", webhook_id).refusal(2)
    assert len(cli.json("webhooks", "list")) == 1


def test_every_event_is_listed_with_what_it_means(cli: Cli) -> None:
    listed = {event["event"]: event["meaning"] for event in cli.json("webhooks", "events")}
    assert listed == EVENTS
    assert "login.failed" in cli.run("webhooks", "events").output


def test_dead_letters_are_seen_and_retried(any_cli: Cli, receiver: Receiver) -> None:
    cli = receiver.reached_from(any_cli)
    created = cli.json("webhooks", "create", receiver.url, "--event", "user.created")
    receiver.status = 410
    with working(cli):
        cli.json("users", "create", "ada", "--email", "ada@example.org")
        until(lambda: entries_of(cli, "dead"))
        assert "1 outbox entries were given up" in cli.run("doctor").output
        assert f"given up for the webhook {created['id']}: 1" in cli.run("doctor").output
        (dead,) = entries_of(cli, "dead")
        assert (dead["kind"], dead["receiver"]) == ("webhook", created["id"])
        assert dead["last_error"] == "the receiver answered 410"
        receiver.status = 200
        assert cli.json("jobs", "retry", dead["id"]) == {"retried": 1}
        until(lambda: len(receiver.received) == 2)
        until(lambda: not entries_of(cli, "waiting"))

    (first, body), (second, again) = receiver.received
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    Verifier(created["secret"]).verify(again, second)
    secret = created["secret"].removeprefix("whsec_")
    assert secret not in (cli.folder / "worker.log").read_text()


def test_what_a_killed_worker_had_under_way_is_sent_again(
    any_cli: Cli, backend: Backend, receiver: Receiver
) -> None:
    cli = receiver.reached_from(any_cli)
    created = cli.json("webhooks", "create", receiver.url, "--event", "user.created")
    receiver.may_answer.clear()
    with working(cli) as worker:
        cli.json("users", "create", "ada", "--email", "ada@example.org")
        assert receiver.asked.wait(PATIENCE)
        worker.send_signal(signal.SIGKILL)
        worker.wait(PATIENCE)
    receiver.may_answer.set()
    (entry,) = entries_of(cli, "waiting")
    assert entry["attempts"] == 1

    async def deliver(clock: MovableClock) -> None:
        settings = backend.settings(webhook_networks=NETWORKS, outbound_ca_file=receiver.ca_file)
        async with open_resources(settings, clock=clock) as resources:
            await deliver_webhooks(open_authorization_server(resources))

    clock = MovableClock()
    asyncio.run(deliver(clock))
    assert len(receiver.received) == 1
    clock.move(minutes=2)
    asyncio.run(deliver(clock))

    assert entries_of(cli, "waiting") == entries_of(cli, "dead") == []
    (first, body), (second, again) = receiver.received
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    Verifier(created["secret"]).verify(again, second)


def test_the_doctor_looks_at_secrets_and_at_what_was_given_up(cli: Cli) -> None:
    assert "webhooks" not in cli.run("doctor").output
    webhook_id = cli.json("webhooks", "create", URL)["id"]
    cli.json("webhooks", "rotate-secret", webhook_id)
    assert "webhooks: 1, of them 0 disabled" in cli.run("doctor").output
    rotating = cli.with_variables(AUTHSVC_MASTER_KEY=f"{OTHER_MASTER_KEY} {MASTER_KEY}")
    assert "2 secrets of webhooks are under an older one" in rotating.run("doctor").output
    assert rotating.json("keys", "rewrap")["webhook_secrets"] == 2
    assert "older" not in rotating.run("doctor").output

    # One that was sealed by a process that had not heard of the new key yet.
    stale = rotating.with_variables(AUTHSVC_MASTER_KEY=f"{MASTER_KEY} {OTHER_MASTER_KEY}")
    stale.json("webhooks", "rotate-secret", webhook_id)
    rotated = cli.with_variables(AUTHSVC_MASTER_KEY=OTHER_MASTER_KEY)
    said = rotated.run("doctor")
    assert f"no master key opens a secret of the webhook {webhook_id}" in said.output
    assert said.code == 1


def until(condition: Any) -> None:
    """Wait until ``condition`` holds."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.05)
