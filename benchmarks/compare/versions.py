"""What was measured, on what: names and versions for the report."""

import asyncio
import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import asyncpg
import redis
from cryptography.hazmat.backends.openssl import backend

from benchmarks.compare.peer import FOLDER
from benchmarks.compare.stage import Stage

_OURS = ("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy", "asyncpg", "redis")


def versions(stage: Stage) -> dict[str, str]:
    """Return the version of each part."""
    node, of_node = (
        _said("node", "--print", wanted)
        for wanted in ("process.versions.node", "process.versions.openssl")
    )
    with redis.Redis.from_url(stage.redis.url) as client:
        redis_version = client.info("server")["redis_version"]
    return {
        "authsvc": _commit(),
        "Python": platform.python_version(),
        "with": ", ".join(f"{name} {version(name)}" for name in _OURS),
        "OpenSSL of cryptography": backend.openssl_version_text(),
        "oidc-provider": _installed("oidc-provider"),
        "ioredis": _installed("ioredis"),
        "Node.js": f"{node}, OpenSSL {of_node}",
        "PostgreSQL": asyncio.run(_postgres(stage.postgres.url)),
        "Redis": str(redis_version),
        "wrk": _said("wrk", "--version").partition(" [")[0].removeprefix("wrk "),
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}",
    }


def _commit() -> str:
    try:
        return _said("git", "describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return version("authsvc")


def _said(*command: str) -> str:
    # wrk ends its --version with 1.
    finished = subprocess.run(command, capture_output=True, text=True, check=command[0] != "wrk")
    return finished.stdout.splitlines()[0].strip()


def _installed(package: str) -> str:
    described = FOLDER / "node_modules" / package / "package.json"
    return str(json.loads(described.read_text(encoding="utf-8"))["version"])


async def _postgres(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
