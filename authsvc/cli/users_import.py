"""``authsvc users import``: many people at once, all or none."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import typer

from authsvc.cli.input import read_text
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_json, print_lines
from authsvc.cli.refusal import Refused
from authsvc.cli.users import user_document
from authsvc.identity.passwords import check_password_hash
from authsvc.protocol.errors import OAuthError
from authsvc.storage.database import Transaction
from authsvc.storage.users import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One person of an import; ``place`` says where in the file."""

    place: str
    username: str
    email: str | None = None
    email_verified: bool = False
    claims: dict[str, Any] | None = None
    password: str | None = None
    password_hash: str | None = None
    roles: list[str] | None = None


_MEMBERS: Mapping[str, type] = {
    "username": str,
    "email": str,
    "email_verified": bool,
    "claims": dict,
    "password": str,
    "password_hash": str,
    "roles": list,
}
_KINDS = {str: "text", bool: "true or false", dict: "an object", list: "a list of names"}


def import_users(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines or a JSON array; - is standard input.")
    ],
    as_json: AsJson = False,
) -> None:
    """Create many people at once, all or none.

    Each is an object with username and, as wanted, email, email_verified, claims, roles,
    and password or password_hash. A hash is an encoded Argon2id one and is kept as it is:
    it is made anew at the next sign-in when it is weaker than today's settings.
    """
    entries = parse_entries(read_text(file))

    async def work(operation: Operation) -> list[User]:
        hashes = await _hash_passwords(operation, entries)
        async with operation.database.transaction() as tx:
            return [
                await _create(operation, tx, entry, password_hash)
                for entry, password_hash in zip(entries, hashes, strict=True)
            ]

    users = operate(work)
    if as_json:
        print_json([user_document(user) for user in users])
    else:
        print_lines(f"Imported {len(users)} users.")


def parse_entries(text: str) -> list[Entry]:
    """Read JSON lines or a JSON array; raises Refused, which names the line or the entry."""
    if text.lstrip().startswith("["):
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Refused(f"line {error.lineno}: not JSON") from error
        return [_parse(value, f"entry {number}") for number, value in enumerate(values, 1)]
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise Refused(f"line {number}: not JSON") from error
            entries.append(_parse(value, f"line {number}"))
    return entries


def _parse(value: object, place: str) -> Entry:
    if not isinstance(value, dict):
        raise Refused(f"{place}: not an object")
    unknown = sorted(value.keys() - _MEMBERS.keys())
    if unknown:
        raise Refused(f"{place}: unknown member {unknown[0]!r}")
    given = {name: member for name, member in value.items() if member is not None}
    for name, member in given.items():
        kind = _MEMBERS[name]
        if type(member) is not kind or (
            name == "roles" and not all(isinstance(role, str) for role in given["roles"])
        ):
            raise Refused(f"{place}: {name} is not {_KINDS[kind]}")
    if "username" not in given:
        raise Refused(f"{place}: username is missing")
    if "password" in given and "password_hash" in given:
        raise Refused(f"{place}: password and password_hash are given, one is too many")
    return Entry(place=place, **given)


async def _hash_passwords(operation: Operation, entries: Sequence[Entry]) -> list[str | None]:
    """Return the hash of each entry, made as many at once as the pool has workers."""
    hashes: list[str | None] = []
    at_once = operation.resources.settings.argon2_workers or os.cpu_count() or 1
    for start in range(0, len(entries), at_once):
        part = entries[start : start + at_once]
        hashes += await asyncio.gather(*(_hash_password(operation, entry) for entry in part))
    return hashes


async def _hash_password(operation: Operation, entry: Entry) -> str | None:
    try:
        if entry.password is not None:
            return await operation.resources.people.hash_new_password(
                entry.password, names=(entry.username, entry.email)
            )
        if entry.password_hash is not None:
            check_password_hash(entry.password_hash)
    except OAuthError as error:
        raise _refusal(entry, error) from error
    return entry.password_hash


async def _create(
    operation: Operation, tx: Transaction, entry: Entry, password_hash: str | None
) -> User:
    resources, origin = operation.resources, operation.origin
    try:
        user = await resources.people.create(
            tx,
            origin,
            username=entry.username,
            email=entry.email,
            email_verified=entry.email_verified,
            password_hash=password_hash,
            claims=entry.claims,
        )
        for role in entry.roles or ():
            await resources.role_administration.assign(tx, role, "user", user.id, origin)
    except OAuthError as error:
        if error.status_code >= 500:
            raise
        raise _refusal(entry, error) from error
    return user


def _refusal(entry: Entry, error: OAuthError) -> Refused:
    return Refused(f"{entry.place}, {entry.username!r}: {error.description}; nothing was imported")
