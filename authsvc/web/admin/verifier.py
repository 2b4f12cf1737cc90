"""The guard's verifier inside the authorization server: it asks itself."""

from authsvc.bearer import Principal
from authsvc.oauth.bearer import check_access_token
from authsvc.oauth.server import AuthorizationServer


class LocalVerifier:
    """Verifies our own access tokens, with what their subjects hold at this moment."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    async def verify(self, token: str) -> Principal:
        """Return the principal of ``token``; raises InvalidToken."""
        living = await check_access_token(self._server, token)
        return Principal(
            # What is done is noted under the person's identifier, however a client knows them.
            subject=living.user.id if living.user else living.token.subject,
            client_id=living.token.client_id,
            audience=living.token.audience,
            scope=frozenset(living.token.scope),
            roles=frozenset(living.roles),
            permissions=frozenset(living.permissions),
            expires_at=living.token.expires_at,
            claims=living.token.claims,
        )
