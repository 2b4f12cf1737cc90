"""``authsvc doctor``."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

import redis

from authsvc.cli.checks_of_storage import check_keys
from authsvc.config import Settings
from authsvc.signing.algorithms import ALGORITHMS
from authsvc.storage.signing_keys import SigningKeyRow
from tests.cli.command import OTHER_MASTER_KEY, Cli
from tests.conftest import MASTER_KEY
from tests.mail_catcher import PASSWORD, USER, open_mail_catcher
from tests.servers import RedisServer

UNREACHABLE = "postgresql://authsvc:secret@127.0.0.1:1/authsvc"


def examine(cli: Cli, code: int = 0) -> list[dict[str, Any]]:
    result = cli.run("doctor", "--json")
    assert result.code == code, result.output + result.errors
    findings = json.loads(result.output)
    assert all(list(finding) == ["check", "status", "finding", "advice"] for finding in findings)
    assert all(finding["advice"] for finding in findings if finding["status"] != "ok")
    assert code == int(any(finding["status"] == "error" for finding in findings))
    return list(findings)


def finding_of(findings: list[dict[str, Any]], check: str, status: str) -> str:
    (found,) = [f for f in findings if (f["check"], f["status"]) == (check, status)]
    return f"{found['finding']} {found['advice']}"


def test_a_healthy_service_has_nothing_wrong(any_cli: Cli) -> None:
    any_cli.json("init")
    findings = examine(any_cli)
    assert {finding["status"] for finding in findings} == {"ok"}
    assert {finding["check"] for finding in findings} == {
        "configuration", "certificates", "database", "redis", "master key", "keys",
        "administrators", "jobs", "clock", "mail",
    }  # fmt: skip
    assert any_cli.run("doctor").output.count("ok  ") == len(findings)


def test_a_wrong_setting_is_the_finding(cli: Cli) -> None:
    (found,) = examine(cli.with_variables(AUTHSVC_SESSION_TTL="soon"), 1)
    assert found["check"] == "configuration"
    assert "AUTHSVC_SESSION_TTL" in found["finding"]


def test_a_system_without_authorities_is_a_warning_unless_a_bundle_is_set(cli: Cli) -> None:
    bare = cli.with_variables(SSL_CERT_FILE="/nonexistent", SSL_CERT_DIR="/nonexistent")
    found = finding_of(examine(bare), "certificates", "warning")
    assert "AUTHSVC_OUTBOUND_CA_FILE" in found
    bundle = bare.folder / "bundle.pem"
    bundle.write_text("")
    examined = examine(bare.with_variables(AUTHSVC_OUTBOUND_CA_FILE=str(bundle)))
    assert finding_of(examined, "certificates", "ok")


def test_every_wrong_setting_is_a_finding_and_the_service_itself_names_the_first(
    cli: Cli,
) -> None:
    wrong = cli.with_variables(
        AUTHSVC_SESSION_TTL="soon", AUTHSVC_LOG_LEVEL="loud", AUTHSVC_ISUER="x"
    )
    findings = examine(wrong, 1)
    assert [(f["status"], f["finding"].split()[0]) for f in findings] == [
        ("error", "AUTHSVC_SESSION_TTL"), ("error", "AUTHSVC_LOG_LEVEL"),
        ("warning", "AUTHSVC_ISUER"),
    ]  # fmt: skip
    assert wrong.run("serve").refusal() == findings[0]["finding"]


def test_a_misspelt_variable_is_a_warning(cli: Cli) -> None:
    findings = examine(cli.with_variables(AUTHSVC_ISUER="http://127.0.0.1"))
    assert "AUTHSVC_ISUER" in finding_of(findings, "configuration", "warning")


def test_development_on_a_public_issuer_is_a_warning(cli: Cli) -> None:
    findings = examine(cli.with_variables(AUTHSVC_ISSUER="https://id.example.org"))
    assert "AUTHSVC_ENV=production" in finding_of(findings, "configuration", "warning")


def test_a_database_that_is_away_is_an_error(cli: Cli) -> None:
    findings = examine(cli.with_variables(AUTHSVC_DATABASE_URL=UNREACHABLE), 1)
    assert "AUTHSVC_DATABASE_URL" in finding_of(findings, "database", "error")
    assert "secret" not in json.dumps(findings)


def test_a_database_without_tables_is_an_error(blank_cli: Cli) -> None:
    assert "authsvc db upgrade" in finding_of(examine(blank_cli, 1), "database", "error")
    assert not list(blank_cli.folder.rglob("*.db"))


def test_a_redis_that_may_evict_is_an_error(cli: Cli, redis_server: RedisServer) -> None:
    url = redis_server.create_database()
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            findings = examine(cli.with_variables(AUTHSVC_REDIS_URL=url), 1)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert "allkeys-lru" in finding_of(findings, "redis", "error")


def test_a_redis_that_is_away_is_an_error(cli: Cli) -> None:
    findings = examine(cli.with_variables(AUTHSVC_REDIS_URL="redis://127.0.0.1:1/0"), 1)
    assert "AUTHSVC_REDIS_URL" in finding_of(findings, "redis", "error")


def test_a_foreign_master_key_is_an_error(cli: Cli) -> None:
    findings = examine(cli.with_variables(AUTHSVC_MASTER_KEY=OTHER_MASTER_KEY), 1)
    wrong = finding_of(findings, "master key", "error")
    assert wrong.startswith("this is not the master key that the database was made with")
    assert "they do not open" in finding_of(findings, "keys", "error")
    assert [f["status"] for f in findings if f["check"] == "keys"] == ["error"]


def test_a_signing_key_under_a_foreign_master_key_is_no_fault_of_the_database(cli: Cli) -> None:
    path = cli.variables["AUTHSVC_DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE signing_keys SET private_key_sealed = zeroblob(64)")
    findings = examine(cli, 1)
    assert "this is not the master key" in finding_of(findings, "master key", "error")
    assert finding_of(findings, "database", "ok")


def test_a_master_key_file_that_is_lost_is_an_error(fresh_cli: Cli) -> None:
    fresh_cli.json("db", "upgrade")
    (fresh_cli.folder / "keys/master.key").unlink()
    findings = examine(fresh_cli, 1)
    assert "is lost" in finding_of(findings, "master key", "error")
    assert [f["status"] for f in findings if f["check"] == "master key"] == ["error"]
    assert finding_of(findings, "keys", "error")
    assert not (fresh_cli.folder / "keys/master.key").exists()


def test_who_may_administer_is_looked_at_and_what_mends_it_is_said(any_cli: Cli) -> None:
    def advice() -> str:
        return finding_of(examine(any_cli), "administrators", "warning")

    assert "authsvc init" in advice()
    any_cli.json("users", "create", "ada", "--email", "ada@example.org")
    create, _, assign = advice().partition("permission")[2].partition(", then authsvc ")
    assert create == " authsvc:admin"
    assert assign == "roles assign administrator --user NAME"
    any_cli.json("roles", "create", "chief", "--permission", "authsvc:admin")
    any_cli.json("roles", "create", "boss", "--inherits", "chief")
    assert "authsvc roles assign boss --user NAME" in advice()
    any_cli.json("roles", "assign", "boss", "--user", "ada")
    assert finding_of(examine(any_cli), "administrators", "ok")
    any_cli.json("users", "disable", "ada")
    assert "nobody holds authsvc:admin" in advice()
    any_cli.json(
        "clients", "create", "--client-id", "job", "--metadata", "-",
        stdin='{"grant_types": ["client_credentials"], "response_types": []}',
    )  # fmt: skip
    any_cli.json("roles", "assign", "chief", "--client", "job")
    assert finding_of(examine(any_cli), "administrators", "ok")


def test_an_older_master_key_in_use_is_a_warning_until_all_is_rewrapped(cli: Cli) -> None:
    cli.json("init")
    rotating = cli.with_variables(AUTHSVC_MASTER_KEY=f"{OTHER_MASTER_KEY},{MASTER_KEY}")
    assert "authsvc keys rewrap" in finding_of(examine(rotating), "master key", "warning")
    rotating.json("keys", "rewrap")
    assert {finding["status"] for finding in examine(rotating)} == {"ok"}


def test_a_master_key_file_that_others_may_read_is_an_error(fresh_cli: Cli) -> None:
    fresh_cli.json("init")
    assert {finding["status"] for finding in examine(fresh_cli)} == {"ok"}
    (fresh_cli.folder / "keys/master.key").chmod(0o644)
    assert "chmod 600" in finding_of(examine(fresh_cli, 1), "master key", "error")


def test_an_algorithm_that_lacks_keys_is_found(cli: Cli) -> None:
    for key in cli.json("keys", "list"):
        if (key["alg"], key["state"]) == ("ES256", "next"):
            cli.json("keys", "retire", key["kid"])
    warning = finding_of(examine(cli), "keys", "warning")
    assert "authsvc keys generate --alg ES256" in warning


def test_a_rotation_that_is_overdue_is_found() -> None:
    now = datetime(2031, 5, 4, tzinfo=UTC)
    settings = Settings(key_rotation_interval=timedelta(days=1))
    states: tuple[tuple[Literal["active", "next"], datetime | None], ...]
    states = (("active", now), ("next", None))
    rows = [
        SigningKeyRow(f"{alg} {state}", alg, state, b"", {}, now, now, activated_at)
        for alg in ALGORITHMS
        for state, activated_at in states
    ]
    assert [f.status for f in check_keys(settings, rows, now + timedelta(days=1))] == ["ok"]
    overdue = check_keys(settings, rows, now + timedelta(days=3))
    assert [(f.status, f.advice) for f in overdue] == [("warning", "authsvc keys rotate")] * 4


def test_a_mail_server_is_looked_at_and_handed_nothing(cli: Cli) -> None:
    async def work() -> None:
        async with open_mail_catcher(needs_login=True) as catcher:
            user = f"{USER}:{quote(PASSWORD, safe='')}"
            mailing = cli.with_variables(
                AUTHSVC_SMTP_URL=catcher.url(user=user),
                AUTHSVC_MAIL_FROM="login@authsvc.example",
                AUTHSVC_OUTBOUND_CA_FILE=str(catcher.ca_file),
            )
            found = finding_of(await asyncio.to_thread(examine, mailing), "mail", "ok")
            assert "takes us in" in found
            assert catcher.logins == [(USER, PASSWORD)]

            wrong = mailing.with_variables(AUTHSVC_SMTP_URL=catcher.url(user=f"{USER}:secret-x"))
            found = finding_of(await asyncio.to_thread(examine, wrong, 1), "mail", "error")
            assert "535" in found
            assert "secret-x" not in found
            assert PASSWORD not in found
            untrusted = mailing.with_variables(AUTHSVC_OUTBOUND_CA_FILE="")
            found = finding_of(await asyncio.to_thread(examine, untrusted, 1), "mail", "error")
            assert "certificate" in found
            assert catcher.caught.empty()
        async with open_mail_catcher("off") as catcher:
            bare = untrusted.with_variables(AUTHSVC_SMTP_URL=catcher.url())
            found = finding_of(await asyncio.to_thread(examine, bare), "mail", "warning")
            assert "without TLS" in found

    asyncio.run(work())
