"""Every statement of a day's work finds its rows by an index, on tables that are large."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, event, text

from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.jobs.purge_expired import purge_expired
from authsvc.storage.database import Transaction
from authsvc.storage.outbox import claim as claim_entries
from authsvc.storage.password_resets import PasswordReset, count_password_resets
from tests.attacks.journey import travel
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

ROWS = 3_000
# Read as a whole on purpose: few rows.
SMALL = frozenset(
    {"job_runs", "roles", "role_permissions", "role_parents", "signing_keys", "registry_versions"}
    | {"root_secrets", "audit_heads", "alembic_version", "webhooks", "webhook_secrets"}
)
_UUID = "lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000'"
_FILL = {
    "users": "id, username, username_key, email_verified, claims, created_at, updated_at"
    f" SELECT {_UUID}, 'u' || n, 'u' || n, false, '{{}}', now(), now()",
    "clients": "client_id, metadata, created_at, updated_at"
    " SELECT 'client' || n, '{}', now(), now()",
    "client_secrets": "id, client_id, secret_hash, created_at"
    f" SELECT {_UUID}, 'client' || n, sha256(n::text::bytea), now()",
    "sessions": "id, cookie_hash, user_id, auth_time, acr, amr, address, user_agent,"
    " created_at, seen_at, expires_at"
    f" SELECT {_UUID}, sha256(n::text::bytea), {_UUID}, now(), '', '[]', '', '', now(), now(),"
    " now() + n * interval '1 minute'",
    "session_clients": f"session_id, client_id SELECT {_UUID}, 'client' || n",
    "outbox": "id, kind, payload, attempts, created_at, due_at"
    f" SELECT {_UUID}, 'backchannel_logout', '{{}}', 0, now(), now() + n * interval '1 minute'",
    "consents": f"user_id, client_id, scope, granted_at SELECT {_UUID}, 'client' || n, '', now()",
    "authorization_codes": "id, code_hash, client_id, user_id, session_id, redirect_uri,"
    " redirect_uri_sent, scope, resources, created_at, expires_at"
    f" SELECT {_UUID}, sha256(n::text::bytea), 'client' || n, {_UUID}, {_UUID}, '', true, '',"
    " '[]', now(), now() + n * interval '1 minute'",
    "device_codes": "id, device_code_hash, user_code_hash, client_id, user_id, session_id, scope,"
    " resources, poll_interval, created_at, expires_at"
    f" SELECT {_UUID}, sha256(n::text::bytea), sha256(n::text::bytea), 'client' || n, {_UUID},"
    f" {_UUID}, '', '[]', 5, now(), now() + n * interval '1 minute'",
    "token_families": "id, client_id, user_id, session_id, scope, resources, auth_time, acr,"
    " amr, created_at, expires_at"
    f" SELECT {_UUID}, 'client' || n, {_UUID}, {_UUID}, '', '[]', now(), '', '[]', now(),"
    " now() + n * interval '1 minute'",
    "refresh_tokens": "token_hash, family_id, created_at, expires_at"
    f" SELECT sha256(n::text::bytea), {_UUID}, now(), now() + n * interval '1 minute'",
    "revocations": "kind, value, issued_before, created_at, expires_at"
    " SELECT 'token', n::text, now(), now() - n * interval '1 minute',"
    " now() + n * interval '1 minute'",
    "password_resets": "token_hash, user_id, binding, created_at, expires_at"
    f" SELECT sha256(n::text::bytea), {_UUID}, sha256(n::text::bytea), now(),"
    " now() + n * interval '1 minute'",
    "login_attempts": "bucket_hash, failures, blocked_until, expires_at"
    " SELECT sha256(n::text::bytea), 1, now(), now() + n * interval '1 minute'",
    "client_assertions": "assertion_hash, expires_at"
    " SELECT sha256(n::text::bytea), now() + n * interval '1 minute'",
    "initial_access_tokens": "id, token_hash, created_at, expires_at"
    f" SELECT {_UUID}, sha256(n::text::bytea), now(), now() + n * interval '1 minute'",
    "idempotency_keys": "key_hash, request_hash, created_at, expires_at"
    " SELECT sha256(n::text::bytea), ''::bytea, now(), now() + n * interval '1 minute'",
    "user_roles": f"user_id, role_id SELECT {_UUID}, (SELECT min(id) FROM roles)",
    "client_roles": "client_id, role_id SELECT 'client' || n, (SELECT min(id) FROM roles)",
    "audit_events": "id, at, event, actor, subject, client_id, address, request_id, details,"
    " event_mac, position, chain_hash"
    f" SELECT {_UUID}, now() - n * interval '1 minute', 'e' || n % 50, '', n::text, '', '', '',"
    " '{}', ''::bytea, 1000000 + n, ''::bytea",
}


@pytest.fixture
async def busy(make_backend: Any, open_providers: OpenProvider) -> Provider:
    """A provider on PostgreSQL whose tables are large."""
    backend: Backend = make_backend("postgres")
    provider: Provider = await open_providers(backend)
    await provider.create_role("reader", "articles:read")
    async with provider.resources.database.transaction() as tx:
        for table, rest in _FILL.items():
            columns, _, select = rest.partition(" SELECT ")
            await tx.execute(
                text(
                    f"INSERT INTO {table} ({columns})"
                    f" SELECT {select} FROM generate_series(1, {ROWS}) n"
                )
            )
    async with provider.resources.database.transaction() as tx:
        await tx.execute(text("ANALYZE"))
    return provider


async def test_every_statement_of_a_days_work_uses_an_index(busy: Provider) -> None:
    statements: dict[str, Any] = {}

    def remember(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")) and "pg_" not in statement:
            statements.setdefault(statement, parameters[0] if many else parameters)

    database = busy.resources.database
    engines = [database.engine.sync_engine, database._readers.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", remember)
    await travel(busy)
    await end_expired_sessions(busy.server)
    await deliver_outbox(busy.server)
    # Of each table some rows are over, and of each kind some are needed still.
    busy.clock.move(minutes=62)
    await purge_expired(busy.server)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", remember)

    assert len(statements) > 30
    problems = {}
    async with database.engine.connect() as connection:
        for statement, parameters in statements.items():
            plan = await connection.run_sync(_explain, statement, parameters)
            if found := [*_problems(plan)]:
                problems[statement] = found
        await connection.rollback()
    assert problems == {}


async def test_what_is_due_of_a_kind_is_found_by_the_index_of_what_waits(busy: Provider) -> None:
    """Whatever waits of other kinds, and however much is dead."""
    database = busy.resources.database
    now = busy.clock.now()
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO outbox (id, kind, payload, attempts, created_at, due_at, failed_at)"
                " SELECT 'x' || n, CASE n % 2 WHEN 0 THEN 'webhook' ELSE 'mail_notice' END,"
                " '{\"webhook_id\": \"w\"}', 0, now(), now() - n * interval '1 second',"
                " CASE n % 2 WHEN 0 THEN NULL ELSE now() END"
                f" FROM generate_series(1, {10 * ROWS}) n"
            )
        )
        await tx.execute(text("ANALYZE outbox"))
    kinds, lease = ["mail_notice", "password_reset"], timedelta(minutes=1)

    async def claim(tx: Transaction) -> object:
        return await claim_entries(tx, kinds, now=now, lease=lease, limit=40, full=["w"])

    (plan,) = await _plans(busy, claim)
    used = [*_indexes(plan)]
    assert used.count("ix_outbox_waiting_kind_due_at") == len(kinds), plan
    assert [*_problems(plan)] == []


async def test_links_of_a_person_that_are_good_are_found_by_their_index(busy: Provider) -> None:
    """Also where many of the person are over and not purged yet."""
    account = await busy.create_user()
    async with busy.resources.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO password_resets (token_hash, user_id, binding, created_at, expires_at)"
                " SELECT sha256(('x' || n)::bytea), :user, sha256('x'::bytea), now(),"
                f" now() - n * interval '1 minute' FROM generate_series(1, {ROWS}) n"
            ),
            {"user": account.id},
        )
        await tx.execute(text("ANALYZE password_resets"))

    async def count(tx: Transaction) -> object:
        reset = PasswordReset(account.id, bytes(32))
        return await count_password_resets(tx, reset, now=busy.clock.now())

    (plan,) = await _plans(busy, count)
    assert [*_indexes(plan)] == ["ix_password_resets_links_user_id_expires_at"]


async def _plans(
    provider: Provider, work: Callable[[Transaction], Awaitable[object]]
) -> list[dict[str, Any]]:
    """Return how the statements of ``work`` are executed."""
    statements: list[tuple[str, Any]] = []

    def remember(_c: Any, _u: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        statements.append((statement, parameters))

    database = provider.resources.database
    engine = database.engine.sync_engine
    async with database.transaction() as tx:
        await tx.connection()
        event.listen(engine, "before_cursor_execute", remember)
        await work(tx)
        event.remove(engine, "before_cursor_execute", remember)
    async with database.engine.connect() as connection:
        plans = [await connection.run_sync(_explain, *statement) for statement in statements]
        await connection.rollback()
    return plans


def _indexes(node: dict[str, Any]) -> Iterator[str]:
    """Yield the indexes that a plan reads, of tables of their own names."""
    if "Index Name" in node and not node["Index Name"].startswith("pk_"):
        yield node["Index Name"]
    for child in node.get("Plans", ()):
        yield from _indexes(child)


def _explain(connection: Connection, statement: str, parameters: Any) -> dict[str, Any]:
    row = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    plans = orjson.loads(row) if isinstance(row, str) else row
    plan: dict[str, Any] = plans[0]["Plan"]
    return plan


def _problems(node: dict[str, Any], *, limited: bool = False) -> Iterator[str]:
    """Yield the parts of a plan that read a large table without a condition on an index."""
    kind, table = node["Node Type"], node.get("Relation Name")
    limited = limited or kind == "Limit"
    if table is not None and table not in SMALL and "Scan" in kind:
        by_index = "Index Cond" in node or kind == "Bitmap Heap Scan"
        # In the order of an index, and no further than the limit.
        in_order = limited and "Index Name" in node
        if not (by_index or in_order):
            yield f"{kind} of {table}: {node.get('Filter', 'everything')}"
    for child in node.get("Plans", ()):
        yield from _problems(child, limited=limited)


async def test_a_scan_of_a_large_table_would_be_found(busy: Provider) -> None:
    async with busy.resources.database.engine.connect() as connection:
        plan = await connection.run_sync(
            _explain, "SELECT id FROM users WHERE password_hash = 'x'", ()
        )
        await connection.rollback()

    assert [*_problems(plan)] != []
