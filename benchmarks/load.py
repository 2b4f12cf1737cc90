"""A provider that is served for measuring, and what asks it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.browser import Browser
from tests.conftest import MASTER_KEY
from tests.provider import CHALLENGE, PASSWORD, REDIRECT_URI, VERIFIER
from tests.served import Served, serve

_CLIENT = {
    "client_name": "App",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "openid profile email offline_access",
}


class Load:
    """Asks a provider as an app, a resource server and a person's browser do."""

    def __init__(self, http: httpx.AsyncClient, app: tuple[str, str]) -> None:
        self._http = http
        self._app = app
        self.tokens: dict[str, str] = {}
        """What the last sign-in or refresh yielded."""
        self._to_revoke: list[str] = []

    async def discovery(self) -> None:
        """Read the metadata."""
        (await self._http.get("/.well-known/openid-configuration")).raise_for_status()

    async def client_credentials(self) -> None:
        """Get a token for the app itself, and keep it to be revoked."""
        self._to_revoke.append((await self._token(grant_type="client_credentials"))["access_token"])

    async def revocation(self) -> None:
        """Revoke a token of those that were kept."""
        await self._post("/revoke", token=self._to_revoke.pop())

    async def sign_in(self) -> None:
        """Sign in with a fresh browser, and redeem the code."""
        async with httpx.AsyncClient(base_url=self._http.base_url, timeout=30) as http:
            browser = Browser(http)
            asked = {
                "response_type": "code",
                "client_id": self._app[0],
                "redirect_uri": REDIRECT_URI,
                "scope": "openid profile email offline_access",
                "code_challenge": CHALLENGE,
                "code_challenge_method": "S256",
            }
            page = await browser.get("/authorize", asked)
            given = {"username": "alice", "password": PASSWORD}
            page = await browser.submit(page, given, button="#login-submit")
            if browser.left_for is None:
                await browser.submit(page, {}, button="#consent-approve")
            code = parse_qs(urlsplit(browser.left_for or "").query)["code"][0]
        self.tokens = await self._token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT_URI,
            code_verifier=VERIFIER,
        )

    async def refresh(self) -> None:
        """Exchange the refresh token of the last sign-in for the next."""
        self.tokens = await self._token(
            grant_type="refresh_token", refresh_token=self.tokens["refresh_token"]
        )

    async def give_back(self) -> None:
        """Revoke the refresh token, and with it all that came of its sign-in."""
        await self._post("/revoke", token=self.tokens["refresh_token"])

    async def introspection(self) -> None:
        """Ask about a person's living token, as a resource server does."""
        answer = await self._post("/introspect", token=self.tokens["access_token"])
        if answer.json()["active"] is not True or "username" not in answer.json():
            raise AssertionError("the token must be living, and a person's")

    async def userinfo(self) -> None:
        """Ask who the person is."""
        bearer = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        (await self._http.get("/userinfo", headers=bearer)).raise_for_status()

    async def _token(self, **given: str) -> dict[str, str]:
        tokens: dict[str, str] = (await self._post("/token", **given)).json()
        return tokens

    async def _post(self, path: str, **given: str) -> httpx.Response:
        return (await self._http.post(path, data=given, auth=self._app)).raise_for_status()


@contextmanager
def serve_for_load(database_url: str, redis_url: str) -> Iterator[tuple[Served, tuple[str, str]]]:
    """Serve one process on an empty database; yield it, and an app's identifier and secret.

    Without rate limits, which would answer instead, and without jobs, which would be counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            "AUTHSVC_ENV": "development",
            "AUTHSVC_DATABASE_URL": database_url,
            "AUTHSVC_REDIS_URL": redis_url,
            "AUTHSVC_MASTER_KEY": MASTER_KEY,
            "AUTHSVC_RATE_LIMITS": "off",
            "AUTHSVC_JOBS": "off",
        }
        subprocess.run(
            [sys.executable, "-m", "authsvc", "init"],
            env={**os.environ, **variables, "AUTHSVC_ISSUER": "http://127.0.0.1:8000"},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with serve(variables, Path(folder)) as served:
            client = served.run("clients", "create", "--metadata", "-", stdin=json.dumps(_CLIENT))
            person = ("users", "create", "alice", "--email", "alice@example.com")
            served.run(*person, "--password-stdin", stdin=PASSWORD)
            yield served, (client["client_id"], client["client_secret"])
