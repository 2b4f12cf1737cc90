"""The sizing is what was measured times the traffic, and the document says what it says."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import sizing
from benchmarks.needs import USED, Needs, find_needs, read_measured
from benchmarks.traffic import Traffic

DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
MEASURED = read_measured()
USUAL = Traffic()


def _needs(traffic: Traffic) -> Needs:
    return find_needs(traffic, MEASURED, sample=1_000)


def test_the_document_has_the_tables_of_today(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizing.main(["--check", str(DOCUMENT)]) == 0, capsys.readouterr().err


def test_the_text_has_the_numbers_that_were_measured() -> None:
    text = " ".join(DOCUMENT.read_text().split())
    wal, revocation = MEASURED["wal_bytes_of_refresh_after_checkpoint"], MEASURED["revocation"]
    refresh, introspection = (MEASURED["requests"][name] for name in ("refresh", "introspection"))
    for told in (
        f"{wal['off']:,} bytes of WAL for a refresh right after one, {refresh['wal_bytes']} long",
        f"{wal['pglz']:,} bytes with `pglz`",
        f"costs each process {revocation['learnt_cpu_us']:.0f} µs",
        f"deleted {round(MEASURED['purged_rows_a_second'], -2):,} refresh tokens a second",
        f"Redis is not a limit: {revocation['redis_bytes']} bytes",
        f"A hash takes {MEASURED['argon2']['cpu_seconds']:.2f} CPU seconds and 64 MiB",
        f"costs PostgreSQL {introspection['postgres_cpu_ms']:.2f} ms of CPU time",
    ):
        assert told in text


def test_a_table_that_was_changed_is_found_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "scale.md"
    text = DOCUMENT.read_text()
    copy.write_text(text.replace("| serving processes | ", "| serving processes | 1"))
    assert sizing.main(["--check", str(copy)]) == 1
    assert "not current" in capsys.readouterr().err
    assert sizing.main(["--write", str(copy)]) == 0
    assert copy.read_text() == text


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="'rows'"):
        sizing.insert("no marks", {"rows": "| |\n"})


def test_a_traffic_of_ones_own_is_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizing.main(["--people", "200000", "--refresh-interval", "900"]) == 0
    printed = capsys.readouterr().out
    assert "| at the peak | yours |" in printed
    assert "| users | 200,000 | " in printed


def test_twice_the_people_need_twice_of_what_is_shared() -> None:
    one, two = (_needs(replace(USUAL, people=n, clients=0)) for n in (1_000_000, 2_000_000))
    for name in ("transactions", "wal", "redis_bytes", "postgres_cores", "audit_bytes_a_year"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name)), name
    assert two.rows == pytest.approx({name: 2 * count for name, count in one.rows.items()})
    # Spare cores for hashes are shared, too.
    assert one.hash_cores < two.hash_cores <= 2 * one.hash_cores


def test_the_peak_is_a_sum_of_measured_costs() -> None:
    need = _needs(USUAL)
    peak = USUAL.people * USUAL.sign_ins_per_day * USUAL.peak_factor / 86_400
    assert need.requests["sign_in"] == pytest.approx(peak)
    assert need.requests["client_credentials"] == pytest.approx(1_000 / 300)
    costs = MEASURED["requests"]
    assert need.transactions == pytest.approx(
        sum(rate * costs[name]["transactions"] for name, rate in need.requests.items())
    )
    hashes = need.requests["sign_in"] * MEASURED["argon2"]["cpu_seconds"]
    busy = sum(rate * costs[name]["cpu_ms"] for name, rate in need.requests.items()) / 1000
    assert need.request_cores == pytest.approx(busy - hashes)
    assert need.hash_cores > hashes
    assert need.hash_bytes == need.hash_cores * 64 * 1024 * 1024


def test_rarer_refreshes_spare_rows_and_no_hash() -> None:
    often, rare = (_needs(replace(USUAL, refresh_interval=n)) for n in (300, 3_600))
    assert rare.requests["refresh"] < often.requests["refresh"] / 12
    assert rare.rows["refresh_tokens"] < often.rows["refresh_tokens"] / 5
    assert rare.hash_cores == often.hash_cores


def test_with_too_many_people_no_number_of_processes_suffices() -> None:
    few, many = (_needs(replace(USUAL, people=n)) for n in (1_000_000, 1_000_000_000))
    assert few.processes is not None
    # Each process learns of revocations besides its share of the requests.
    used = few.request_cores / few.processes + few.learning_share + few.heartbeat_share
    assert used <= USED
    assert many.processes is None
    assert many.purge_share > 1


def test_more_processes_hear_more_heartbeats() -> None:
    needs = [_needs(replace(USUAL, people=n)) for n in (1_000_000, 8_000_000)]
    per_process = [need.heartbeat_share / (need.processes or 0) for need in needs]
    assert per_process[0] == pytest.approx(per_process[1])
    # Half of what is spent beside requests is spent in vain: eight times as many do not do.
    assert (needs[1].processes or 0) > 8 * (needs[0].request_cores / USED)


def test_introspection_was_measured_with_a_living_token() -> None:
    # An unknown token costs a fraction: what was measured must not be that.
    costs = MEASURED["requests"]
    assert costs["introspection"]["cpu_ms"] > 0.8 * costs["userinfo"]["cpu_ms"]


def test_every_measured_table_and_request_is_in_the_model() -> None:
    need = _needs(USUAL)
    assert need.requests.keys() == MEASURED["requests"].keys()
    stored = {*MEASURED["bytes_per_row"], "revocations"} - {"audit_events"}
    assert need.table_bytes.keys() == stored
