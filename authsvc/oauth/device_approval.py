"""A person's answer to a device: find it by its user code, and say yes or no (RFC 8628 §3.3).

Only a person who is signed in may try a code, and each try is counted before the code is
looked at, so that nobody finds another's device by guessing (§5.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from authsvc.oauth.clients import Client
from authsvc.oauth.consent import find_power, record_consent
from authsvc.oauth.logout_notices import note_session_client
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import TooManyRequests
from authsvc.protocol.scope import parse_scope
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.device_codes import (
    DeviceCode,
    approve_device_code,
    deny_device_code,
    find_unanswered_code,
    find_unanswered_code_by_id,
)
from authsvc.storage.sessions import Session, hold_session


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device that waits for an answer: its client, and all that the person would allow."""

    code: DeviceCode
    client: Client
    wanted: tuple[str, ...]


async def find_waiting_device(
    server: AuthorizationServer, session: Session, user_code: str, origin: Origin
) -> WaitingDevice | None:
    """Return the device of the code that the person typed, or None: unknown, expired, answered.

    Raises TooManyRequests after a few wrong ones of the person, or from their address.
    """
    resources = server.resources
    now = resources.clock.now()
    buckets = resources.login_throttle.user_code_buckets(session.user_id, origin.address)
    async with resources.database.transaction() as tx:
        try:
            await resources.login_throttle.count(tx, buckets)
        except TooManyRequests as error:
            raise TooManyRequests(
                "Too many wrong codes: wait a little before the next attempt",
                detail="device code entry throttled",
                retry_after=error.retry_after,
            ) from error
        code_hash = resources.opaque_hash("user code", user_code)
        code = await find_unanswered_code(tx, code_hash, now=now)
        found = None if code is None else await _describe(server, tx, code, session)
        if found is None:
            await resources.audit.record(
                tx, "user_code.wrong", origin, now=now, subject=session.user_id
            )
        else:
            await resources.login_throttle.clear(tx, buckets)
    return found


async def find_waiting_device_by_id(
    server: AuthorizationServer, tx: Transaction, session: Session, code_id: str
) -> WaitingDevice | None:
    """Return the device that the person was shown, or None when it waits no longer."""
    now = server.resources.clock.now()
    code = await find_unanswered_code_by_id(tx, code_id, now=now)
    return None if code is None else await _describe(server, tx, code, session)


async def approve_device(
    server: AuthorizationServer,
    tx: Transaction,
    session: Session,
    device: WaitingDevice,
    origin: Origin,
) -> bool:
    """Let the device have what was shown; False when the code or the session is over.

    Whoever ends the session meanwhile waits, and then sees the code (decision 18).
    """
    now = server.resources.clock.now()
    await server.resources.sessions.touch(tx, session)
    if await hold_session(tx, session.id) is None:
        return False
    if not await approve_device_code(tx, device.code.id, session, now=now):
        return False
    await note_session_client(tx, session.id, device.client)
    await record_consent(
        server,
        tx,
        user_id=session.user_id,
        client_id=device.client.client_id,
        wanted=device.wanted,
        origin=origin,
    )
    await _record(server, tx, "device_code.approved", session, device, origin)
    return True


async def deny_device(
    server: AuthorizationServer,
    tx: Transaction,
    session: Session,
    device: WaitingDevice,
    origin: Origin,
) -> bool:
    """Refuse the device; False when it waits no longer."""
    now = server.resources.clock.now()
    if not await deny_device_code(tx, device.code.id, user_id=session.user_id, now=now):
        return False
    await _record(server, tx, "device_code.denied", session, device, origin)
    return True


async def _describe(
    server: AuthorizationServer, tx: Transaction, code: DeviceCode, session: Session
) -> WaitingDevice | None:
    client = await server.clients.find(code.client_id)
    if client is None:
        return None
    scope = parse_scope(code.scope)
    power = await find_power(
        server, tx, session.user_id, client, scope=scope, resources=code.resources
    )
    return WaitingDevice(code, client, _unique(scope, code.resources, power))


def _unique(*parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for part in parts for value in part))


async def _record(
    server: AuthorizationServer,
    tx: Transaction,
    event: str,
    session: Session,
    device: WaitingDevice,
    origin: Origin,
) -> None:
    await server.resources.audit.record(
        tx,
        event,
        origin,
        now=server.resources.clock.now(),
        subject=session.user_id,
        client_id=device.client.client_id,
        device_code=device.code.id,
    )
