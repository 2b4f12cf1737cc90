"""``authsvc audit``."""

import json

from jwt import PyJWK, PyJWS

from tests.cli.command import Cli


def make_events(cli: Cli) -> None:
    for name in ("reader", "writer", "closer"):
        cli.json("roles", "create", name)


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


def test_a_head_that_is_none_is_wrong_usage(cli: Cli) -> None:
    cli.run("audit", "verify", "--head", "7").refusal(2)


def test_the_signed_head_is_a_jws_that_the_public_keys_verify_and_no_token(any_cli: Cli) -> None:
    make_events(any_cli)
    exported = any_cli.json("audit", "head")
    text = exported["checkpoint"]
    assert any_cli.run("audit", "head").output == f"{text}\n"

    jwks = any_cli.json("keys", "jwks")
    jwk = next(jwk for jwk in jwks["keys"] if jwk["kid"] == exported["kid"])
    content = PyJWS().decode(text, PyJWK(jwk).key, algorithms=[jwk["alg"]])
    claims = json.loads(content)

    verified = any_cli.json("audit", "verify")
    assert f"{claims['position']}:{claims['chain_hash']}" == verified["head"] == exported["head"]
    assert verified["checkpoints"] == 1
    assert claims["iss"] == "http://127.0.0.1:8000" == exported["issuer"]
    assert set(claims) == {"iss", "iat", "position", "chain_hash", "previous", "mac"}
    assert PyJWS().get_unverified_header(text)["typ"] == "audit-checkpoint+jwt"


def test_a_head_is_verified_from_a_file_and_from_standard_input(any_cli: Cli) -> None:
    make_events(any_cli)
    heads = any_cli.folder / "heads"
    with heads.open("a") as file:
        file.write(any_cli.run("audit", "head").output)
        any_cli.json("roles", "delete", "reader")
        file.write(any_cli.run("audit", "head").output)
        file.write(any_cli.json("audit", "verify")["head"] + "\n")

    whole = any_cli.run("audit", "verify", "--head", str(heads))
    assert whole.code == 0, whole.errors
    assert "2 signed checkpoints" in whole.output
    assert any_cli.run("audit", "verify", "--head", "-", stdin=heads.read_text()).code == 0
    assert "no head" in any_cli.run("audit", "verify", "--head", "-").refusal()


def test_without_a_head_it_is_said_what_a_cut_off_end_needs_to_be_seen(cli: Cli) -> None:
    make_events(cli)
    head = cli.json("audit", "verify")["head"]
    assert "only against a head that was kept elsewhere" in cli.run("audit", "verify").output
    assert "kept elsewhere" not in cli.run("audit", "verify", "--head", head).output
