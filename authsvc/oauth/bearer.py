"""Access tokens as they come back: verified, not revoked, and what they are worth now."""

from collections.abc import Sequence
from dataclasses import dataclass

from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.subjects import find_user_id
from authsvc.protocol.errors import InvalidToken
from authsvc.storage.users import User, find_role_ids, find_user
from authsvc.tokens.access_token import AccessToken, verify_access_token


@dataclass(frozen=True, slots=True)
class LivingToken:
    """An access token that is good now, with what its subject holds now.

    ``user`` is the person behind it, None where the client stands for itself. Roles and
    permissions are those the token carries and its subject still holds.
    """

    token: AccessToken
    client: Client
    user: User | None
    roles: Sequence[str]
    permissions: Sequence[str]


async def check_access_token(server: AuthorizationServer, text: str) -> LivingToken:
    """Return the access token ``text`` if it is good; raises InvalidToken.

    Good means: issued by us, not expired, not revoked, its client registered and its
    person not disabled. A role that was taken away counts no more.
    """
    resources = server.resources
    token = verify_access_token(
        text,
        await resources.keyring.get(),
        issuer=server.issuer,
        now=resources.clock.now(),
        ttl=resources.settings.access_token_ttl,
    )
    client = await server.clients.find(token.client_id)
    if client is None:
        raise InvalidToken("The access token was revoked", detail="client is gone")
    user_id = find_user_id(server, client, token.subject) if token.of_person else None
    if await resources.revocations.is_revoked(token.identities(user_id), token.issued_at):
        raise InvalidToken("The access token was revoked", detail="revoked")
    user, role_ids = None, client.role_ids
    if token.of_person:
        async with resources.database.reading() as tx:
            user = None if user_id is None else await find_user(tx, user_id)
            if user is None or user.disabled_at is not None:
                raise InvalidToken("The access token was revoked", detail="user")
            role_ids = await find_role_ids(tx, user.id)
    held = (await resources.role_graph.get()).holding(role_ids)
    return LivingToken(
        token,
        client,
        user,
        [role for role in token.claims.get("roles", ()) if role in held.roles],
        [name for name in token.claims.get("permissions", ()) if name in held.permissions],
    )
