"""Taking back what was issued: one token, a family, or all of a session, user or client.

Whoever is revoked as a whole loses three things in one transaction: the codes that were
not redeemed, the families, and, through the revocation list, the access tokens. Each
family is listed by itself, too: a refresh under way may mint a token after the instant
that the entry of its user names.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from authsvc.clock import Clock
from authsvc.storage import refresh_tokens
from authsvc.storage.authorization_codes import (
    void_codes_of_client,
    void_codes_of_session,
    void_codes_of_user,
)
from authsvc.storage.database import Transaction
from authsvc.storage.revocations import Kind, Revocation, RevocationList
from authsvc.storage.sessions import end_session, end_sessions_of_user

_LEAST_LIFE = timedelta(hours=1)
"""Least life of an entry: who revokes may know a shorter token life than who issued."""
_MARGIN = timedelta(seconds=60)
"""Time an entry stays beyond the last token it concerns, for clocks that differ."""


class Revoker:
    """Revokes; each method works in the transaction it is given."""

    def __init__(
        self, revocations: RevocationList, clock: Clock, *, access_token_ttl: timedelta
    ) -> None:
        self._revocations = revocations
        self._clock = clock
        self._access_token_ttl = access_token_ttl

    async def revoke_token(self, tx: Transaction, token_id: str, expires_at: datetime) -> None:
        """Revoke one access token."""
        now = self._clock.now()
        entry = Revocation("token", token_id, now + _MARGIN, expires_at + _MARGIN)
        await self._revocations.add(tx, [entry])

    async def revoke_family(self, tx: Transaction, family_id: str) -> bool:
        """End a family and the access tokens of it; False when it was ended before."""
        ended = await refresh_tokens.revoke_family(tx, family_id, now=self._clock.now())
        await self._list(tx, [("family", family_id)])
        return ended

    async def revoke_session(self, tx: Transaction, session_id: str) -> str | None:
        """End a session, its codes and the access tokens it got; return its person.

        Families live on: who was granted offline access has it without a session
        (OpenID Connect Core §11).
        """
        now = self._clock.now()
        user_id = await end_session(tx, session_id, now=now)
        await void_codes_of_session(tx, session_id, now=now)
        await self._list(tx, [("session", session_id)])
        return user_id

    async def revoke_user(self, tx: Transaction, user_id: str) -> int:
        """End all of a person: sessions, codes, families, tokens; return the sessions ended."""
        now = self._clock.now()
        # Sessions first: a code or family that is being made holds its session's row, so
        # this waits for it, and what comes after sees it.
        sessions = await end_sessions_of_user(tx, user_id, now=now)
        codes = await void_codes_of_user(tx, user_id, now=now)
        families = await refresh_tokens.revoke_families_of_user(tx, user_id, now=now)
        await self._list(tx, [("user", user_id), *(("family", id_) for id_ in {*codes, *families})])
        return len(sessions)

    async def revoke_client(self, tx: Transaction, client_id: str) -> int:
        """End all that a client was issued: codes, families, tokens; return the families."""
        now = self._clock.now()
        codes = await void_codes_of_client(tx, client_id, now=now)
        families = await refresh_tokens.revoke_families_of_client(tx, client_id, now=now)
        await self._list(
            tx, [("client", client_id), *(("family", id_) for id_ in {*codes, *families})]
        )
        return len(families)

    async def _list(self, tx: Transaction, identities: Iterable[tuple[Kind, str]]) -> None:
        now = self._clock.now()
        expires_at = now + max(self._access_token_ttl, _LEAST_LIFE) + _MARGIN
        # A family or session is dead for good, also for a token minted this very moment by
        # a request that read it alive. A user or client may get new tokens from now on.
        await self._revocations.add(
            tx,
            [
                Revocation(
                    kind,
                    value,
                    expires_at if kind in ("family", "session") else now,
                    expires_at,
                )
                for kind, value in identities
            ],
        )
