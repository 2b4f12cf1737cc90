"""Taking back what was issued: one token, a family, or all of a session, user or client.

Whoever is revoked as a whole loses three things in one transaction: the codes that were
not redeemed, the families, and, through the revocation list, the access tokens. Each
family is listed by itself, too: a refresh under way may mint a token after the instant
that the entry of its user names.

Whatever ends a session writes, in that transaction, a notice for each of its clients that
wants one (OpenID Connect Back-Channel Logout §2.5).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from authsvc.clock import Clock
from authsvc.storage import outbox, refresh_tokens
from authsvc.storage.authorization_codes import (
    void_codes_of_clients,
    void_codes_of_sessions,
    void_codes_of_users,
)
from authsvc.storage.database import Transaction
from authsvc.storage.device_codes import (
    void_device_codes_of_clients,
    void_device_codes_of_sessions,
    void_device_codes_of_users,
)
from authsvc.storage.revocations import Kind, Revocation, RevocationList
from authsvc.storage.session_clients import list_backchannel_clients
from authsvc.storage.sessions import end_expired_sessions, end_session, end_sessions_of_users
from authsvc.tokens.logout_token import BACKCHANNEL_LOGOUT

_LEAST_LIFE = timedelta(hours=1)
"""Least life of an entry: who revokes may know a shorter token life than who issued."""
_LATEST_REDEMPTION = timedelta(hours=1)
"""Time after the end of a session in which a code of it may have been redeemed, at most."""
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
        await void_codes_of_sessions(tx, [session_id], now=now)
        await void_device_codes_of_sessions(tx, [session_id], now=now)
        await self._list(tx, [("session", session_id)])
        if user_id is not None:
            await self._notify(tx, {session_id: user_id}, now)
        return user_id

    async def revoke_expired_sessions(
        self, tx: Transaction, *, idle_ttl: timedelta, limit: int
    ) -> int:
        """End up to ``limit`` sessions whose time is over, as ``revoke_session`` does.

        Return how many they were. ``idle_ttl`` is the life of a session that is not used.
        """
        now = self._clock.now()
        expired = await end_expired_sessions(tx, now=now, seen_since=now - idle_ttl, limit=limit)
        ended = {session.id: session.user_id for session in expired}
        if ended:
            await void_codes_of_sessions(tx, list(ended), now=now)
            await void_device_codes_of_sessions(tx, list(ended), now=now)
            # What is over for long has no token that lives: an entry would only fill memory.
            lately = now - self._access_token_ttl - _LATEST_REDEMPTION
            await self._list(
                tx,
                [
                    ("session", session.id)
                    for session in expired
                    if min(session.expires_at, session.seen_at + idle_ttl) > lately
                ],
            )
            await self._notify(tx, ended, now)
        return len(ended)

    async def revoke_user(self, tx: Transaction, user_id: str) -> int:
        """End all of a person: sessions, codes, families, tokens; return the sessions ended."""
        sessions, _ = await self.revoke_users(tx, [user_id])
        return sessions

    async def revoke_users(self, tx: Transaction, user_ids: Sequence[str]) -> tuple[int, int]:
        """End all of several people; return how many sessions and families were ended."""
        now = self._clock.now()
        # Sessions first: a code or family that is being made holds its session's row, so
        # this waits for it, and what comes after sees it.
        sessions = await end_sessions_of_users(tx, user_ids, now=now)
        codes = await void_codes_of_users(tx, user_ids, now=now)
        codes += await void_device_codes_of_users(tx, user_ids, now=now)
        families = await refresh_tokens.revoke_families_of_users(tx, user_ids, now=now)
        await self._list(
            tx,
            [
                *(("user", user_id) for user_id in user_ids),
                *(("family", id_) for id_ in {*codes, *families}),
                # A verifier elsewhere finds by these what has a pairwise subject.
                *(("session", id_) for id_ in sessions),
            ],
        )
        await self._notify(tx, sessions, now)
        return len(sessions), len(families)

    async def revoke_client(self, tx: Transaction, client_id: str) -> int:
        """End all that a client was issued: codes, families, tokens; return the families."""
        return await self.revoke_clients(tx, [client_id])

    async def revoke_clients(self, tx: Transaction, client_ids: Sequence[str]) -> int:
        """End all that several clients were issued; return how many families were ended."""
        now = self._clock.now()
        codes = await void_codes_of_clients(tx, client_ids, now=now)
        codes += await void_device_codes_of_clients(tx, client_ids, now=now)
        families = await refresh_tokens.revoke_families_of_clients(tx, client_ids, now=now)
        await self._list(
            tx,
            [
                *(("client", client_id) for client_id in client_ids),
                *(("family", id_) for id_ in {*codes, *families}),
            ],
        )
        return len(families)

    async def _notify(self, tx: Transaction, ended: Mapping[str, str], now: datetime) -> None:
        """Write the notices about sessions that have just ended, each with its person."""
        payloads = [
            {"client_id": client_id, "session_id": session_id, "user_id": ended[session_id]}
            for session_id, client_id in await list_backchannel_clients(tx, list(ended))
        ]
        await outbox.add(tx, BACKCHANNEL_LOGOUT, payloads, now=now)

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
