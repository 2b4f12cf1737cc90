"""Whoever changes the audit log in the database is found out."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from authsvc.jobs.chain_audit import chain_audit
from authsvc.storage.audit_chain import AuditChain, AuditFinding, find_head_at
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Provider
from tests.tampering import tamper

EVENTS = 12


async def _write_events(provider: Provider, number: int) -> None:
    resources = provider.resources
    for count in range(number):
        async with resources.database.transaction() as tx:
            await resources.audit.record(
                tx,
                "user.updated",
                ORIGIN,
                now=resources.clock.now(),
                subject=f"person-{count}",
                members=["email", "claims"],
                nested={"é": [1, 2.5, None, True], "a": {"z": 1, "b": 2}},
            )


async def _verify(provider: Provider) -> AuditFinding:
    return await provider.resources.audit_chain.verify(provider.resources.database)


async def _execute(provider: Provider, *statements: str) -> None:
    tamper(provider.settings.database_url, *statements)


@pytest.fixture(params=["sqlite", "postgres"])
def tampered_backend(
    request: pytest.FixtureRequest, make_backend: Callable[[BackendName], Backend]
) -> Backend:
    """Both databases: what JSON and instants come back as differs."""
    return make_backend(request.param)


@pytest.fixture
async def audited(tampered_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider with events that are chained."""
    provider: Provider = await open_providers(tampered_backend)
    await _write_events(provider, EVENTS)
    await chain_audit(provider.server)
    return provider


async def test_a_log_that_nobody_touched_is_found_whole(audited: Provider) -> None:
    first = await _verify(audited)
    assert (first.problem, first.event_id) == (None, None)
    assert first.checked >= EVENTS

    await _write_events(audited, 3)
    second = await _verify(audited)

    assert second.problem is None
    assert second.checked == first.checked + 3
    assert second.head != first.head
    async with audited.resources.database.reading() as tx:
        assert await find_head_at(tx, first.checked) == first.head
        assert await find_head_at(tx, second.checked + 1) is None


AT_5 = "WHERE position = 5"
CHANGED = {
    "who": f"UPDATE audit_events SET actor = 'somebody else' {AT_5}",
    "what": f"UPDATE audit_events SET event = 'user.created' {AT_5}",
    "whom": f"UPDATE audit_events SET subject = 'another' {AT_5}",
    "from where": f"UPDATE audit_events SET address = '198.51.100.1' {AT_5}",
    "which client": f"UPDATE audit_events SET client_id = 'c' {AT_5}",
    "which request": f"UPDATE audit_events SET request_id = 'r' {AT_5}",
    "when": f"UPDATE audit_events SET at = '2020-01-01 00:00:00+00' {AT_5}",
    "details": f"UPDATE audit_events SET details = '{{}}' {AT_5}",
    "its identifier": f"UPDATE audit_events SET id = 'x' {AT_5}",
    "its authentication": f"UPDATE audit_events SET event_mac = chain_hash {AT_5}",
}


@pytest.mark.parametrize("statement", CHANGED.values(), ids=CHANGED.keys())
async def test_an_event_that_was_changed_is_named(audited: Provider, statement: str) -> None:
    await _execute(audited, statement.replace("+00'", "'") if _is_sqlite(audited) else statement)

    finding = await _verify(audited)

    assert finding.problem == "this event was changed"
    assert finding.checked == 4
    assert finding.event_id is not None


def _is_sqlite(provider: Provider) -> bool:
    return provider.resources.database.is_sqlite


async def _remove(provider: Provider) -> None:
    await _execute(provider, f"DELETE FROM audit_events {AT_5}")


async def _remove_first(provider: Provider) -> None:
    await _execute(provider, "DELETE FROM audit_events WHERE position <= 4")


async def _remove_and_close_the_gap(provider: Provider) -> None:
    await _execute(
        provider,
        f"DELETE FROM audit_events {AT_5}",
        "UPDATE audit_events SET position = -position WHERE position > 5",
        "UPDATE audit_events SET position = -position - 1 WHERE position < 0",
    )


async def _swap(provider: Provider) -> None:
    await _execute(
        provider,
        "UPDATE audit_events SET position = -5 WHERE position = 5",
        "UPDATE audit_events SET position = 5 WHERE position = 6",
        "UPDATE audit_events SET position = 6 WHERE position = -5",
    )


async def _truncate(provider: Provider) -> None:
    await _execute(provider, "DELETE FROM audit_events WHERE position >= 10")


async def _truncate_with_the_head(provider: Provider) -> None:
    await _execute(
        provider, "DELETE FROM audit_events WHERE position >= 10", "DELETE FROM audit_heads"
    )


async def _truncate_and_go_on(provider: Provider) -> None:
    await _truncate(provider)
    await _write_events(provider, 3)


async def _remove_the_head_and_go_on(provider: Provider) -> None:
    await _execute(provider, "DELETE FROM audit_heads")
    await _write_events(provider, 3)


async def _empty(provider: Provider) -> None:
    await _execute(provider, "DELETE FROM audit_events")


async def _unchain(provider: Provider) -> None:
    await _execute(provider, f"UPDATE audit_events SET position = NULL, chain_hash = NULL {AT_5}")


async def _break_the_chain(provider: Provider) -> None:
    await _execute(provider, f"UPDATE audit_events SET chain_hash = event_mac {AT_5}")


async def _turn_back_the_head(provider: Provider) -> None:
    await _execute(
        provider,
        "DELETE FROM audit_events WHERE position >= 10",
        "UPDATE audit_heads SET position = 9",
    )


async def _change_before_it_is_chained(provider: Provider) -> None:
    await _write_events(provider, 1)
    await _execute(provider, "UPDATE audit_events SET subject = 'x' WHERE position IS NULL")


async def _forge(provider: Provider) -> None:
    await _execute(
        provider,
        "INSERT INTO audit_events (id, at, event, actor, subject, client_id, address, request_id,"
        " details, event_mac) SELECT 'ffffffff', at, event, 'forger', subject, client_id, address,"
        f" request_id, details, event_mac FROM audit_events {AT_5}",
    )


TAMPERING = (
    _remove,
    _remove_first,
    _remove_and_close_the_gap,
    _swap,
    _truncate,
    _truncate_with_the_head,
    _truncate_and_go_on,
    _remove_the_head_and_go_on,
    _empty,
    _unchain,
    _break_the_chain,
    _turn_back_the_head,
    _change_before_it_is_chained,
    _forge,
)


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__.strip("_"))
async def test_a_log_that_was_tampered_with_is_found_out(
    audited: Provider, tamper: Callable[[Provider], Awaitable[None]]
) -> None:
    before = (await _verify(audited)).checked
    await tamper(audited)

    for _ in range(2):
        finding = await _verify(audited)
        assert finding.problem
        assert finding.checked <= before


async def test_a_tail_that_goes_together_with_its_head_is_seen_against_a_head_from_before(
    audited: Provider,
) -> None:
    exported = await _verify(audited)
    await _execute(
        audited,
        "DELETE FROM audit_events WHERE position >= 10",
        "UPDATE audit_heads SET position = 9, chain_hash ="
        " (SELECT chain_hash FROM audit_events WHERE position = 9)",
    )

    finding = await _verify(audited)

    # Inside the database nothing is left to tell; outside there is.
    assert finding.problem is None
    async with audited.resources.database.reading() as tx:
        assert await find_head_at(tx, exported.checked) is None


async def test_a_chain_can_not_be_made_anew_without_the_key(
    audited: Provider, open_providers: OpenProvider, tampered_backend: Backend
) -> None:
    # Another installation's key, on the same rows: what an attacker could compute at most.
    forger = AuditChain(b"not the key of this installation")
    assert (await forger.verify(audited.resources.database)).problem is not None


async def test_replicas_that_chain_at_once_make_one_chain(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend) for _ in range(2)]
    for _ in range(3):
        await asyncio.gather(
            *(_write_events(replica, 4) for replica in replicas),
            *(chain_audit(replica.server) for replica in replicas),
        )

    finding = await _verify(replicas[0])
    assert finding.problem is None
    assert finding.checked >= 24
