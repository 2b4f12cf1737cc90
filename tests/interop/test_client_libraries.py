"""Clients that nobody here wrote, each in a process of its own, against a served provider."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MASTER_KEY, Backend, BackendName
from tests.served import Served, serve

REDIRECT_URI = "http://127.0.0.1:53682/callback"
SIGNED_OUT_URI = "http://127.0.0.1:53682/signed-out"
PASSWORD = "correct horse battery"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Registered:
    """A client and a person at a served provider."""

    served: Served
    client_id: str
    client_secret: str


@pytest.fixture(params=["sqlite", "postgres+redis"])
def registered(
    request: pytest.FixtureRequest, make_backend: Any, tmp_path: Path
) -> Iterator[Registered]:
    """Serve a provider, and make a person and a client with its command line."""
    name: BackendName = request.param
    backend: Backend = make_backend(name)
    variables = {
        "AUTHSVC_DATABASE_URL": backend.database_url,
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
        "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
        "AUTHSVC_ARGON2_TIME_COST": "1",
    }
    if backend.redis_url:
        variables["AUTHSVC_REDIS_URL"] = backend.redis_url
    with serve(variables, tmp_path) as served:
        served.run(
            "users", "create", "anna", "--email", "anna@example.com", "--email-verified",
            "--claim", 'name="Anna"', "--password-stdin", stdin=PASSWORD,
        )  # fmt: skip
        metadata = {
            "redirect_uris": [REDIRECT_URI],
            "post_logout_redirect_uris": [SIGNED_OUT_URI],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "scope": "openid profile email offline_access api:read",
        }
        client = served.run("clients", "create", "--metadata", "-", stdin=json.dumps(metadata))
        yield Registered(served, client["client_id"], client["client_secret"])


@pytest.mark.parametrize("app", ["authlib_app", "requests_oauthlib_app"])
def test_an_app_on_another_library_completes_every_flow(registered: Registered, app: str) -> None:
    given = {
        "issuer": registered.served.issuer,
        "client_id": registered.client_id,
        "client_secret": registered.client_secret,
        "redirect_uri": REDIRECT_URI,
        "post_logout_redirect_uri": SIGNED_OUT_URI,
        "username": "anna",
        "password": PASSWORD,
        "refreshes": 100,
    }

    # The issuer is plain http on loopback, which oauthlib refuses unless told.
    finished = subprocess.run(
        [sys.executable, "-m", f"tests.interop.{app}"],
        input=json.dumps(given),
        env={**os.environ, "OAUTHLIB_INSECURE_TRANSPORT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["userinfo"]["email"] == "anna@example.com"
    assert found["userinfo"]["name"] == "Anna"
    assert found["refreshes"] == 100
    assert found["userinfo_after_refresh"] == 200
    assert found["active_before_revocation"] is True
    assert found["active_after_revocation"] is False
    assert found["logged_out_to"] == f"{SIGNED_OUT_URI}?state=bye"
    assert found["machine_scope"] == "api:read"
    assert found.get("nonce_kept", True) is True
    assert found.get("subject_same", True) is True
