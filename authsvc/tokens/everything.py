"""Taking back all that was ever issued: after a restore, or when nobody knows what leaked."""

from dataclasses import dataclass, replace

from authsvc.clock import Clock
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.clients import list_client_ids
from authsvc.storage.database import Database
from authsvc.storage.initial_access_tokens import delete_initial_access_tokens
from authsvc.storage.password_resets import delete_password_resets
from authsvc.storage.signed_in import list_people_signed_in
from authsvc.tokens.revocation import Revoker

_BATCH = 100
"""People, or clients, in one transaction."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How much was taken back: from whom, and what."""

    people: int = 0
    clients: int = 0
    sessions: int = 0
    families: int = 0
    initial_access_tokens: int = 0
    password_reset_links: int = 0


async def revoke_everything(
    database: Database, revoker: Revoker, audit: AuditLog, clock: Clock, origin: Origin
) -> Ended:
    """End all sessions, codes, families, access tokens, initial access tokens, and links
    for a forgotten password.

    In short transactions, so that a service that runs meanwhile goes on. Interrupted, it
    leaves undone what comes later; repeated, it does that. Who signs in meanwhile may keep
    the session.
    """
    async with database.transaction() as tx:
        # First, so that an end that is half done is on record, too.
        await audit.record(tx, "tokens.everything_revoked", origin, now=clock.now())
        ended = Ended(
            initial_access_tokens=await delete_initial_access_tokens(tx),
            password_reset_links=await delete_password_resets(tx),
        )
    after: str | None = None
    while True:
        async with database.transaction() as tx:
            people = await list_people_signed_in(tx, after=after, limit=_BATCH, now=clock.now())
            sessions, families = await revoker.revoke_users(tx, people)
        ended = replace(
            ended,
            people=ended.people + len(people),
            sessions=ended.sessions + sessions,
            families=ended.families + families,
        )
        if len(people) < _BATCH:
            break
        after = people[-1]
    # Every access token names a client, so this ends all of them: also those of people who
    # have nothing left but a token, whose entries would fill the memory of each process.
    after = None
    while True:
        async with database.transaction() as tx:
            clients = await list_client_ids(tx, after=after, limit=_BATCH)
            families = await revoker.revoke_clients(tx, clients)
        ended = replace(
            ended, clients=ended.clients + len(clients), families=ended.families + families
        )
        if len(clients) < _BATCH:
            return ended
        after = clients[-1]
