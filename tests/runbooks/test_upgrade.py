"""An upgrade and the way back, from the previous release itself, while people are served."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from authsvc.storage.revisions import newest_revision
from tests.conftest import Backend
from tests.faults.replica import Replica
from tests.migrations.previous_release import REVISION, unpack
from tests.provider import PASSWORD, REDIRECT_URI, SECRET, Account, TestClient
from tests.runbooks.installation import Installation, until_well
from tests.runbooks.load import refreshing
from tests.runbooks.owner import Owner
from tests.servers import RedisServer

APP = TestClient("app", SECRET, {})
ADA = Account("", "ada", PASSWORD)
METADATA = {
    "redirect_uris": [REDIRECT_URI],
    "scope": "openid offline_access",
    "grant_types": ["authorization_code", "refresh_token"],
}


@pytest.fixture
async def installation(
    owner: Owner, redis_server: RedisServer, programs: Path, tmp_path: Path
) -> Installation:
    """An installation that has no tables yet."""
    url = await owner.create_database()
    backend = Backend("postgres+redis", url, redis_server.create_database())
    return Installation(backend, tmp_path, programs)


async def check_served(replica: Replica, refresh_token: str) -> str:
    """Check that a person signs in and a family goes on; return the new refresh token."""
    tokens = await replica.sign_in(APP, ADA)
    assert (await replica.introspect(APP, tokens["access_token"]))["active"]
    response = await replica.refresh(APP, refresh_token)
    assert response.status_code == 200, response.text
    renewed: str = response.json()["refresh_token"]
    return renewed


async def test_people_are_served_throughout_an_upgrade_and_on_the_way_back(
    installation: Installation,
) -> None:
    before = {"PYTHONPATH": str(unpack(installation.folder / "source"))}
    _make_tables_and_people(installation, before)
    one = await installation.start(**before)
    other = await installation.start(**before)
    refresh_token = (await one.sign_in(APP, ADA))["refresh_token"]

    with installation.follow("Upgrade") as steps:
        async with refreshing(other, APP, ADA) as load:
            said = await steps.run()
            assert load.done > 0
            one = await installation.restart(one)
            refresh_token = await check_served(one, refresh_token)
        refresh_token = await check_served(other, refresh_token)
        async with refreshing(one, APP, ADA):
            other = await installation.restart(other)
        refresh_token = await check_served(other, refresh_token)
        await until_well(one)
        await steps.run()
    named = re.findall(r"\b[0-9]{4}\b", said)
    assert (named[0], named[-1]) == (REVISION, newest_revision())

    async with refreshing(other, APP, ADA):
        one = await installation.restart(one, **before)
        refresh_token = await check_served(one, refresh_token)
    await installation.stop_all()
    with installation.follow("Back to the release before") as steps:
        await steps.run(REVISION=named[0])
    one = await installation.start(**before)
    refresh_token = await check_served(one, refresh_token)
    await installation.stop_all()


def _make_tables_and_people(installation: Installation, before: dict[str, str]) -> None:
    metadata = installation.folder / "metadata.json"
    metadata.write_text(json.dumps(METADATA))
    for command, stdin in (
        ("db upgrade", ""),
        ("users create ada --email ada@example.org --password-stdin", PASSWORD),
        (f"clients create --client-id app --client-secret-stdin --metadata {metadata}", SECRET),
    ):
        subprocess.run(
            ["authsvc", *command.split()],
            env={**installation.shell(), **before},
            executable=installation.programs / "authsvc",
            cwd=installation.folder,
            input=stdin.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
