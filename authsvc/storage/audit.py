"""The audit log: append-only, each event authenticated.

An event is written in the transaction of what it tells, with a MAC over its content, whose
key comes from the root secret: who can write to the database but lacks the master key can
not make one. ``storage.audit_chain`` chains the events afterwards. Triggers of the database
refuse to change or remove an event; who owns the tables can drop those, and then the chain
tells.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import audit_events


@dataclass(frozen=True, slots=True)
class Origin:
    """Who did it and from where: the part of an event that comes with the request."""

    actor: str
    address: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event as it is stored."""

    id: str
    at: datetime
    event: str
    actor: str
    subject: str
    client_id: str
    address: str
    request_id: str
    details: Mapping[str, Any]


Follower = Callable[[Transaction, AuditEvent], Awaitable[None]]

EVENT_COLUMNS = (
    audit_events.c.id,
    audit_events.c.at,
    audit_events.c.event,
    audit_events.c.actor,
    audit_events.c.subject,
    audit_events.c.client_id,
    audit_events.c.address,
    audit_events.c.request_id,
    audit_events.c.details,
)
"""The columns of an AuditEvent, in its order."""


class AuditLog:
    """Writes and lists events, with a key derived from the root secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._followers: list[Follower] = []

    def follow(self, follower: Follower) -> None:
        """Let ``follower`` see each event in its transaction, which fails if that fails."""
        self._followers.append(follower)

    async def record(
        self,
        tx: Transaction,
        event: str,
        origin: Origin,
        *,
        now: datetime,
        subject: str = "",
        client_id: str = "",
        **details: Any,
    ) -> None:
        """Write that ``event`` happened to ``subject``. Details never hold a secret."""
        stored = AuditEvent(
            new_id(now),
            now,
            event,
            origin.actor[:320],
            subject[:320],
            client_id[:255],
            origin.address[:64],
            origin.request_id[:64],
            details,
        )
        await tx.execute(
            audit_events.insert().values(
                id=stored.id,
                at=stored.at,
                event=stored.event,
                actor=stored.actor,
                subject=stored.subject,
                client_id=stored.client_id,
                address=stored.address,
                request_id=stored.request_id,
                details=dict(details),
                event_mac=event_mac(self._key, stored),
            )
        )
        for follower in self._followers:
            await follower(tx, stored)

    async def list(
        self, tx: Transaction, *, before: str | None, limit: int, event: str | None = None
    ) -> list[AuditEvent]:
        """Return up to ``limit`` events, newest first, from the one before ``before`` on."""
        statement = select(*EVENT_COLUMNS).order_by(audit_events.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(audit_events.c.id < before)
        if event is not None:
            statement = statement.where(audit_events.c.event == event)
        return [AuditEvent(*row) for row in await tx.execute(statement)]


def event_mac(key: bytes, event: AuditEvent) -> bytes:
    """Return the MAC over everything that ``event`` says."""
    content = [
        event.id,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        event.event,
        event.actor,
        event.subject,
        event.client_id,
        event.address,
        event.request_id,
        dict(event.details),
    ]
    message = b"event" + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(key, message, "sha256")
