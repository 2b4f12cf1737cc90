"""The service's own hands: what the command line looks at must come from somewhere."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from authsvc.config import Settings
from authsvc.resources import Resources, open_resources
from authsvc.storage.identifiers import new_id
from authsvc.storage.refresh_tokens import TokenFamily, create_family, save_refresh_token
from authsvc.storage.sessions import create_session
from authsvc.tokens.access_token import Authentication, mint_access_token
from authsvc.tokens.opaque import new_opaque_value

T = TypeVar("T")
_numbers = itertools.count()


def run_inside(settings: Settings, work: Callable[[Resources], Awaitable[T]]) -> T:
    """Run ``work`` with the service's resources, opened for it alone."""

    async def opened() -> T:
        async with open_resources(settings) as resources:
            return await work(resources)

    return asyncio.run(opened())


class Issued:
    """What a person who signed in holds."""

    def __init__(self, access_token: str, refresh_token: str, session_id: str) -> None:
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.session_id = session_id


async def sign_in(resources: Resources, user_id: str, client_id: str) -> Issued:
    """Make a session, a token family and its first tokens, as a sign-in does."""
    now = resources.clock.now()
    expires_at = now + timedelta(hours=1)
    refresh_token = new_opaque_value()
    async with resources.database.transaction() as tx:
        session = await create_session(
            tx,
            cookie_hash=next(_numbers).to_bytes(32, "big"),
            user_id=user_id,
            acr="1",
            amr=["pwd"],
            address="127.0.0.1",
            user_agent="test",
            now=now,
            expires_at=expires_at,
        )
        family = TokenFamily(
            new_id(now), client_id, user_id, session.id, "openid", [], None, now, "1", ["pwd"], now,
            expires_at,
        )  # fmt: skip
        await create_family(tx, family)
        token_hash = resources.opaque_hash("refresh token", refresh_token)
        await save_refresh_token(tx, token_hash, family.id, now=now, expires_at=expires_at)
    return Issued(await _mint(resources, family), refresh_token, session.id)


async def _mint(resources: Resources, family: TokenFamily) -> str:
    return mint_access_token(
        (await resources.keyring.get()).active("ES256"),
        issuer=resources.settings.issuer,
        subject=family.user_id,
        client_id=family.client_id,
        audience=[resources.settings.issuer],
        scope=["openid"],
        roles=[],
        permissions=[],
        now=family.created_at,
        ttl=resources.settings.access_token_ttl,
        authentication=Authentication(auth_time=family.auth_time, acr="1", amr=["pwd"]),
        family_id=family.id,
        session_id=family.session_id,
    )
