"""Checkpoints are issued on a schedule: when the head has moved, and not too often."""

import asyncio

import pytest
from structlog.testing import CapturingLogger

from authsvc.jobs.chain_audit import chain_audit
from authsvc.protocol.errors import Conflict
from authsvc.signing import audit_checkpoints
from tests.conftest import Backend, OpenProvider
from tests.provider import ORIGIN, Provider, header_of
from tests.tampering import tamper


async def _checkpoints(provider: Provider) -> int:
    found = await provider.resources.audit_verifier.verify()
    assert found.problem is None
    return found.checkpoints


async def test_a_checkpoint_follows_events_at_most_every_few_minutes(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(audit_checkpoints, "log", log)
    await provider.create_user()
    await chain_audit(provider.server)
    assert await _checkpoints(provider) == 1
    [issued] = log.calls
    assert issued.args == ("audit_checkpoint_issued",)
    assert issued.kwargs["checkpoint"] == await provider.resources.audit_checkpoints.issue()

    await provider.create_user()
    await chain_audit(provider.server)
    assert await _checkpoints(provider) == 1

    provider.clock.move(minutes=5)
    await chain_audit(provider.server)
    assert await _checkpoints(provider) == 2

    provider.clock.move(minutes=5)
    await chain_audit(provider.server)
    assert await _checkpoints(provider) == 2, "nothing has happened since"


async def test_many_events_do_not_wait_for_the_time(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_checkpoints, "EVENTS", 2)
    await chain_audit(sqlite_provider.server)
    before = await _checkpoints(sqlite_provider)
    for number in (1, 2):
        await sqlite_provider.create_user()
        await chain_audit(sqlite_provider.server)
        assert await _checkpoints(sqlite_provider) == before + number // 2


async def test_replicas_issue_one_checkpoint_for_one_head(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    await replicas[0].create_user()
    issued = await asyncio.gather(
        *(replica.resources.audit_checkpoints.issue() for replica in replicas for _ in range(3))
    )
    assert len(set(issued)) == 1
    assert await _checkpoints(replicas[1]) == 1


async def test_a_checkpoint_is_signed_by_the_key_that_is_active_after_a_rotation(
    sqlite_provider: Provider,
) -> None:
    resources = sqlite_provider.resources
    first = await resources.audit_checkpoints.issue()
    async with resources.database.transaction() as tx:
        await resources.key_rotation.rotate(tx, ORIGIN)
    second = await resources.audit_checkpoints.issue()
    assert header_of(first)["kid"] != header_of(second)["kid"]
    assert header_of(second)["kid"] == (await resources.keyring.get()).active("ES256").kid
    assert (await resources.audit_verifier.verify([first, second])).problem is None


async def test_the_schedule_complains_when_the_log_ends_before_a_checkpoint(
    sqlite_provider: Provider,
) -> None:
    await sqlite_provider.create_user()
    await chain_audit(sqlite_provider.server)
    tamper(
        sqlite_provider.settings.database_url,
        "DELETE FROM audit_events",
        "DELETE FROM audit_heads",
    )
    with pytest.raises(Conflict, match="tampered with"):
        await chain_audit(sqlite_provider.server)
