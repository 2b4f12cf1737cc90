"""The chain of audit events: each link authenticates its event, its place and all before it.

Chaining comes after the events, one event after the other under a lock, so that no request
waits for another. ``verify`` names the first event that was changed, removed or reordered.
The key comes from the root secret: who can write to the database but lacks the master key
can not make a link.

What the chain alone can not show: that events were cut off at the end, whether before they
were chained, or by unchaining them and winding the head back, so that the rest is chained
anew without them. For that there are heads kept elsewhere: each chaining logs its head, and
``signing.audit_checkpoints`` signs one now and then.
"""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, text, update

from authsvc.logs import get_logger
from authsvc.storage.audit import EVENT_COLUMNS, AuditEvent, event_mac
from authsvc.storage.database import Database, Transaction
from authsvc.storage.schema import audit_events, audit_heads
from authsvc.storage.upsert import insert_into

log = get_logger(__name__)

_HEAD = "audit"
_LOCK = 0x6175746873766302
_BATCH = 1_000

_LINK = (
    update(audit_events)
    .where(audit_events.c.id == bindparam("event_id"))
    .values(position=bindparam("place"), chain_hash=bindparam("link"))
)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The place of an event in the chain, which is how many there are up to it, and its link."""

    position: int
    chain_hash: bytes

    def __str__(self) -> str:
        """Write it as ``POSITION:HEX``."""
        return f"{self.position}:{self.chain_hash.hex()}"


GENESIS = AuditHead(0, bytes(32))
"""The head of a log without events."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """The outcome of a verification: what is wrong with which event, if anything is."""

    head: AuditHead
    event_id: str | None = None
    problem: str | None = None

    @property
    def checked(self) -> int:
        """How many events are whole."""
        return self.head.position


class AuditChain:
    """Chains events and verifies the chain, with a key derived from the root secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def chain(self, tx: Transaction) -> AuditHead:
        """Chain the events that are not chained yet; return the head."""
        await lock_audit_chain(tx)
        before = head = await _find_head(tx)
        while True:
            rows = (
                await tx.execute(
                    select(audit_events.c.id, audit_events.c.event_mac)
                    .where(audit_events.c.position.is_(None))
                    .order_by(audit_events.c.id)
                    .limit(_BATCH)
                )
            ).all()
            links = []
            for event_id, mac in rows:
                head = self._follow(head, mac)
                links.append(
                    {"event_id": event_id, "place": head.position, "link": head.chain_hash}
                )
            if links:
                await tx.execute(_LINK, links)
            if len(rows) < _BATCH:
                break
        if head != before:
            await _save_head(tx, head)
            log.info("audit_chained", events=head.position - before.position, head=str(head))
        return head

    async def verify(self, database: Database) -> AuditFinding:
        """Check every event and the chain; name the first that does not fit.

        Nobody waits for it: what is chained stays as it is, so that most of it is read
        beside the writers, and the lock is held for what came meanwhile. What is not
        chained yet is chained only after the rest was found whole.
        """
        async with database.reading() as tx:
            finding = await self._check(tx, GENESIS, until=await _find_head(tx))
        if finding.problem is not None:
            return finding
        async with database.transaction() as tx:
            await lock_audit_chain(tx)
            head = await _find_head(tx)
            finding = await self._check(tx, finding.head)
            if finding.problem is None and finding.head != head:
                finding = AuditFinding(finding.head, None, _compare(finding.head, head))
            if finding.problem is None and await self.chain(tx) != head:
                finding = await self._check(tx, finding.head)
        return finding

    def authenticate(self, content: bytes) -> bytes:
        """Return the MAC over what a checkpoint says."""
        return hmac.digest(self._key, b"checkpoint" + content, "sha256")

    async def _check(
        self, tx: Transaction, head: AuditHead, *, until: AuditHead | None = None
    ) -> AuditFinding:
        """Check the events after ``head``, to the place of ``until`` or all that there are."""
        statement = (
            select(
                audit_events.c.position,
                audit_events.c.event_mac,
                audit_events.c.chain_hash,
                *EVENT_COLUMNS,
            )
            .order_by(audit_events.c.position)
            .limit(_BATCH)
        )
        if until is not None:
            statement = statement.where(audit_events.c.position <= until.position)
        while True:
            rows = (
                await tx.execute(statement.where(audit_events.c.position > head.position))
            ).all()
            # A batch takes some milliseconds of computing, which requests need not wait for.
            finding = await asyncio.to_thread(self._check_rows, head, rows)
            if finding.problem is not None or len(rows) < _BATCH:
                return finding
            head = finding.head

    def _check_rows(self, head: AuditHead, rows: Sequence[Any]) -> AuditFinding:
        for row in rows:
            problem = self._find_problem(row, head)
            if problem:
                return AuditFinding(head, row[3], problem)
            head = AuditHead(row[0], row[2])
        return AuditFinding(head)

    def _find_problem(self, row: Any, before: AuditHead) -> str | None:
        if row[0] != before.position + 1:
            return "the events before this one were removed or reordered"
        if not hmac.compare_digest(row[1], event_mac(self._key, AuditEvent(*row[3:]))):
            return "this event was changed"
        if not hmac.compare_digest(row[2] or b"", self._follow(before, row[1]).chain_hash):
            return "this event does not follow the one before it"
        return None

    def _follow(self, head: AuditHead, mac: bytes) -> AuditHead:
        position = head.position + 1
        message = b"link" + head.chain_hash + position.to_bytes(8, "big") + mac
        return AuditHead(position, hmac.digest(self._key, message, "sha256"))


def _compare(found: AuditHead, stored: AuditHead) -> str:
    if found.position < stored.position:
        return "the events at the end were removed"
    return "the stored head is not that of the last event: it was removed, changed or wound back"


async def lock_audit_chain(tx: Transaction) -> None:
    """Let one transaction at a time extend the chain, in the whole cluster."""
    connection = await tx.connection()
    if connection.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def find_head_at(tx: Transaction, position: int) -> AuditHead | None:
    """Return the head as it was at ``position``, None beyond the end of the chain."""
    rows = await tx.execute(
        select(audit_events.c.chain_hash).where(audit_events.c.position == position)
    )
    chain_hash = GENESIS.chain_hash if position == 0 else rows.scalar()
    return None if chain_hash is None else AuditHead(position, chain_hash)


async def _find_head(tx: Transaction) -> AuditHead:
    row = (
        await tx.execute(
            select(audit_heads.c.position, audit_heads.c.chain_hash).where(
                audit_heads.c.name == _HEAD
            )
        )
    ).first()
    return AuditHead(row[0], row[1]) if row else GENESIS


async def _save_head(tx: Transaction, head: AuditHead) -> None:
    values = {"position": head.position, "chain_hash": head.chain_hash}
    statement = (await insert_into(tx, audit_heads)).values(name=_HEAD, **values)
    await tx.execute(
        statement.on_conflict_do_update(index_elements=[audit_heads.c.name], set_=values)
    )
