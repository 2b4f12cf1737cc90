"""The database itself keeps audit rows: what was written stays as it was."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from authsvc.storage.migrations import find_differences
from authsvc.storage.schema import APPEND_ONLY
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import Provider
from tests.tampering import tamper

CONTENT = (
    "id", "at", "event", "actor", "subject", "client_id", "address", "request_id", "details",
    "event_mac",
)  # fmt: skip
OTHER = {"at": "'2020-01-01 00:00:00'", "details": "'{\"a\": 1}'", "event_mac": "chain_hash"}


@pytest.fixture(params=["sqlite", "postgres"])
async def kept(
    request: pytest.FixtureRequest,
    make_backend: Callable[[BackendName], Backend],
    open_providers: OpenProvider,
) -> Provider:
    """A provider with a checkpoint, and an event that is not chained."""
    provider: Provider = await open_providers(make_backend(request.param))
    await provider.create_user()
    await provider.resources.audit_checkpoints.issue()
    await provider.create_user()
    return provider


async def _execute(provider: Provider, statement: str) -> int:
    async with provider.resources.database.engine.begin() as connection:
        return (await connection.execute(text(statement))).rowcount


async def _is_refused(provider: Provider, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        await _execute(provider, statement)


@pytest.mark.parametrize("column", CONTENT)
@pytest.mark.parametrize("where", ["position IS NULL", "position = 1"])
async def test_an_event_is_not_changed(kept: Provider, column: str, where: str) -> None:
    value = (
        OTHER.get(column, "'x'")
        if where != "position IS NULL" or column != "event_mac"
        else ("(SELECT chain_hash FROM audit_events WHERE position = 1)")
    )
    await _is_refused(kept, f"UPDATE audit_events SET {column} = {value} WHERE {where}")


async def test_an_event_is_chained_once_and_not_unchained(kept: Provider) -> None:
    link = "(SELECT chain_hash FROM audit_events WHERE position = 1)"
    for values in ("position = 99", f"chain_hash = {link}", "position = NULL, chain_hash = NULL"):
        await _is_refused(kept, f"UPDATE audit_events SET {values} WHERE position IS NULL")
        await _is_refused(kept, f"UPDATE audit_events SET {values} WHERE position = 2")
    chained = f"UPDATE audit_events SET position = 99, chain_hash = {link} WHERE position IS NULL"
    assert await _execute(kept, chained) == 1


async def test_no_event_and_no_checkpoint_is_removed(kept: Provider) -> None:
    for table in APPEND_ONLY:
        await _is_refused(kept, f"DELETE FROM {table}")
        if not kept.resources.database.is_sqlite:
            await _is_refused(kept, f"TRUNCATE {table}")
    await _is_refused(kept, "DELETE FROM audit_events WHERE position IS NULL")


async def test_a_checkpoint_is_not_changed(kept: Provider) -> None:
    for column in ("position", "checkpoint", "public_jwk", "created_at"):
        await _is_refused(kept, f"UPDATE audit_checkpoints SET {column} = {column}")


async def test_a_trigger_that_was_dropped_or_disabled_is_a_difference(kept: Provider) -> None:
    database = kept.resources.database
    assert await find_differences(database) == []
    if database.is_sqlite:
        await _execute(kept, "DROP TRIGGER audit_events_no_update")
    else:
        await _execute(kept, "ALTER TABLE audit_events DISABLE TRIGGER audit_events_no_update")
    [difference] = await find_differences(database)
    assert "audit_events_no_update" in difference


async def test_who_owns_the_tables_gets_past_the_triggers_but_not_past_the_chain(
    kept: Provider,
) -> None:
    tamper(kept.settings.database_url, "UPDATE audit_events SET actor = 'x' WHERE position = 1")
    assert (await kept.resources.audit_verifier.verify()).problem == "this event was changed"
