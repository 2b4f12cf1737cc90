"""``authsvc keys``."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.resources import Resources
from tests.cli.command import OTHER_MASTER_KEY, PATIENCE, Cli
from tests.cli.conftest import Inside
from tests.cli.inside import sign_in
from tests.conftest import MASTER_KEY

MEMBERS = [
    "kid", "alg", "state", "created_at", "usable_at", "activated_at", "retired_at", "revoked_at",
]  # fmt: skip


def keys_of(cli: Cli, alg: str, state: str) -> list[dict[str, Any]]:
    keys = cli.json("keys", "list")
    return [key for key in keys if (key["alg"], key["state"]) == (alg, state)]


def test_each_algorithm_has_an_active_and_a_next_key(any_cli: Cli) -> None:
    keys = any_cli.json("keys", "list")
    assert all(list(key) == MEMBERS for key in keys)
    assert Counter((key["alg"], key["state"]) for key in keys) == {
        (alg, state): 1
        for alg in ("ES256", "RS256", "PS256", "EdDSA")
        for state in ("active", "next")
    }


def test_a_rotation_moves_every_algorithm_on_and_a_second_one_is_too_early(any_cli: Cli) -> None:
    (before,) = keys_of(any_cli, "ES256", "active")
    (following,) = keys_of(any_cli, "ES256", "next")
    outcomes = {outcome["alg"]: outcome for outcome in any_cli.json("keys", "rotate")}
    assert set(outcomes) == {"ES256", "RS256", "PS256", "EdDSA"}
    assert outcomes["ES256"]["retired"] == before["kid"]
    assert outcomes["ES256"]["active"] == following["kid"]
    for outcome in any_cli.json("keys", "rotate"):
        assert outcome["active"] is None
        (following,) = keys_of(any_cli, outcome["alg"], "next")
        assert outcome["next_usable_at"] == following["usable_at"]
    said = any_cli.run("keys", "rotate")
    assert said.code == 0
    assert said.output.count("too early, the next key may sign from 20") == 4


def test_two_rotations_at_once_make_one(any_cli: Cli) -> None:
    processes = [any_cli.start("keys", "rotate", "--json") for _ in range(2)]
    outcomes: list[dict[str, Any]] = []
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        outcomes += json.loads(output)
    assert Counter(outcome["alg"] for outcome in outcomes if outcome["active"]) == {
        "ES256": 1, "RS256": 1, "PS256": 1, "EdDSA": 1,
    }  # fmt: skip
    states = Counter(key["state"] for key in any_cli.json("keys", "list"))
    assert states == {"retired": 4, "active": 4, "next": 4}


def test_a_generated_key_is_published_before_it_may_sign(cli: Cli) -> None:
    made = cli.json("keys", "generate", "--alg", "EdDSA")
    assert (made["alg"], made["state"], made["activated_at"]) == ("EdDSA", "next", None)
    assert made["usable_at"] > made["created_at"]
    assert made["kid"] in [key["kid"] for key in cli.json("keys", "jwks")["keys"]]


def test_an_unknown_algorithm_is_wrong_usage(cli: Cli) -> None:
    assert "'--alg'" in cli.run("keys", "generate", "--alg", "HS256").refusal(2)
    assert "--alg" in cli.run("keys", "generate").refusal(2)


def test_a_key_of_our_own_can_be_imported_once(cli: Cli) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (cli.folder / "key.pem").write_bytes(pem)
    imported = cli.json("keys", "import", "key.pem", "--alg", "ES256")
    assert imported["state"] == "next"
    assert "already" in cli.run("keys", "import", "-", "--alg", "ES256", stdin=pem).refusal()
    assert "RS256" in cli.run("keys", "import", "-", "--alg", "RS256", stdin=pem).refusal()
    refused = cli.run("keys", "import", "-", "--alg", "ES256", stdin="no key")
    assert "PEM" in refused.refusal()


def test_the_jwks_holds_public_members_alone(cli: Cli) -> None:
    document = cli.json("keys", "jwks")
    assert len(document["keys"]) == 8
    for key in document["keys"]:
        assert key["use"] == "sig"
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert json.loads(cli.run("keys", "jwks").output) == document


def test_a_retired_key_signs_no_more_and_retiring_is_safe_to_repeat(cli: Cli) -> None:
    (active,) = keys_of(cli, "ES256", "active")
    for _ in range(2):
        assert cli.json("keys", "retire", active["kid"])["state"] == "retired"
    (following,) = keys_of(cli, "ES256", "active")
    (waiting,) = keys_of(cli, "ES256", "next")
    usable_at = datetime.fromisoformat(waiting["usable_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    refusal = cli.run("keys", "retire", following["kid"]).refusal()
    assert "long enough" in refusal
    assert f"from {usable_at} on" in refusal
    cli.json("keys", "retire", waiting["kid"])
    refusal = cli.run("keys", "retire", following["kid"]).refusal()
    assert refusal == "there is no next ES256 key to take its place: generate one"
    assert cli.run("keys", "retire", "nothing").refusal() == "there is no such key"


@pytest.mark.parametrize("command", ["retire", "revoke"])
@pytest.mark.parametrize("kid", ["-f4x_", "--b-x", "-1", "_-"])
def test_a_kid_may_begin_with_a_dash(cli: Cli, command: str, kid: str) -> None:
    assert cli.run("keys", command, kid).refusal() == "there is no such key"
    cli.run("keys", command, kid, "--nothing").refusal(2)


def test_revoking_says_what_it_affects(cli: Cli, inside: Inside) -> None:
    (active,) = keys_of(cli, "ES256", "active")
    (following,) = keys_of(cli, "ES256", "next")
    user = cli.json("users", "create", "ada", "--email", "ada@example.org")
    metadata = '{"redirect_uris": ["https://app.example/cb"]}'
    cli.json("clients", "create", "--client-id", "web", "--metadata", "-", stdin=metadata)

    async def work(resources: Resources) -> None:
        await sign_in(resources, user["id"], "web")

    inside(work)
    revoked = cli.json("keys", "revoke", active["kid"])
    assert (revoked["kid"], revoked["alg"], revoked["state"]) == (
        active["kid"], "ES256", "revoked",
    )  # fmt: skip
    assert revoked["signed_from"] == active["activated_at"]
    assert revoked["signed_until"] == revoked["revoked_at"]
    assert revoked["last_expiry"] > revoked["revoked_at"]
    assert revoked["invalid"] == ["access_token", "id_token"]
    assert revoked["signing_now"] == following["kid"]
    assert revoked["living_families"] == 1
    assert cli.json("keys", "revoke", active["kid"]) == revoked
    said = cli.run("keys", "revoke", active["kid"]).output
    assert "1 families" in said
    assert following["kid"] in said
    assert active["kid"] not in [key["kid"] for key in cli.json("keys", "jwks")["keys"]]


def test_a_key_that_never_signed_affects_nothing(cli: Cli) -> None:
    (following,) = keys_of(cli, "EdDSA", "next")
    revoked = cli.json("keys", "revoke", following["kid"])
    assert (revoked["invalid"], revoked["signed_from"]) == ([], None)
    assert "never signed" in cli.run("keys", "revoke", following["kid"]).output
    assert cli.run("keys", "revoke", "nothing").refusal() == "there is no such key"


def test_the_master_key_can_be_rotated(any_cli: Cli) -> None:
    rotating = any_cli.with_variables(AUTHSVC_MASTER_KEY=f"{OTHER_MASTER_KEY} {MASTER_KEY}")
    assert rotating.json("keys", "rewrap") == {
        "signing_keys": 8,
        "root_secrets": 1,
        "client_secrets": 0,
        "webhook_secrets": 0,
    }
    assert set(rotating.json("keys", "rewrap").values()) == {0}
    rotated = any_cli.with_variables(AUTHSVC_MASTER_KEY=OTHER_MASTER_KEY)
    assert len(rotated.json("keys", "jwks")["keys"]) == 8
    assert "master key" in any_cli.run("keys", "jwks").refusal()
