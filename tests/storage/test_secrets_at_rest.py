"""Nothing secret lies in the database in a form that could be used."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from authsvc.storage.schema import metadata
from tests.attacks.journey import Journey, travel
from tests.conftest import Backend, OpenProvider
from tests.provider import CHALLENGE, Provider


def _forms_of(secret: bytes) -> Iterator[bytes]:
    """Yield what ``secret`` could look like, also unkeyed hashes of it."""
    digests = [hashlib.new(name, secret).digest() for name in ("sha256", "sha512", "sha1", "md5")]
    for value in (secret, *digests):
        yield value
        yield value.hex().encode()
        yield value.hex().upper().encode()
        yield base64.b64encode(value).rstrip(b"=")
        yield base64.urlsafe_b64encode(value).rstrip(b"=")


def _needles(journey: Journey, master_key: str) -> dict[bytes, str]:
    secrets = {name: value.encode() for name, value in journey.secrets.items()}
    secrets |= journey.key_material
    secrets["master key"] = base64.urlsafe_b64decode(master_key + "=")
    for name, value in journey.secrets.items():
        # 256 random bits as base64url: their bytes alone would do as well.
        if len(value) == 43 and "." not in value and " " not in value:
            secrets[f"bytes of {name}"] = base64.urlsafe_b64decode(value + "=")
    needles = {form: name for name, secret in secrets.items() for form in _forms_of(secret)}
    # The hash of a verifier is its challenge, which is no secret (RFC 7636 §4.2).
    needles.pop(CHALLENGE.encode())
    assert all(len(needle) > 12 for needle in needles)
    return needles


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value)
    return str(value).encode()


async def test_no_table_holds_a_secret_in_clear(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend)
    journey = await travel(provider)
    assert len(journey.secrets) > 40
    secret = provider.settings.master_key
    assert secret is not None
    needles = _needles(journey, secret.get_secret_value())

    rows, found = 0, []
    async with provider.resources.database.reading() as tx:
        for table in metadata.sorted_tables:
            for row in await tx.execute(text(f'SELECT * FROM "{table.name}"')):
                rows += 1
                for column, value in row._mapping.items():
                    stored = _as_bytes(value)
                    found += [
                        f"{needles[needle]} in {table.name}.{column}"
                        for needle in needles
                        if needle in stored
                    ]

    assert found == []
    assert rows > 100


async def test_no_file_of_sqlite_holds_a_secret_in_clear(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    """Also where rows were deleted or changed: free pages and the journal keep what was."""
    provider: Provider = await open_providers(sqlite_backend)
    journey = await travel(provider)
    secret = provider.settings.master_key
    assert secret is not None
    needles = _needles(journey, secret.get_secret_value())
    path = Path(sqlite_backend.database_url.removeprefix("sqlite:///"))

    content = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))

    assert len(content) > 100_000
    assert [name for needle, name in needles.items() if needle in content] == []


async def test_the_search_finds_what_it_looks_for(sqlite_provider: Provider) -> None:
    journey = await travel(sqlite_provider)
    secret = sqlite_provider.settings.master_key
    assert secret is not None
    needles = _needles(journey, secret.get_secret_value())
    code = next(value for name, value in journey.secrets.items() if name.startswith("code #"))

    assert code.encode() in needles
    assert hashlib.sha256(code.encode()).digest() in needles
    assert base64.urlsafe_b64decode(code + "=").hex().encode() in needles
    assert any(name.startswith("authsvc_session") for name in journey.secrets)
    assert any(name.startswith("authsvc_device") for name in journey.secrets)
    assert any(name.startswith("csrf_token") for name in journey.secrets)
