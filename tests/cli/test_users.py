"""``authsvc users``."""

import json
import shlex
from uuid import UUID

import pytest

from tests.cli.command import Cli

PASSWORD = "correct horse battery"


def create(cli: Cli, username: str = "ada", *arguments: str) -> dict[str, object]:
    document = cli.json(
        "users", "create", username, "--email", f"{username}@example.org", *arguments
    )
    assert isinstance(document, dict)
    return document


def test_a_created_person_is_shown_with_everything_but_the_password(any_cli: Cli) -> None:
    created = any_cli.json(
        "users",
        "create",
        "ada",
        "--email",
        "ada@example.org",
        "--email-verified",
        "--claim",
        'given_name="Ada"',
        "--claim",
        'address={"country": "GB"}',
        "--password-stdin",
        stdin=PASSWORD,
    )
    UUID(created["id"])
    assert created["username"] == "ada"
    assert created["email"] == "ada@example.org"
    assert created["email_verified"] is True
    assert created["disabled"] is False
    assert created["claims"] == {"given_name": "Ada", "address": {"country": "GB"}}
    assert created["created_at"].endswith("+00:00")
    assert "password" not in json.dumps(created)
    shown = any_cli.json("users", "show", "ada")
    assert shown == {**created, "roles": [], "permissions": []}
    assert any_cli.json("users", "list") == [created]


def test_a_person_is_found_by_name_by_address_and_by_identifier(cli: Cli) -> None:
    created = create(cli)
    for reference in ("ADA", "Ada@Example.org", str(created["id"])):
        assert cli.json("users", "show", reference)["id"] == created["id"]


def test_a_name_that_is_taken_is_a_conflict(cli: Cli) -> None:
    create(cli)
    refused = cli.run("users", "create", "Ada", "--email", "other@example.org", "--json")
    assert "already" in refused.refusal()


def test_of_a_password_exactly_one_newline_is_taken_off(cli: Cli, tmp_path: object) -> None:
    for ending, shortest in (("\n", 8), ("\r\n", 8), ("\n\n", 7), ("", 8)):
        password = "pf7!kQz2"[:shortest]
        name = f"user{len(ending)}{shortest}"
        created = cli.run(
            "users", "create", name, "--email", f"{name}@example.org", "--password-stdin",
            "--json", stdin=password + ending,
        )  # fmt: skip
        assert created.code == 0, (ending, created.errors)
        assert "password" not in created.output


def test_a_password_that_everybody_tries_is_refused(cli: Cli) -> None:
    refused = cli.run(
        "users", "create", "ada", "--email", "a@example.org", "--password-stdin", stdin="password1"
    )
    assert "among the first that are tried" in refused.refusal()
    assert cli.json("users", "list") == []


def test_an_empty_password_is_refused_before_anything_is_written(cli: Cli) -> None:
    refused = cli.run(
        "users", "create", "ada", "--email", "a@example.org", "--password-stdin", stdin="\n"
    )
    assert refused.refusal() == "there is no password on standard input"
    assert cli.json("users", "list") == []


def test_a_password_in_another_encoding_is_refused(cli: Cli) -> None:
    refused = cli.run(
        "users", "create", "ada", "--email", "a@example.org", "--password-stdin",
        stdin="überlang und geheim".encode("latin-1"),
    )  # fmt: skip
    assert refused.refusal() == "standard input is not UTF-8 text"


def test_without_a_password_the_operator_is_told_what_is_missing(cli: Cli) -> None:
    said = cli.run("users", "create", "ada", "--email", "ada@example.org")
    assert said.code == 0
    assert "authsvc users set-password ada" in said.output


def test_both_sources_of_a_password_are_wrong_usage(cli: Cli) -> None:
    refused = cli.run(
        "users", "create", "a", "--email", "a@example.org", "--password-stdin", "--password-prompt"
    )
    refused.refusal(2)


def test_a_prompt_without_a_terminal_is_wrong_usage(cli: Cli) -> None:
    create(cli)
    assert "--password-stdin" in cli.run("users", "set-password", "ada").refusal(2)


def test_a_claim_that_is_not_json_is_wrong_usage_and_one_against_the_rules_is_refused(
    cli: Cli,
) -> None:
    start = ("users", "create", "ada", "--email", "ada@example.org", "--claim")
    for claim in ("given_name=Ada", "given_name", '="x"', ""):
        cli.run(*start, claim).refusal(2)
    assert "birthdate" in cli.run(*start, 'birthdate="tomorrow"').refusal()
    refused = cli.run(*start, 'given_name="Ada"', "--claim", 'sub="1"')
    assert refused.refusal() == "--claim sub: the claim belongs to the protocol and can not be set"
    refused = cli.run(*start, 'given_name="Ada"', "--claim", "family_name=L")
    assert "--claim family_name=L: a claim is NAME=JSON" in refused.refusal(2)
    assert cli.json("users", "list") == []


def test_disabling_and_enabling_are_safe_to_repeat(cli: Cli) -> None:
    create(cli)
    for command, disabled in (("disable", True), ("enable", False)):
        for _ in range(2):
            assert cli.json("users", command, "ada")["disabled"] is disabled


def test_a_new_password_replaces_the_old_one(cli: Cli) -> None:
    created = create(cli)
    changed = cli.json("users", "set-password", "ada", "--password-stdin", stdin=PASSWORD)
    assert changed["id"] == created["id"]
    refused = cli.run("users", "set-password", "ada", "--password-stdin", stdin="ada")
    assert "at least 8" in refused.refusal()


def test_a_deleted_person_is_gone(cli: Cli) -> None:
    create(cli)
    assert cli.json("users", "delete", "ada")["username"] == "ada"
    assert cli.run("users", "delete", "ada").refusal() == "there is no such user"


def test_revoking_sessions_counts_them(cli: Cli) -> None:
    create(cli)
    assert cli.json("users", "revoke-sessions", "ada")["sessions_revoked"] == 0


def test_a_list_can_be_read_in_parts(cli: Cli) -> None:
    made = [create(cli, name) for name in ("ada", "bob", "cyd")]
    first = cli.json("users", "list", "--limit", "2")
    assert first == made[:2]
    assert cli.json("users", "list", "--after", first[-1]["id"]) == made[2:]


def test_who_did_it_is_in_the_audit_log(cli: Cli) -> None:
    created = create(cli)
    (event,) = cli.json("audit", "list", "--event", "user.created")
    assert event["actor"].startswith("cli:")
    assert event["subject"] == created["id"]


def test_a_command_to_copy_names_the_person_as_a_shell_reads_it(cli: Cli) -> None:
    said = cli.run("users", "create", "sp ace $(id)", "--email", "s@example.org").output
    command = said.partition("There is no password yet: ")[2]
    assert shlex.split(command) == ["authsvc", "users", "set-password", "sp ace $(id)"]


@pytest.mark.parametrize("group", ["users", "clients"])
def test_behind_the_last_one_there_are_no_more(cli: Cli, group: str) -> None:
    assert f"There are no {group} yet" in cli.run(group, "list").output
    assert cli.run(group, "list", "--after", "zzz").output == f"There are no more {group}.\n"
