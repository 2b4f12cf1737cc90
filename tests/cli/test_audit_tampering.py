"""Whoever changes the audit log or its checkpoints with SQL is found by ``audit verify``."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from authsvc.resources import Resources
from authsvc.signing.algorithms import generate_private_key, public_jwk
from authsvc.signing.audit_checkpoint import TYP
from authsvc.signing.jwt import parse_unverified_claims, sign
from authsvc.signing.keyring import SigningKey
from tests.cli.command import OTHER_MASTER_KEY, Cli, variables_of
from tests.cli.inside import run_inside
from tests.conftest import Backend, BackendName
from tests.provider import ORIGIN
from tests.tampering import tamper

EVENTS = 12
FIRST, SECOND = 9, 12
"""Where the two checkpoints are."""


@dataclass(frozen=True)
class Log:
    """A chained audit log with two checkpoints, of which both were kept elsewhere."""

    backend: Backend
    cli: Cli
    ids: list[str]
    checkpoints: list[str]

    def tamper(self, *statements: str) -> None:
        """Change it with SQL."""
        tamper(self.backend.database_url, *statements)

    def verify(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """Return the exit code and what was said."""
        result = self.cli.run("audit", "verify", *arguments, stdin=stdin)
        return result.code, result.output + result.errors

    def finding(self, *arguments: str, stdin: str = "") -> str:
        """Return the problem, which both forms of the command name."""
        code, said = self.verify(*arguments, stdin=stdin)
        document = self.cli.run("audit", "verify", *arguments, "--json", stdin=stdin)
        assert (code, document.code) == (1, 1), said
        problem = json.loads(document.output)["problem"]
        assert said == (
            f"error: the audit log was tampered with, at {said.split(' at ')[1].split(': ')[0]}"
            f": {problem}\n"
        )
        return said

    async def _write(self, resources: Resources) -> None:
        async with resources.database.transaction() as tx:
            await resources.audit.record(tx, "test", ORIGIN, now=resources.clock.now())

    def write(self, number: int) -> None:
        """Write events that are chained."""

        async def work(resources: Resources) -> None:
            for _ in range(number):
                await self._write(resources)
            async with resources.database.transaction() as tx:
                await resources.audit_chain.chain(tx)

        run_inside(self.backend.settings(), work)


@pytest.fixture(params=["sqlite", "postgres"])
def audit_log(
    request: pytest.FixtureRequest,
    make_backend: Callable[[BackendName], Backend],
    tmp_path: Path,
) -> Log:
    """A log on each database."""
    backend = make_backend(request.param)
    cli = Cli(tmp_path, variables_of(backend))
    log = Log(backend, cli, [], [])
    log.write(FIRST - len(cli.json("audit", "list")))
    log.checkpoints.append(cli.json("audit", "head")["checkpoint"])
    log.write(SECOND - FIRST)
    log.checkpoints.append(cli.json("audit", "head")["checkpoint"])
    log.ids.extend(event["id"] for event in cli.json("audit", "list")[::-1])
    assert len(log.ids) == EVENTS
    assert log.verify()[0] == 0
    return log


def test_a_changed_detail_is_named(audit_log: Log) -> None:
    audit_log.tamper("UPDATE audit_events SET details = '{\"a\": 1}' WHERE position = 5")
    said = audit_log.finding()
    assert f"at position 5, event {audit_log.ids[4]}: this event was changed" in said


def test_a_removed_event_is_named_by_the_one_after_it(audit_log: Log) -> None:
    audit_log.tamper("DELETE FROM audit_events WHERE position = 5")
    said = audit_log.finding()
    assert f"position 5, event {audit_log.ids[5]}: the events before this one were removed" in said


def test_swapped_events_are_named(audit_log: Log) -> None:
    audit_log.tamper(
        "UPDATE audit_events SET position = -5 WHERE position = 5",
        "UPDATE audit_events SET position = 5 WHERE position = 6",
        "UPDATE audit_events SET position = 6 WHERE position = -5",
    )
    said = audit_log.finding()
    assert f"position 5, event {audit_log.ids[5]}: this event does not follow" in said


CUT = "DELETE FROM audit_events WHERE position > 10"
WIND_BACK = (
    "UPDATE audit_heads SET position = 10, chain_hash ="
    " (SELECT chain_hash FROM audit_events WHERE position = 10)"
)


def test_a_removed_end_is_seen(audit_log: Log) -> None:
    audit_log.tamper(CUT)
    assert "position 11: the events at the end were removed" in audit_log.finding()


def test_a_head_that_was_wound_back_alone_is_seen(audit_log: Log) -> None:
    audit_log.tamper(WIND_BACK)
    assert "the stored head is not that of the last event" in audit_log.finding()


def test_an_end_removed_with_the_head_is_seen_against_a_stored_checkpoint(audit_log: Log) -> None:
    audit_log.tamper(CUT, WIND_BACK)
    assert "position 12: the log ends before this checkpoint" in audit_log.finding()
    assert "tampered with" in audit_log.cli.run("audit", "head").refusal()
    # Events that were written since take the places of those that are gone.
    audit_log.write(2)
    assert "position 12: the log is another one than that of this" in audit_log.finding()
    assert "tampered with" in audit_log.cli.run("audit", "head").refusal()


def test_an_end_removed_with_head_and_checkpoint_is_seen_against_a_kept_one_alone(
    audit_log: Log,
) -> None:
    audit_log.tamper(CUT, WIND_BACK, "DELETE FROM audit_checkpoints WHERE position = 12")
    code, said = audit_log.verify()
    assert code == 0
    assert "only against a head that was kept elsewhere" in said

    kept = audit_log.checkpoints[-1]
    assert "12: the log ends before the head" in audit_log.finding("--head", "-", stdin=kept)
    claims = parse_unverified_claims(kept)
    head = f"{claims['position']}:{claims['chain_hash']}"
    assert "12: the log ends before the head" in audit_log.finding("--head", head)
    audit_log.write(2)
    assert "12: the log is another one" in audit_log.finding("--head", "-", stdin=kept)
    assert audit_log.verify("--head", "-", stdin=audit_log.checkpoints[0])[0] == 0


def test_a_checkpoint_removed_from_the_middle_is_seen(audit_log: Log) -> None:
    audit_log.tamper(f"DELETE FROM audit_checkpoints WHERE position = {FIRST}")
    assert "position 12: the checkpoints before this one were removed" in audit_log.finding()


def _inside(log: Log, work: Callable[[Resources, SigningKey], str]) -> str:
    async def opened(resources: Resources) -> str:
        return work(resources, (await resources.keyring.get()).active("ES256"))

    text: str = run_inside(log.backend.settings(), opened)
    return text


def _replace(log: Log, text: str, jwk: Any = None) -> None:
    keys = "" if jwk is None else f", public_jwk = '{json.dumps(dict(jwk))}'"
    log.tamper(f"UPDATE audit_checkpoints SET checkpoint = '{text}'{keys} WHERE position = 9")


FORGED = "position 9: this checkpoint was changed, or was not made by this installation"


def test_a_checkpoint_whose_content_was_changed_is_named(audit_log: Log) -> None:
    header, content, signature = audit_log.checkpoints[0].split(".")
    decoded = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    changed = json.dumps({**decoded, "iat": decoded["iat"] - 1}).encode()
    forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
    _replace(audit_log, f"{header}.{forged}.{signature}")
    assert FORGED in audit_log.finding()


def test_a_checkpoint_that_a_stolen_signing_key_made_is_named(audit_log: Log) -> None:
    claims = parse_unverified_claims(audit_log.checkpoints[0])
    _replace(
        audit_log,
        _inside(audit_log, lambda _, key: sign(key, {**claims, "iat": 1}, typ=TYP)),
    )
    assert FORGED in audit_log.finding()


def test_a_checkpoint_signed_by_another_key_is_named_also_with_its_key_beside_it(
    audit_log: Log,
) -> None:
    key = _another_key()
    claims = parse_unverified_claims(audit_log.checkpoints[0])
    forged = sign(key, claims, typ=TYP)
    _replace(audit_log, forged, key.public_jwk)
    assert FORGED in audit_log.finding()
    assert (
        "none that this installation made"
        in audit_log.cli.run("audit", "verify", "--head", "-", stdin=forged).refusal()
    )


def test_a_checkpoint_whose_signature_alone_is_another_ones_is_named(audit_log: Log) -> None:
    content, _, _ = audit_log.checkpoints[0].rpartition(".")
    signature = audit_log.checkpoints[1].rpartition(".")[2]
    _replace(audit_log, f"{content}.{signature}")
    said = audit_log.finding()
    assert "position 9: this checkpoint was not signed by the key that it names" in said


def test_a_kept_checkpoint_whose_signature_is_another_ones_is_refused(audit_log: Log) -> None:
    content, _, _ = audit_log.checkpoints[0].rpartition(".")
    signature = audit_log.checkpoints[1].rpartition(".")[2]
    refusal = audit_log.cli.run(
        "audit", "verify", "--head", "-", stdin=f"{content}.{signature}"
    ).refusal()
    assert "not signed by the key that it names" in refusal


def test_a_checkpoint_whose_key_was_replaced_is_named(audit_log: Log) -> None:
    _replace(audit_log, audit_log.checkpoints[0], _another_key().public_jwk)
    said = audit_log.finding()
    assert "position 9: this checkpoint was not signed by the key that it names" in said


def test_a_checkpoint_of_another_installation_is_named(audit_log: Log, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    elsewhere = audit_log.cli.with_variables(
        AUTHSVC_DATABASE_URL=url, AUTHSVC_MASTER_KEY=OTHER_MASTER_KEY
    )
    elsewhere.json("db", "upgrade")
    foreign = elsewhere.json("audit", "head")["checkpoint"]
    refusal = audit_log.cli.run("audit", "verify", "--head", "-", stdin=foreign).refusal()
    assert "none that this installation made" in refusal
    _replace(audit_log, foreign)
    assert FORGED in audit_log.finding()


def test_a_token_of_ours_is_no_head(audit_log: Log) -> None:
    claims = parse_unverified_claims(audit_log.checkpoints[0])
    token = _inside(audit_log, lambda _, key: sign(key, claims, typ="at+jwt"))
    refusal = audit_log.cli.run("audit", "verify", "--head", "-", stdin=token).refusal()
    assert "none that this installation made" in refusal


def test_a_checkpoint_moved_to_another_position_is_named(audit_log: Log) -> None:
    audit_log.tamper("UPDATE audit_checkpoints SET position = 8 WHERE position = 9")
    assert "position 8: this checkpoint was moved" in audit_log.finding()


def test_a_checkpoint_is_verified_after_its_key_has_left_the_keyring(audit_log: Log) -> None:
    kid = audit_log.cli.json("audit", "head")["kid"]
    audit_log.tamper(f"DELETE FROM signing_keys WHERE kid = '{kid}'")
    assert audit_log.verify("--head", "-", stdin="\n".join(audit_log.checkpoints))[0] == 0
    # The signature still counts: the public key is kept beside the checkpoint.
    _replace(audit_log, audit_log.checkpoints[0][:-4] + "AAAA")
    assert "not signed by the key" in audit_log.finding()


def _another_key() -> SigningKey:
    private_key = generate_private_key("ES256")
    jwk = public_jwk(private_key, "ES256")
    return SigningKey(
        kid=jwk["kid"],
        alg="ES256",
        state="active",
        private_key=private_key,
        public_key=private_key.public_key(),
        public_jwk=jwk,
        since=datetime.now(UTC),
        is_sealed_anew=True,
    )
