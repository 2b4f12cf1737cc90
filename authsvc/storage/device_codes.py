"""Device codes and their user codes: stored as keyed hashes, answered and consumed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, or_, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import device_codes
from authsvc.storage.sessions import Session
from authsvc.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a device asked for, and how far it got. Its identifier becomes the family's.

    ``poll_interval`` is in seconds.
    """

    id: str
    client_id: str
    user_id: str | None
    session_id: str | None
    scope: str
    resources: Sequence[str]
    poll_interval: int
    polled_at: datetime | None
    created_at: datetime
    expires_at: datetime
    auth_time: datetime | None = None
    acr: str | None = None
    amr: Sequence[str] | None = None
    approved_at: datetime | None = None
    denied_at: datetime | None = None
    consumed_at: datetime | None = None


_CODE = device_codes.c
_COLUMNS = (
    _CODE.id,
    _CODE.client_id,
    _CODE.user_id,
    _CODE.session_id,
    _CODE.scope,
    _CODE.resources,
    _CODE.poll_interval,
    _CODE.polled_at,
    _CODE.created_at,
    _CODE.expires_at,
    _CODE.auth_time,
    _CODE.acr,
    _CODE.amr,
    _CODE.approved_at,
    _CODE.denied_at,
    _CODE.consumed_at,
)
_UNANSWERED = (_CODE.approved_at.is_(None), _CODE.denied_at.is_(None))


async def save_device_code(
    tx: Transaction, code: DeviceCode, *, device_code_hash: bytes, user_code_hash: bytes
) -> bool:
    """Store a new device code; False, and nothing stored, when its user code is taken."""
    statement = (await insert_into(tx, device_codes)).values(
        id=code.id,
        device_code_hash=device_code_hash,
        user_code_hash=user_code_hash,
        client_id=code.client_id,
        scope=code.scope,
        resources=list(code.resources),
        poll_interval=code.poll_interval,
        created_at=code.created_at,
        expires_at=code.expires_at,
    )
    rows = await tx.execute(
        statement.on_conflict_do_nothing(index_elements=[_CODE.user_code_hash]).returning(_CODE.id)
    )
    return rows.first() is not None


async def find_device_code(tx: Transaction, device_code_hash: bytes) -> DeviceCode | None:
    """Return the code in whatever state it is, or None."""
    return await _find(tx, _CODE.device_code_hash == device_code_hash)


async def find_unanswered_code(
    tx: Transaction, user_code_hash: bytes, *, now: datetime
) -> DeviceCode | None:
    """Return the code that waits for a person's answer, by its user code, or None."""
    return await _find(
        tx, _CODE.user_code_hash == user_code_hash, *_UNANSWERED, _CODE.expires_at > now
    )


async def find_unanswered_code_by_id(
    tx: Transaction, code_id: str, *, now: datetime
) -> DeviceCode | None:
    """Return the code that waits for a person's answer, or None."""
    return await _find(tx, _CODE.id == code_id, *_UNANSWERED, _CODE.expires_at > now)


async def approve_device_code(
    tx: Transaction, code_id: str, session: Session, *, now: datetime
) -> bool:
    """Bind the code to the session of who said yes; False when it waits for no answer any more.

    One statement: of any number of answers one counts. Whoever approves holds the session.
    """
    rows = await tx.execute(
        update(device_codes)
        .where(_CODE.id == code_id, *_UNANSWERED, _CODE.expires_at > now)
        .values(
            approved_at=now,
            user_id=session.user_id,
            session_id=session.id,
            auth_time=session.auth_time,
            acr=session.acr,
            amr=list(session.amr),
        )
        .returning(_CODE.id)
    )
    return rows.first() is not None


async def deny_device_code(tx: Transaction, code_id: str, *, user_id: str, now: datetime) -> bool:
    """Note that the person said no; False when the code waits for no answer any more."""
    rows = await tx.execute(
        update(device_codes)
        .where(_CODE.id == code_id, *_UNANSWERED, _CODE.expires_at > now)
        .values(denied_at=now, user_id=user_id)
        .returning(_CODE.id)
    )
    return rows.first() is not None


async def consume_device_code(
    tx: Transaction, code_id: str, *, session_id: str, now: datetime
) -> bool:
    """Spend the code, approved on the session that the caller holds; False when it is over.

    One statement: of any number of callers one gets True.
    """
    rows = await tx.execute(
        update(device_codes)
        .where(
            _CODE.id == code_id,
            _CODE.session_id == session_id,
            _CODE.approved_at.is_not(None),
            _CODE.consumed_at.is_(None),
            _CODE.expires_at > now,
        )
        .values(consumed_at=now)
        .returning(_CODE.id)
    )
    return rows.first() is not None


async def note_poll(tx: Transaction, code: DeviceCode, *, now: datetime, penalty: int) -> bool:
    """Count a poll; False, and the interval is ``penalty`` seconds longer, when it is too soon.

    ``code`` tells the interval that was read, under which the first statement admits the
    poll. Another poll meanwhile changes the row, and then it admits nothing: of any number
    at once one is in time.
    """
    is_this = _CODE.id == code.id
    due_since = now - timedelta(seconds=code.poll_interval)
    rows = await tx.execute(
        update(device_codes)
        .where(
            is_this,
            _CODE.poll_interval == code.poll_interval,
            or_(_CODE.polled_at.is_(None), _CODE.polled_at <= due_since),
        )
        .values(polled_at=now)
        .returning(_CODE.id)
    )
    if rows.first() is not None:
        return True
    # A clock that is behind another replica's does not wind the last poll back.
    latest = case((_CODE.polled_at > now, _CODE.polled_at), else_=now)
    await tx.execute(
        update(device_codes)
        .where(is_this)
        .values(poll_interval=_CODE.poll_interval + penalty, polled_at=latest)
    )
    return False


async def void_device_codes_of_users(
    tx: Transaction, user_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the codes the people approved expire; return the identifiers of all recent ones."""
    return await _void(tx, _CODE.user_id.in_(user_ids), now)


async def void_device_codes_of_clients(
    tx: Transaction, client_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the clients' codes expire; return the identifiers of all recent ones."""
    return await _void(tx, _CODE.client_id.in_(client_ids), now)


async def void_device_codes_of_sessions(
    tx: Transaction, session_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the codes approved on the sessions expire; return the identifiers of recent ones."""
    return await _void(tx, _CODE.session_id.in_(session_ids), now)


async def _find(tx: Transaction, *is_it: ColumnElement[bool]) -> DeviceCode | None:
    row = (await tx.execute(select(*_COLUMNS).where(*is_it))).first()
    return None if row is None else DeviceCode(*row)


async def _void(tx: Transaction, owned: ColumnElement[bool], now: datetime) -> list[str]:
    recent = (owned, _CODE.expires_at > now)
    # They expire: spent would mean that a device redeemed them.
    voided = await tx.execute(
        update(device_codes)
        .where(*recent, _CODE.consumed_at.is_(None))
        .values(expires_at=now)
        .returning(_CODE.id)
    )
    # Also those just redeemed: their tokens have no family's row unless they refresh.
    redeemed = await tx.execute(select(_CODE.id).where(*recent))
    return [*voided.scalars(), *redeemed.scalars()]
