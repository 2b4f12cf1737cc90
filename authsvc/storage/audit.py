"""The audit log: append-only, each event authenticated, all of them chained.

An event is written in the transaction of what it tells, with a MAC over its content.
Chaining comes afterwards, one event after the other under a lock, so that no request
waits for another. ``verify`` names the first event that was changed, removed or
reordered. The keys come from the root secret: who can write to the database but lacks the
master key can neither make an event nor a link.

What the database alone can not show: that events were cut off at the end, whether before
they were chained, or by unchaining them and winding the head back, so that the rest is
chained anew without them. For that each chaining logs its head, and ``verify`` prints it:
a head kept elsewhere that is no longer in the chain is the proof.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select, text, update

from authsvc.logs import get_logger
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import audit_events, audit_heads
from authsvc.storage.upsert import insert_into

log = get_logger(__name__)

_HEAD = "audit"
_LOCK = 0x6175746873766302
_GENESIS = bytes(32)
_BATCH = 1_000


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


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """The outcome of a verification: what is wrong with which event, if anything is."""

    checked: int
    head: str
    event_id: str | None = None
    problem: str | None = None


_EVENT = (
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


class AuditLog:
    """Writes events and verifies the chain, with a key derived from the root secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key

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
                event_mac=self._mac(stored),
            )
        )

    async def list(
        self, tx: Transaction, *, before: str | None, limit: int, event: str | None = None
    ) -> list[AuditEvent]:
        """Return up to ``limit`` events, newest first, from the one before ``before`` on."""
        statement = select(*_EVENT).order_by(audit_events.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(audit_events.c.id < before)
        if event is not None:
            statement = statement.where(audit_events.c.event == event)
        return [AuditEvent(*row) for row in await tx.execute(statement)]

    async def chain(self, tx: Transaction) -> int:
        """Chain the events that are not chained yet; return how many they were."""
        connection = await tx.connection()
        if connection.dialect.name == "postgresql":
            await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        position, link = await self._find_head(tx)
        chained = 0
        while True:
            rows = (
                await tx.execute(
                    select(audit_events.c.id, audit_events.c.event_mac)
                    .where(audit_events.c.position.is_(None))
                    .order_by(audit_events.c.id)
                    .limit(_BATCH)
                )
            ).all()
            for event_id, event_mac in rows:
                position, link = position + 1, self._link(link, position + 1, event_mac)
                await tx.execute(
                    update(audit_events)
                    .where(audit_events.c.id == event_id)
                    .values(position=position, chain_hash=link)
                )
            chained += len(rows)
            if len(rows) < _BATCH:
                break
        if chained:
            await self._save_head(tx, position, link)
            log.info("audit_chained", events=chained, head=_head(position, link))
        return chained

    async def verify(self, tx: Transaction) -> AuditFinding:
        """Check every event and the chain; name the first that does not fit.

        What is not chained yet is chained only after the rest was found whole. Compare
        ``AuditFinding.head`` with one that was kept elsewhere.
        """
        finding = await self._check_chain(tx)
        if finding.problem is None and await self.chain(tx):
            finding = await self._check_chain(tx)
        return finding

    async def _check_chain(self, tx: Transaction) -> AuditFinding:
        position, link = 0, _GENESIS
        while True:
            rows = (
                await tx.execute(
                    select(
                        audit_events.c.position,
                        audit_events.c.event_mac,
                        audit_events.c.chain_hash,
                        *_EVENT,
                    )
                    .where(audit_events.c.position > position)
                    .order_by(audit_events.c.position)
                    .limit(_BATCH)
                )
            ).all()
            for row in rows:
                problem = self._find_problem(row, position + 1, link)
                if problem:
                    return AuditFinding(position, _head(position, link), row[3], problem)
                position, link = row[0], row[2]
            if len(rows) < _BATCH:
                break
        head_position, head_link = await self._find_head(tx)
        if (head_position, head_link) != (position, link):
            return AuditFinding(
                position, _head(position, link), None, "the events at the end were removed"
            )
        return AuditFinding(position, _head(position, link))

    async def find_head_at(self, tx: Transaction, position: int) -> str | None:
        """Return the head as it was at ``position``, None beyond the end of the chain."""
        rows = await tx.execute(
            select(audit_events.c.chain_hash).where(audit_events.c.position == position)
        )
        link = _GENESIS if position == 0 else rows.scalar()
        return None if link is None else _head(position, link)

    def _find_problem(self, row: Any, position: int, link: bytes) -> str | None:
        if row[0] != position:
            return "the events before this one were removed or reordered"
        if not hmac.compare_digest(row[1], self._mac(AuditEvent(*row[3:]))):
            return "this event was changed"
        if not hmac.compare_digest(row[2], self._link(link, position, row[1])):
            return "this event does not follow the one before it"
        return None

    async def _find_head(self, tx: Transaction) -> tuple[int, bytes]:
        row = (
            await tx.execute(
                select(audit_heads.c.position, audit_heads.c.chain_hash).where(
                    audit_heads.c.name == _HEAD
                )
            )
        ).first()
        return (row[0], row[1]) if row else (0, _GENESIS)

    async def _save_head(self, tx: Transaction, position: int, link: bytes) -> None:
        statement = (await insert_into(tx, audit_heads)).values(
            name=_HEAD, position=position, chain_hash=link
        )
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=[audit_heads.c.name],
                set_={"position": position, "chain_hash": link},
            )
        )

    def _mac(self, event: AuditEvent) -> bytes:
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
        return hmac.digest(self._key, message, "sha256")

    def _link(self, previous: bytes, position: int, event_mac: bytes) -> bytes:
        message = b"link" + previous + position.to_bytes(8, "big") + event_mac
        return hmac.digest(self._key, message, "sha256")


def _head(position: int, link: bytes) -> str:
    return f"{position}:{link.hex()}"
