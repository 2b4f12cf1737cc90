"""``authsvc audit``."""

import sqlite3
from pathlib import Path

from tests.cli.command import Cli


def make_events(cli: Cli) -> None:
    for name in ("reader", "writer", "closer"):
        cli.json("roles", "create", name)


def change_database(cli: Cli, statement: str) -> None:
    path = Path(cli.variables["AUTHSVC_DATABASE_URL"].removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(statement)
    finally:
        connection.close()


def test_events_are_listed_newest_first_and_in_parts(any_cli: Cli) -> None:
    make_events(any_cli)
    events = any_cli.json("audit", "list")
    assert [event["subject"] for event in events[:3]] == ["closer", "writer", "reader"]
    assert set(events[0]) == {
        "id", "at", "event", "actor", "subject", "client_id", "address", "request_id", "details",
    }  # fmt: skip
    assert any_cli.json("audit", "list", "--limit", "1") == events[:1]
    assert any_cli.json("audit", "list", "--before", events[0]["id"]) == events[1:]
    assert any_cli.json("audit", "list", "--event", "role.created") == events[:3]
    assert any_cli.json("audit", "list", "--event", "none") == []
    assert "role.created" in any_cli.run("audit", "list").output


def test_what_is_no_event_is_refused_as_the_place_to_begin_at(cli: Cli) -> None:
    for before in ("x", "", "9" * 40):
        refusal = cli.run("audit", "list", "--before", before, "--json").refusal()
        assert refusal.startswith("--before is the id of an event")


def test_a_log_that_nobody_touched_is_whole(any_cli: Cli) -> None:
    make_events(any_cli)
    first = any_cli.json("audit", "verify")
    assert first["ok"] is True
    assert first["head"].startswith(f"{first['checked']}:")
    any_cli.json("roles", "delete", "reader")
    second = any_cli.json("audit", "verify", "--head", first["head"])
    assert second["checked"] == first["checked"] + 1
    assert second["head"] in any_cli.run("audit", "verify").output


def test_a_changed_event_is_named(cli: Cli) -> None:
    make_events(cli)
    cli.json("audit", "verify")
    event = cli.json("audit", "list", "--event", "role.created")[1]
    change_database(cli, f"UPDATE audit_events SET actor = 'cli:nobody' WHERE id = '{event['id']}'")
    refusal = cli.run("audit", "verify").refusal()
    assert event["id"] in refusal
    assert "changed" in refusal
    verified = cli.run("audit", "verify", "--json")
    assert verified.code == 1
    assert '"ok": false' in verified.output


def test_an_end_that_was_cut_off_is_seen_against_a_head_from_before(cli: Cli) -> None:
    make_events(cli)
    head = cli.json("audit", "verify")["head"]
    position = int(head.partition(":")[0])
    change_database(cli, f"DELETE FROM audit_events WHERE position = {position}")
    change_database(
        cli,
        f"UPDATE audit_heads SET position = {position - 1}, chain_hash = "
        f"(SELECT chain_hash FROM audit_events WHERE position = {position - 1})",
    )
    assert cli.json("audit", "verify")["ok"] is True
    assert "removed" in cli.run("audit", "verify", "--head", head).refusal()
    cli.json("roles", "create", "another")
    assert "another one" in cli.run("audit", "verify", "--head", head).refusal()


def test_a_head_that_is_none_is_wrong_usage(cli: Cli) -> None:
    cli.run("audit", "verify", "--head", "7").refusal(2)
