"""People's rows, and the roles they hold."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.protocol.text import is_plain_text
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import is_id, new_id
from authsvc.storage.schema import user_roles, users


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: str
    username: str
    email: str | None
    email_verified: bool
    password_hash: str | None
    claims: Mapping[str, Any]
    disabled_at: datetime | None
    created_at: datetime
    updated_at: datetime


_COLUMNS = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.email_verified,
    users.c.password_hash,
    users.c.claims,
    users.c.disabled_at,
    users.c.created_at,
    users.c.updated_at,
)


def fold(name: str) -> str:
    """Return the form under which a user name or mail address is unique and found.

    Compatibility forms and case do not distinguish two people (RFC 8265 §3.3).
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_username(username: str) -> None:
    """Raise InvalidRequest when ``username`` is not usable.

    A name must not look like a mail address: who registers another's address as a name
    would catch their sign-ins.
    """
    if not is_plain_text(username, max_length=100) or username != username.strip():
        raise InvalidRequest("A username has 1 to 100 printable characters")
    if "@" in username or is_id(username) or len(fold(username)) > 255:
        raise InvalidRequest("A username has no @ and is not a UUID")


def check_email(email: str) -> None:
    """Raise InvalidRequest when ``email`` can not be a mail address (RFC 5321 §4.5.3.1)."""
    local, at, domain = email.rpartition("@")
    if not (at and local and domain and is_plain_text(email, max_length=254) and " " not in email):
        raise InvalidRequest("An email address looks like name@example.com")


async def create_user(
    tx: Transaction,
    *,
    username: str,
    email: str | None,
    email_verified: bool,
    password_hash: str | None,
    claims: Mapping[str, Any],
    now: datetime,
) -> User:
    """Store a new person; raises InvalidRequest, or Conflict when the name or address is taken."""
    check_username(username)
    if email is not None:
        check_email(email)
    user = User(
        new_id(now), username, email, email_verified, password_hash, dict(claims), None, now, now
    )
    try:
        await tx.execute(
            users.insert().values(
                id=user.id,
                username=username,
                username_key=fold(username),
                email=email,
                email_key=email and fold(email),
                email_verified=email_verified,
                password_hash=password_hash,
                claims=dict(claims),
                created_at=now,
                updated_at=now,
            )
        )
    except IntegrityError as error:
        raise Conflict("There is a user with this username or email already") from error
    return user


async def find_user(tx: Transaction, user_id: str) -> User | None:
    """Return the person with this identifier, or None."""
    return await _find(tx, users.c.id == user_id)


async def find_user_locked(tx: Transaction, user_id: str) -> User | None:
    """Return the person, who does not change until the transaction ends, or None."""
    locked = select(*_COLUMNS).where(users.c.id == user_id).with_for_update(key_share=True)
    row = (await tx.execute(locked)).first()
    return None if row is None else User(*row)


async def find_user_by_login(tx: Transaction, login: str) -> User | None:
    """Return the person who signs in with this user name or mail address, or None."""
    key = fold(login)
    column = users.c.email_key if "@" in key else users.c.username_key
    return await _find(tx, column == key)


async def get_user(tx: Transaction, reference: str) -> User:
    """Return the person by identifier, user name or mail address; raises NotFound."""
    user = await find_user(tx, reference) if is_id(reference) else None
    user = user or await find_user_by_login(tx, reference)
    if user is None:
        raise NotFound("There is no such user")
    return user


async def list_users(tx: Transaction, *, after: str | None, limit: int) -> list[User]:
    """Return up to ``limit`` people, oldest first, from the one after ``after`` on."""
    statement = select(*_COLUMNS).order_by(users.c.id).limit(limit)
    if after is not None:
        statement = statement.where(users.c.id > after)
    return [User(*row) for row in await tx.execute(statement)]


async def count_users(tx: Transaction) -> int:
    """Return how many people there are."""
    counted: int = (await tx.execute(select(func.count()).select_from(users))).scalar_one()
    return counted


async def update_user(
    tx: Transaction, user_id: str, values: Mapping[str, Any], *, now: datetime
) -> User:
    """Change ``email``, ``email_verified``, ``claims``, ``password_hash`` or ``disabled_at``.

    Raises NotFound, InvalidRequest, or Conflict when the address is taken.
    """
    changed = dict(values)
    if "email" in changed:
        if changed["email"] is not None:
            check_email(changed["email"])
        changed["email_key"] = changed["email"] and fold(changed["email"])
    try:
        rows = await tx.execute(
            update(users)
            .where(users.c.id == user_id)
            .values(**changed, updated_at=now)
            .returning(*_COLUMNS)
        )
    except IntegrityError as error:
        raise Conflict("There is a user with this email already") from error
    row = rows.first()
    if row is None:
        raise NotFound("There is no such user")
    return User(*row)


async def delete_user(tx: Transaction, user_id: str) -> None:
    """Delete the person and all that hangs on the row; raises NotFound."""
    deleted = await tx.execute(delete(users).where(users.c.id == user_id).returning(users.c.id))
    if deleted.first() is None:
        raise NotFound("There is no such user")


async def find_role_ids(tx: Transaction, user_id: str) -> tuple[str, ...]:
    """Return the roles assigned to the person, not those these inherit."""
    rows = await tx.execute(select(user_roles.c.role_id).where(user_roles.c.user_id == user_id))
    return tuple(rows.scalars())


async def _find(tx: Transaction, condition: ColumnElement[bool]) -> User | None:
    row = (await tx.execute(select(*_COLUMNS).where(condition))).first()
    return None if row is None else User(*row)
