"""The previous release itself serves on the schema of this one, beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from authsvc.storage.revisions import newest_revision
from tests.browser import Browser
from tests.conftest import MASTER_KEY
from tests.migrations.previous_release import REVISION, unpack
from tests.provider import CHALLENGE, PASSWORD, REDIRECT_URI, VERIFIER
from tests.served import Served, serve
from tests.servers import PostgresServer, RedisServer

CLIENT, SECRET = "app", "a-client-secret-of-at-least-32-characters"


@dataclass(frozen=True)
class SideBySide:
    """The release before and this one, on one database and one Redis, as one issuer."""

    previous: Served
    current: Served

    def post(self, served: Served, path: str, **form: str) -> httpx.Response:
        """Post a form with the client's credentials."""
        url = f"http://127.0.0.1:{served.port}{path}"
        return httpx.post(url, data=form, auth=(CLIENT, SECRET), timeout=30)

    def tokens(self, served: Served, **form: str) -> Any:
        """Return the answer of the token endpoint."""
        response = self.post(served, "/token", **form)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def releases(
    postgres_server: PostgresServer,
    postgres_template: str,
    redis_server: RedisServer,
    tmp_path: Path,
) -> Iterator[SideBySide]:
    """Both releases, on a database that this one has migrated."""
    database_url = postgres_server.create_database(postgres_template)
    variables = {
        "AUTHSVC_DATABASE_URL": database_url,
        "AUTHSVC_REDIS_URL": redis_server.create_database(),
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
        "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
        "AUTHSVC_ARGON2_TIME_COST": "1",
    }
    source = unpack(tmp_path / "source")
    folders = [tmp_path / "previous", tmp_path / "current"]
    for folder in folders:
        folder.mkdir()
    with (
        serve({**variables, "PYTHONPATH": str(source)}, folders[0]) as previous,
        serve({**variables, "AUTHSVC_ISSUER": previous.issuer}, folders[1]) as current,
    ):
        yield SideBySide(previous, current)
    postgres_server.drop_database(database_url)


async def _authorize(issuer: str) -> str:
    """Sign in and consent in a browser; return the code."""
    browser = Browser(httpx.AsyncClient(base_url=issuer, timeout=30))
    page = await browser.get(
        "/authorize",
        {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": REDIRECT_URI,
            "scope": "openid offline_access",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        },
    )
    values = {"username": "ada", "password": PASSWORD}
    page = await browser.submit(page, values, button="#login-submit")
    await browser.submit(page, {}, button="#consent-approve")
    assert browser.left_for is not None
    await browser.close()
    return parse_qs(urlsplit(browser.left_for).query)["code"][0]


async def test_the_previous_release_serves_on_the_new_schema_beside_this_one(
    releases: SideBySide,
) -> None:
    previous, current = releases.previous, releases.current
    assert previous.run("db", "current") == {
        "revision": newest_revision(), "newest": REVISION, "up_to_date": False,
    }  # fmt: skip
    previous.run(
        "users", "create", "ada", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD
    )
    metadata = (
        f'{{"redirect_uris": ["{REDIRECT_URI}"], "scope": "openid offline_access",'
        ' "grant_types": ["authorization_code", "refresh_token"]}'
    )
    file = previous.log.with_name("metadata.json")
    file.write_text(metadata)
    previous.run(
        "clients", "create", "--client-id", CLIENT, "--client-secret-stdin",
        "--metadata", str(file), stdin=SECRET,
    )  # fmt: skip

    code = await _authorize(previous.issuer)
    redeem = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    tokens = releases.tokens(current, grant_type="authorization_code", code=code, **redeem)
    for served in (previous, current, previous):
        tokens = releases.tokens(
            served, grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
    for served in (previous, current):
        answer = releases.post(served, "/introspect", token=tokens["access_token"])
        assert answer.json()["active"] is True

    assert releases.post(previous, "/revoke", token=tokens["refresh_token"]).status_code == 200
    answer = releases.post(current, "/introspect", token=tokens["access_token"])
    assert answer.json()["active"] is False
    again = releases.post(previous, "/token", grant_type="authorization_code", code=code, **redeem)
    assert again.status_code == 400


async def test_both_releases_write_one_audit_chain(releases: SideBySide) -> None:
    previous, current = releases.previous, releases.current
    for number, served in enumerate((previous, current, previous)):
        served.run("roles", "create", f"role-{number}")
        verified = served.run("audit", "verify")
        assert verified["ok"] is True
    exported = current.run("audit", "head")
    assert exported["head"] == verified["head"]
    previous.run("roles", "delete", "role-0")
    assert previous.run("audit", "verify", "--head", exported["head"])["ok"] is True
    whole = current.run("audit", "verify", "--head", "-", stdin=exported["checkpoint"])
    assert (whole["ok"], whole["checkpoints"]) == (True, 1)
    assert whole["checked"] == verified["checked"] + 1
