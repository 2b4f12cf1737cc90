"""The provider of the endpoints' properties, and values that mean something to it."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.oauth.client_assertion import ASSERTION_TYPE
from tests.conftest import ISSUER, Backend
from tests.provider import (
    CHALLENGE,
    PASSWORD,
    REDIRECT_URI,
    SECRET,
    VERIFIER,
    Provider,
    open_provider,
)


class World:
    """A provider, and values that mean something to it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.values: list[str] = []
        self.named: dict[str, str] = {}
        self.admin_token = ""
        self.cookies: dict[str, str] = {}
        self.credentials = ""

    async def settle(self) -> None:
        """Make people, clients and tokens."""
        provider = self.provider
        await provider.create_role("admin", ADMIN_PERMISSION)
        account = await provider.create_user(username="anna", roles=["admin"])
        client = await provider.create_client()
        browser = provider.browser()
        page = await browser.get("/authorize", provider.authorization_parameters(client))
        fields = page.forms[0].fields
        tokens = await provider.sign_in(client, account, browser)
        answer = await provider.authorize(browser, client, account)
        self.cookies = dict(browser.http.cookies)
        # Of another sign-in: examples may revoke what is among the values.
        self.admin_token = (await provider.sign_in(client, account))["access_token"]
        raw = f"{client.client_id}:{SECRET}".encode()
        self.credentials = f"Basic {base64.b64encode(raw).decode()}"
        self.named = {
            "client_id": client.client_id,
            "code": answer["code"],
            "continue": fields["continue"],
            "csrf_token": fields["csrf_token"],
            **{name: tokens[name] for name in ("access_token", "refresh_token", "id_token")},
        }
        self.values = [
            *("authorization_code", "refresh_token", "client_credentials", "password"),
            *(client.client_id, SECRET, "anna", PASSWORD, REDIRECT_URI, VERIFIER, CHALLENGE),
            *("S256", "plain", "code", "none", "login", "consent", "query", "form_post"),
            *("openid offline_access", "openid", "the-state", "approve", "deny", "0", "1"),
            *(answer["code"], tokens["access_token"], tokens["id_token"]),
            *(fields["continue"], fields["csrf_token"], ASSERTION_TYPE, ISSUER),
        ]


@asynccontextmanager
async def open_world(folder: Path, template: Path) -> AsyncIterator[World]:
    """Open a provider on a copy of the database ``template``."""
    path = folder / "authsvc.db"
    await asyncio.to_thread(shutil.copy, template, path)
    backend = Backend("sqlite", f"sqlite:///{path}", None)
    # Guesses must not close the door on the examples that follow.
    free = 1_000_000
    settings_ = backend.settings(
        log_level="error",
        login_account_attempts=free,
        login_account_attempts_everywhere=free,
        login_address_attempts=free,
    )
    async with open_provider(settings_) as provider:
        made = World(provider)
        await made.settle()
        yield made
