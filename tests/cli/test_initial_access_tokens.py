"""``authsvc clients initial-access-token``."""

import json
import re

import pytest

from tests.cli.command import Cli


def test_the_token_is_printed_once_and_its_making_is_audited(any_cli: Cli) -> None:
    made = any_cli.json("clients", "initial-access-token")

    assert made.keys() == {"id", "token", "uses", "expires_at"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", made["token"])
    assert made["uses"] == 1
    (event,) = any_cli.json("audit", "list", "--event", "initial_access_token.created")
    assert event["subject"] == made["id"]
    assert event["actor"].startswith("cli:")
    assert event["details"] == {"uses": 1, "ttl_seconds": 86_400}
    assert made["token"] not in json.dumps(event)


def test_uses_and_life_are_options_and_a_person_is_told_to_keep_it(cli: Cli) -> None:
    said = cli.run("clients", "initial-access-token", "--uses", "5", "--ttl", "60")
    assert said.code == 0
    assert re.search(r"^uses +5$", said.output, re.MULTILINE)
    assert "never shown again" in said.output
    unlimited = cli.json("clients", "initial-access-token", "--uses", "0")
    assert unlimited["uses"] is None


@pytest.mark.parametrize("option", [("--uses", "-1"), ("--ttl", "0"), ("--ttl", "x")])
def test_what_makes_no_sense_is_wrong_usage(cli: Cli, option: tuple[str, str]) -> None:
    cli.run("clients", "initial-access-token", *option).refusal(2)
