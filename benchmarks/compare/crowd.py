"""Many people, clients and refresh tokens in a prepared database, made by SQL."""

import asyncpg

from benchmarks.fill import ROWS

_AT_ONCE = 100_000
_TABLES = ("users", "sessions", "token_families")

_CLIENTS = """
INSERT INTO clients (client_id, metadata, created_at, updated_at)
SELECT 'client' || i, web.metadata, now(), now()
FROM clients web, generate_series({first}, {last}) i WHERE web.client_id = 'web'
"""
_SECRETS = """
INSERT INTO client_secrets (id, client_id, secret_hash, created_at)
SELECT gen_random_uuid(), 'client' || i, sha256(('secret' || i)::bytea), now()
FROM generate_series({first}, {last}) i
"""
# Living ones, each in a family of its own and of another person.
_TOKENS = """
INSERT INTO refresh_tokens (token_hash, family_id, created_at, expires_at)
SELECT sha256(('token' || id)::bytea), id, created_at, now() + interval '14 days'
FROM token_families WHERE id LIKE '018f0000-0000-7000-8000-%'
"""
_CONSENTS = """
INSERT INTO consents (user_id, client_id, scope, granted_at)
SELECT user_id, client_id, scope, created_at
FROM token_families WHERE id LIKE '018f0000-0000-7000-8000-%'
"""
# One app that half of all people use, and many that one person uses each.
_APP = "CASE WHEN i % 2 = 0 THEN 'web' ELSE 'client' || i END, "

FILLED = frozenset((*_TABLES, "clients", "client_secrets", "refresh_tokens", "consents"))
"""Which tables have as many rows as were asked for."""


async def fill(database_url: str, size: int) -> None:
    """Add ``size`` people with a session each, clients, consents and refresh tokens."""
    connection = await asyncpg.connect(database_url)
    try:
        for first in range(1, size + 1, _AT_ONCE):
            last = min(size, first + _AT_ONCE - 1)
            bounds = {"first": first, "last": last}
            statements = [_CLIENTS.format(**bounds), _SECRETS.format(**bounds)]
            for table in _TABLES:
                # There, rows of a sign-in are for one client.
                insert = ROWS[table].insert(table, first, last)
                statements.append(insert.replace("'app', ", _APP))
            for statement in statements:
                await connection.execute(statement, timeout=600)
        for statement in (_TOKENS, _CONSENTS):
            await connection.execute(statement, timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()
