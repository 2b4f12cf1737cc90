"""Rows as long as those of an ordinary sign-in, for the tables that grow with use."""

from dataclasses import dataclass
from typing import Final

_UUID = "'018f0000-0000-7000-8000-' || lpad(to_hex({}), 12, '0')"
_HASH = "sha256(('{}' || i)::bytea)"
_ROW, _FAMILY = _UUID.format("i"), _UUID.format("(i - 1) / 12 + 1")
_SIGN_IN = "now(), 'aal1', '[\"pwd\"]'"
_SCOPE = "'openid profile email offline_access', '[]'"


@dataclass(frozen=True)
class Rows:
    """How the rows ``i`` of a table are made, and what later becomes of each of them."""

    columns: str
    values: str
    changes: tuple[str, ...] = ()
    key: str = "id"
    key_of_row: str = _ROW

    def insert(self, table: str, first: int, last: int) -> str:
        """Return the statement that makes the rows from ``first`` to ``last``."""
        return (
            f"INSERT INTO {table} ({self.columns})"
            f" SELECT {self.values} FROM generate_series({first}, {last}) i"
        )

    def updates(self, table: str, first: int, last: int) -> list[str]:
        """Return the statements that change the same rows, in order."""
        return [
            f"UPDATE {table} SET {change} FROM generate_series({first}, {last}) i"
            f" WHERE {table}.{self.key} = {self.key_of_row}"
            for change in self.changes
        ]


_SPENT = (
    f"consumed_at = now(), successor_hash = {_HASH.format('n')},"
    f" successor_sealed = {_HASH.format('a')} || {_HASH.format('b')} || sha256('t')"
)
_NEEDED = "kept_until = now() + interval '7 days'"

ROWS: Final = {
    "users": Rows(
        "id, username, username_key, email, email_key, email_verified, password_hash, claims,"
        " created_at, updated_at",
        f"{_ROW}, 'user' || i, 'user' || i, i || '@example.com', i || '@example.com', true,"
        " repeat('x', 97), '{}', now(), now()",
    ),
    "sessions": Rows(
        "id, cookie_hash, user_id, auth_time, acr, amr, address, user_agent, created_at,"
        " seen_at, expires_at",
        f"{_ROW}, {_HASH.format('s')}, {_ROW}, {_SIGN_IN}, '203.0.113.7', repeat('u', 110),"
        " now(), now(), now() + interval '1 day'",
        ("seen_at = now()", "ended_at = now()", _NEEDED),
    ),
    "session_clients": Rows("session_id, client_id", f"{_ROW}, 'app'"),
    "authorization_codes": Rows(
        "id, code_hash, client_id, user_id, session_id, redirect_uri, redirect_uri_sent, scope,"
        " resources, nonce, code_challenge, auth_time, acr, amr, created_at, expires_at",
        f"{_ROW}, {_HASH.format('c')}, 'app', {_ROW}, {_ROW}, 'https://app.example.com/cb', true,"
        f" {_SCOPE}, repeat('n', 22), repeat('c', 43), {_SIGN_IN}, now(), now()",
        ("consumed_at = now()", _NEEDED),
    ),
    "token_families": Rows(
        "id, client_id, user_id, session_id, scope, resources, auth_time, acr, amr, created_at,"
        " expires_at",
        f"{_ROW}, 'app', {_ROW}, {_ROW}, {_SCOPE}, {_SIGN_IN}, now(), now() + interval '90 days'",
    ),
    "refresh_tokens": Rows(
        "token_hash, family_id, created_at, expires_at",
        f"{_HASH.format('r')}, {_FAMILY}, now(), now() - interval '1 day' + i * interval '1 ms'",
        (_SPENT,),
        "token_hash",
        _HASH.format("r"),
    ),
    "audit_events": Rows(
        "id, at, event, actor, subject, client_id, address, request_id, details, event_mac",
        f"{_ROW}, now() + i * interval '1 ms', 'token.issued', {_ROW}, {_ROW}, 'app',"
        f" '203.0.113.7', {_ROW}, '{{}}', {_HASH.format('e')}",
        (f"position = i, chain_hash = {_HASH.format('h')}",),
    ),
}
"""How each table is filled, in the order in which one refers to another."""
