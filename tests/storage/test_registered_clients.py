"""Clients that nobody used are found by an index of their own, however many are in use."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from authsvc.storage.registered_clients import count_unused_clients, delete_unused_clients
from tests.conftest import Backend, OpenProvider
from tests.registration import registered

INDEX = "ix_clients_unused_created_at"
USED = 3_000
_FILL = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :used)"
    " INSERT INTO clients (client_id, metadata, self_registered, created_at, updated_at, used_at)"
    " SELECT 'client' || n, '{}', 1, '2020-01-01', '2020-01-01', '2020-01-01' FROM s",
    "postgres": "INSERT INTO clients (client_id, metadata, self_registered, created_at,"
    " updated_at, used_at) SELECT 'client' || n, '{}', true, now(), now(), now()"
    " FROM generate_series(1, :used) n",
}


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_counting_and_purging_read_no_client_that_is_in_use(
    make_backend: Any, open_providers: OpenProvider, name: str
) -> None:
    backend: Backend = make_backend(name)
    provider = await open_providers(backend, registration="open")
    database, now = provider.resources.database, provider.clock.now()
    async with database.transaction() as tx:
        await tx.execute(text(_FILL[name]), {"used": USED})
    made = [await registered(provider) for _ in range(3)]
    async with database.transaction() as tx:
        await tx.execute(text("ANALYZE"))
    statements: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", remember)
    async with database.transaction() as tx:
        assert await count_unused_clients(tx, limit=100) == 3
        assert await count_unused_clients(tx, limit=2) == 2
        deleted = await delete_unused_clients(tx, before=now + timedelta(days=1), limit=100)
    event.remove(database.engine.sync_engine, "before_cursor_execute", remember)
    assert deleted == sorted(client["client_id"] for client in made)

    explain = "EXPLAIN QUERY PLAN" if name == "sqlite" else "EXPLAIN"
    plans = []
    async with database.engine.connect() as connection:
        for statement, parameters in statements:
            if "clients" in statement:
                rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
                plans.append("\n".join(str(row) for row in rows))
        await connection.rollback()
    assert len(plans) == 3
    for plan in plans:
        assert INDEX in plan, plan
        assert "Seq Scan on clients" not in plan
        assert "SCAN clients\n" not in plan
