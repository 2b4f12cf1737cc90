"""The log: one line a request, under the id that its answer carries, and nothing secret."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from tests.conftest import Backend, OpenProvider
from tests.provider import Provider

_ROOT = Path(__file__).resolve().parents[2]


async def _travel(backend: Backend, log_format: str) -> tuple[dict[str, Any], str]:
    """Return what the journey tells of itself, and its log."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attacks.logged_journey"),
        *(backend.database_url, log_format),
        cwd=_ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    told, log = await process.communicate()
    assert process.returncode == 0, log.decode()[-2_000:]
    answer: dict[str, Any] = orjson.loads(told)
    assert answer["status"] == 500
    assert len(answer["secrets"]) > 40
    return answer, log.decode()


def _assert_nothing_secret(secrets: dict[str, str], log: str) -> None:
    found = [
        name
        for name, secret in secrets.items()
        for form in {secret, quote(secret, safe=""), repr(secret)[1:-1]}
        if form in log
    ]
    assert found == []


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_secret_is_logged_on_the_whole_journey(
    sqlite_backend: Backend, log_format: str
) -> None:
    answer, log = await _travel(sqlite_backend, log_format)

    assert "RuntimeError: broken with" in log
    assert "Traceback" in log
    _assert_nothing_secret(answer["secrets"], log)


async def test_each_request_has_one_line_under_the_id_that_its_answer_carries(
    sqlite_backend: Backend,
) -> None:
    answer, log = await _travel(sqlite_backend, "json")
    lines = [orjson.loads(line) for line in log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]

    assert Counter(line["request_id"] for line in requests) == Counter(answer["request_ids"])
    assert len(set(answer["request_ids"])) == len(answer["request_ids"])
    for line in requests:
        assert {"method", "route", "status", "ms", "address", "level", "timestamp"} <= line.keys()
    (failure,) = [line for line in lines if line["event"] == "request_failed"]
    assert failure["request_id"] in set(answer["request_ids"])
    (answered,) = [line for line in requests if line["request_id"] == failure["request_id"]]
    assert answered["status"] == 500
    refused = [line for line in requests if line["status"] in {400, 401} and "error" in line]
    assert {line["error"] for line in refused} >= {"invalid_grant", "invalid_client"}


async def test_only_a_trusted_proxy_names_requests(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, trusted_proxies="10.0.0.1")
    for address, is_taken in (("10.0.0.1", True), ("203.0.113.9", False)):
        transport = httpx.ASGITransport(provider.app, client=(address, 5))
        async with httpx.AsyncClient(
            transport=transport, base_url=provider.settings.issuer
        ) as http:
            for given in ("a-name-of-the-proxy", "short", "with space in it", "x" * 65, 'a"b' * 4):
                response = await http.get("/healthz", headers={"X-Request-ID": given})
                told = response.headers["x-request-id"]
                assert (told == given) == (is_taken and given == "a-name-of-the-proxy")
