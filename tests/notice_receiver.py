"""A client's back-channel logout endpoint on loopback, and what it was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.provider import Provider
from tests.web_servers import Answer, ReceivedRequest, WebServer, open_web_server

PATH = "/backchannel"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class NoticeReceiver:
    """Keeps the logout tokens it gets, and answers with ``status``."""

    web: WebServer
    status: int = 200
    received: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @property
    def uri(self) -> str:
        """What a client registers as ``backchannel_logout_uri``."""
        return f"{self.web.url}{PATH}"

    async def answer(self, request: ReceivedRequest) -> Answer:
        """Take a notice (Back-Channel Logout §2.5)."""
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.form.keys() == {"logout_token"}
        self.received.put_nowait(request.form["logout_token"])
        return Answer(self.status)

    def take(self) -> str:
        """Return the one token that was received."""
        assert self.received.qsize() == 1
        return self.received.get_nowait()

    async def take_claims(self, provider: Provider, client_id: str) -> dict[str, Any]:
        """Return the claims of the one token, checked as its client must (§2.6)."""
        return await read_logout_token(provider, self.take(), client_id)


async def read_logout_token(provider: Provider, token: str, client_id: str) -> dict[str, Any]:
    """Check a logout token against what the provider publishes; return its claims."""
    metadata = (await provider.http.get("/.well-known/openid-configuration")).json()
    jwks = (await provider.http.get(metadata["jwks_uri"])).json()
    algorithms = metadata["id_token_signing_alg_values_supported"]
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=algorithms)
    now = provider.clock.now().timestamp()
    claims = decoded.claims
    assert decoded.header["typ"] == "logout+jwt"
    assert claims["iss"] == metadata["issuer"]
    assert claims["aud"] == client_id
    assert now - 60 < claims["iat"] <= now + 1 < claims["exp"] <= claims["iat"] + 120
    assert claims["events"] == {EVENT: {}}
    assert claims["jti"]
    assert "nonce" not in claims
    return dict(claims)


@asynccontextmanager
async def open_notice_receiver() -> AsyncIterator[NoticeReceiver]:
    """Run one, over http."""
    async with open_web_server(tls=False) as web:
        receiver = NoticeReceiver(web)
        web.handle(PATH, receiver.answer)
        yield receiver
