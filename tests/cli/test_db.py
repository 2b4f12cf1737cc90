"""``authsvc db``."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.storage.revisions import newest_revision
from tests.cli.command import Cli, variables_of
from tests.conftest import Backend
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def empty_cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cli]:
    """The command line on a database that nobody has migrated."""
    if request.param == "sqlite":
        yield Cli(tmp_path, variables_of(Backend("sqlite", f"sqlite:///{tmp_path}/empty.db", None)))
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield Cli(tmp_path, variables_of(Backend("postgres", url, None)))
    server.drop_database(url)


def test_up_and_down_and_up_again(empty_cli: Cli) -> None:
    newest = newest_revision()
    assert empty_cli.json("db", "current") == {
        "revision": None, "newest": newest, "up_to_date": False,
    }  # fmt: skip
    up = empty_cli.json("db", "upgrade")
    assert (up["from"], up["to"], len(up["signing_keys"])) == (None, newest, 8)
    assert empty_cli.json("db", "upgrade") == {"from": newest, "to": newest, "signing_keys": []}
    assert empty_cli.json("db", "check") == {
        "ok": True, "revision": newest, "newest": newest, "differences": [],
    }  # fmt: skip
    assert len(empty_cli.json("keys", "list")) == 8
    (event,) = empty_cli.json("audit", "list", "--event", "schema.upgraded")
    assert event["details"] == {"before": "base", "after": newest}
    down = empty_cli.json("db", "downgrade", "base")
    assert down == {"from": newest, "to": None, "signing_keys": []}
    assert empty_cli.json("db", "downgrade", "base")["from"] is None
    assert empty_cli.json("db", "upgrade", newest)["to"] == newest


def test_every_other_command_says_what_an_empty_database_needs(empty_cli: Cli) -> None:
    for command in (("users", "list"), ("keys", "rotate"), ("audit", "verify"), ("serve",)):
        refusal = empty_cli.run(*command).refusal()
        assert refusal == "the database has no tables yet: run `authsvc db upgrade`"
    assert "no tables" in empty_cli.run("db", "check").refusal()


def test_looking_does_not_make_a_database(blank_cli: Cli) -> None:
    blank_cli.run("users", "list").refusal()
    assert blank_cli.json("db", "current")["revision"] is None
    assert not list(blank_cli.folder.rglob("*.db"))


def test_an_unknown_revision_is_refused_with_those_there_are(cli: Cli) -> None:
    for command in ("upgrade", "downgrade"):
        refusal = cli.run("db", command, "abc").refusal()
        assert refusal.startswith("there is no revision 'abc'; there are base, 0001")


def test_up_is_not_down_and_down_is_not_up(cli: Cli, empty_cli: Cli) -> None:
    assert "above base" in cli.run("db", "upgrade", "base").refusal()
    assert "below" in empty_cli.run("db", "downgrade", newest_revision()).refusal()


def test_a_schema_that_drifted_is_found(cli: Cli) -> None:
    path = cli.variables["AUTHSVC_DATABASE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE users ADD COLUMN nickname TEXT")
    connection.close()
    assert "nickname" in cli.run("db", "check").refusal()
    checked = cli.run("db", "check", "--json")
    assert checked.code == 1
    assert '"ok": false' in checked.output


def test_a_schema_of_a_newer_version_is_used_but_not_migrated(cli: Cli) -> None:
    path = cli.variables["AUTHSVC_DATABASE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert cli.json("users", "list") == []
    assert "newer version" in cli.run("db", "upgrade").refusal()
    assert "newer version" in cli.run("db", "downgrade", "base").refusal()
    cli.run("db", "check").refusal()
