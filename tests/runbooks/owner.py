"""An account of PostgreSQL that owns its databases and no more, as the set-up has it."""

import secrets
from typing import Any

import asyncpg

from tests.runbooks.installation import with_account, with_database
from tests.servers import PostgresServer


class Owner:
    """The account; ``password`` is what it was made with."""

    def __init__(self, server: PostgresServer) -> None:
        self._url = server.url
        self.name = f"owner_{secrets.token_hex(4)}"
        self.password = secrets.token_hex(16)

    async def create(self) -> None:
        """Create it."""
        await self._ask(f"CREATE ROLE {self.name} LOGIN CREATEDB PASSWORD '{self.password}'")

    async def create_database(self, template: str = "template0") -> str:
        """Create a database and return the account's URL for it."""
        name = f"runbook_{secrets.token_hex(4)}"
        await self._ask(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {self.name}")
        return with_database(with_account(self._url, self.name, self.password), name)

    async def reset_password(self) -> None:
        """Give it the password again that it was made with."""
        await self._ask(f"ALTER ROLE {self.name} PASSWORD '{self.password}'")

    async def drop(self) -> None:
        """Drop it with every database that it has made."""
        rows = await self._ask(
            "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba"
            f" WHERE rolname = '{self.name}'"
        )
        for row in rows:
            await self._ask(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
        await self._ask(f"DROP ROLE {self.name}")

    async def _ask(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self._url)
        try:
            rows: list[Any] = await connection.fetch(statement)
        finally:
            await connection.close()
        return rows
