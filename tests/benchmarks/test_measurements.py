"""The measurements still run, and find about what docs/scale.md was made with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure_storage import measure, measure_argon2
from benchmarks.needs import read_measured
from benchmarks.try_failover import try_failover
from benchmarks.try_partitions import try_partitions
from tests.servers import PostgresServer, RedisServer

ROWS = 6_000
MEASURED = read_measured()


async def test_rows_and_revocations_take_about_what_was_measured(
    postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    url = postgres_server.create_database()
    try:
        found = await measure(url, redis_server.create_database(), ROWS)
    finally:
        postgres_server.drop_database(url)
    assert found["bytes_per_row"].keys() == MEASURED["bytes_per_row"].keys()
    for table, size in MEASURED["bytes_per_row"].items():
        assert found["bytes_per_row"][table] == pytest.approx(size, rel=0.3), table
    for where in ("table_bytes", "redis_bytes", "process_bytes"):
        assert found["revocation"][where] == pytest.approx(MEASURED["revocation"][where], rel=0.3)
    # Only what depends on no machine is compared; the rest has to be there.
    assert found["revocation"].keys() == MEASURED["revocation"].keys()
    assert found["revocation"]["learnt_cpu_us"] > 0
    assert found["purged_rows_a_second"] > 0
    assert measure_argon2(hashes=1).keys() == MEASURED["argon2"].keys()


def test_every_kind_of_request_is_answered_and_counted() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure_requests", "--times", "8", "--idle", "0.2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["requests"].keys() == MEASURED["requests"].keys()
    for name, cost in MEASURED["requests"].items():
        for unit in ("transactions", "audit_events"):
            # A look at the clock's drift or the like may write in between, once.
            assert found["requests"][name][unit] == pytest.approx(cost[unit], abs=0.3), name
    hashing = MEASURED["argon2"]["cpu_seconds"] * 1000
    assert found["requests"]["sign_in"]["cpu_ms"] > hashing / 2


async def test_partitions_by_time_cost_each_look_up_and_lose_uniqueness(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.create_database()
    try:
        found = await try_partitions(url, 24_000)
    finally:
        postgres_server.drop_database(url)
    one, many = found["plans"]["one table"], found["plans"]["partitions"]
    for statement in ("find", "spend", "spend again"):
        assert one[statement]["scans"] == 1
        assert many[statement]["scans"] == 15
        assert many[statement]["pages"] > one[statement]["pages"]
    assert many["purge: delete"]["scans"] == 15
    assert found["same_hash_twice"]
    assert len(found["refused"]) == 3
    # The check of models against the schema does not know the partitions.
    assert found["differences"] > 0


def test_a_standby_that_was_behind_honours_what_was_spent_and_revoked_until_all_is_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It takes a server that may be stopped.
    monkeypatch.delenv("AUTHSVC_TEST_DATABASE_URL", raising=False)
    ended = {"access token active": False, "refresh token gets": 400}
    assert try_failover() == {
        "before": ended,
        "after": {"access token active": True, "refresh token gets": 200},
        "revoked": ended,
    }
