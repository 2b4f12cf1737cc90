"""``authsvc clients``."""

import json
from typing import Any

from tests.cli.command import Cli

WEB: dict[str, Any] = {"redirect_uris": ["https://app.example/callback"], "client_name": "Web"}
SECRET = "a-client-secret-of-at-least-32-characters"


def create(cli: Cli, metadata: dict[str, Any] = WEB, *arguments: str) -> dict[str, Any]:
    document = cli.json(
        "clients", "create", "--metadata", "-", *arguments, stdin=json.dumps(metadata)
    )
    assert isinstance(document, dict)
    return document


def test_creating_answers_the_registration_response_with_the_secret_this_once(
    any_cli: Cli,
) -> None:
    created = create(any_cli, WEB, "--client-id", "web")
    assert created["client_id"] == "web"
    assert created["redirect_uris"] == WEB["redirect_uris"]
    assert created["token_endpoint_auth_method"] == "client_secret_basic"
    assert len(created.pop("client_secret")) == 43
    assert created["client_secret_expires_at"] == 0
    assert any_cli.json("clients", "show", "web") == {**created, "roles": [], "permissions": []}
    assert any_cli.json("clients", "list") == [created]


def test_metadata_may_come_from_a_file_and_the_secret_from_standard_input(cli: Cli) -> None:
    (cli.folder / "web.json").write_text(json.dumps(WEB))
    created = cli.json(
        "clients", "create", "--client-id", "web", "--metadata", "web.json",
        "--client-secret-stdin", stdin=SECRET + "\n",
    )  # fmt: skip
    assert created["client_secret"] == SECRET


def test_standard_input_is_not_two_things_at_once(cli: Cli) -> None:
    cli.run("clients", "create", "--metadata", "-", "--client-secret-stdin").refusal(2)


def test_metadata_that_is_wrong_says_what_is(cli: Cli) -> None:
    assert "redirect_uris" in cli.run("clients", "create").refusal()
    for text, reason in (
        ("{", "standard input is not JSON"),
        ("[]", "standard input is not a JSON object"),
        ('{"redirect_uris": ["http://evil.example"]}', "redirect_uris"),
    ):
        refused = cli.run("clients", "create", "--metadata", "-", stdin=text)
        assert reason in refused.refusal()
    refusal = cli.run("clients", "create", "--metadata", "none.json").refusal()
    assert refusal == "none.json can not be read: No such file or directory"
    assert cli.json("clients", "list") == []


def test_a_member_that_means_nothing_here_is_ignored_and_named(cli: Cli) -> None:
    unknown = {**WEB, "client_nmae": "Web", "use_mtls_endpoint_aliases": True, "client_id": "x"}
    made = cli.run(
        "clients", "create", "--client-id", "web", "--json", "--metadata", "-",
        stdin=json.dumps(unknown),
    )  # fmt: skip
    assert (made.code, json.loads(made.output)["client_id"]) == (0, "web")
    assert made.errors == (
        "warning: ignored, they mean nothing here: "
        "client_id, client_nmae, use_mtls_endpoint_aliases\n"
    )
    changed = cli.run(
        "clients", "update", "web", "--metadata", "-", stdin='{"client_\\u001bname": null}'
    )
    assert changed.code == 0
    assert changed.errors.endswith(": client_\\u001bname\n")
    refused = cli.run("clients", "create", "--metadata", "-", stdin='{"client_nmae": "Web"}')
    assert "redirect_uris" in refused.refusal()


def test_what_is_known_and_what_was_answered_is_taken_without_a_word(cli: Cli) -> None:
    known = {
        **WEB,
        "client_name#de": "Netz",
        "contacts": ["ada@app.example"],
        "software_id": "web",
        "default_acr_values": ["aal1"],
        "request_uris": ["https://app.example/request"],
        "dpop_bound_access_tokens": False,
    }
    answered = create(cli, known, "--client-id", "web")
    shown = cli.json("clients", "show", "web")
    update = ("clients", "update", "web", "--metadata", "-")
    del answered["client_secret"]
    assert cli.json(*update, stdin=json.dumps(answered))["client_name#de"] == "Netz"
    assert cli.json(*update, stdin=json.dumps(shown))["client_name#de"] == "Netz"
    assert "client_name#de" not in cli.json(*update, stdin='{"client_name#de": null}')


def test_a_guessable_secret_is_refused(cli: Cli) -> None:
    (cli.folder / "web.json").write_text(json.dumps(WEB))
    refused = cli.run(
        "clients", "create", "--metadata", "web.json", "--client-secret-stdin", stdin="secret"
    )
    assert "16 to 256" in refused.refusal()


def test_a_second_client_of_the_identifier_is_a_conflict(cli: Cli) -> None:
    create(cli, WEB, "--client-id", "web")
    refused = cli.run(
        "clients", "create", "--client-id", "web", "--metadata", "-", stdin=json.dumps(WEB)
    )
    assert "already" in refused.refusal()


def test_updating_changes_the_members_that_are_named(any_cli: Cli) -> None:
    create(any_cli, WEB, "--client-id", "web")
    changed = any_cli.json(
        "clients", "update", "web", "--metadata", "-", stdin='{"scope": "openid orders:read"}'
    )
    assert changed["scope"] == "openid orders:read"
    assert changed["client_name"] == "Web"
    assert "client_secret" not in changed
    removed = any_cli.json(
        "clients", "update", "web", "--metadata", "-", stdin='{"client_name": null}'
    )
    assert "client_name" not in removed
    refused = any_cli.run("clients", "update", "nobody", "--metadata", "-", stdin="{}")
    assert refused.refusal() == "there is no such client"


def test_a_rotated_secret_is_new_and_says_what_becomes_of_the_old(cli: Cli) -> None:
    created = create(cli, WEB, "--client-id", "web")
    rotated = cli.json("clients", "rotate-secret", "web", "--overlap", "60")
    assert rotated["client_secret"] != created["client_secret"]
    assert "invalid from now on" in cli.run("clients", "rotate-secret", "web").output
    said = cli.run("clients", "rotate-secret", "web", "--overlap", "60").output
    assert "60 seconds" in said
    cli.run("clients", "rotate-secret", "web", "--overlap", "-1").refusal(2)


def test_a_client_without_a_secret_has_none_to_rotate(cli: Cli) -> None:
    public = {**WEB, "token_endpoint_auth_method": "none"}
    assert "client_secret" not in create(cli, public, "--client-id", "app")
    assert "secret" in cli.run("clients", "rotate-secret", "app").refusal()


def test_a_deleted_client_is_gone(cli: Cli) -> None:
    create(cli, WEB, "--client-id", "web")
    assert cli.json("clients", "delete", "web") == {"client_id": "web", "deleted": True}
    assert cli.run("clients", "delete", "web").refusal() == "there is no such client"
