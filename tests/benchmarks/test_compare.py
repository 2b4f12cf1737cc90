"""What the comparison makes of what it measured: percentiles, ratios, verdicts, tables."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import report, wrk
from benchmarks.compare.cell import Amount, Cell
from benchmarks.compare.cells import CELLS
from benchmarks.compare.connection import Answer, ConnectionLost, parse_answer
from benchmarks.compare.drive import Refused, drive, drive_in_turns
from benchmarks.compare.growth import Grown, growth_table, worst_row
from benchmarks.compare.person import Cookies
from benchmarks.compare.plans import plans_in
from benchmarks.compare.rated import Rated, median_of, percentile, rated
from benchmarks.compare.rows import Row, at_least, at_most, row_of, table
from benchmarks.compare.runs import Run
from benchmarks.compare.target import Target


async def _no_load(target: Target, amount: Amount) -> Rated:
    raise AssertionError("nothing is loaded here")


def cell(ratio: float, against: str = "the faster peer") -> Cell:
    return Cell("a cell", _no_load, ratio, against)


def at_rate(rate: int, **of: Any) -> Rated:
    return Rated(rate * 5, 5.0, 1.0, 2.0, **of)


def runs(ours: int, memory: int, redis: int) -> list[Run]:
    rates = {"ours": ours, "peer, memory": memory, "peer, Redis": redis}
    return [Run("a cell", name, 0, at_rate(rate)) for name, rate in rates.items()]


@pytest.mark.parametrize(
    ("share", "found"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_a_latency_that_was_measured(share: float, found: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == found


def test_a_load_is_rated_in_milliseconds_and_is_not_clean_when_anything_failed() -> None:
    found = rated([0.001, 0.002, 0.009], 1.5, refused=0, lost=0)
    assert (found.rate, found.p50, found.p99) == (2.0, 2.0, 9.0)
    assert found.clean
    assert not rated([0.001], 1.0, refused=1, lost=0).clean
    assert not rated([0.001], 1.0, refused=0, lost=1).clean
    assert not rated([], 1.0, refused=0, lost=0).clean


def test_medians_forget_one_bad_run_but_not_what_failed_in_it() -> None:
    found = median_of([at_rate(100), at_rate(10, refused=3), at_rate(110, lost=2)])
    assert found.rate == 100
    assert (found.refused, found.lost) == (3, 2)


def test_what_wrk_prints_is_read_and_nothing_is_an_error() -> None:
    line = '{"requests":50,"microseconds":2000000,"p50":1500,"p99":9000,"refused":4,"lost":1}'
    found = wrk.parse(f"Running 2s test\nFOUND {line}\n")
    assert found == Rated(50, 2.0, 1.5, 9.0, refused=4, lost=1)
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.parse("", "unable to connect")


@pytest.mark.parametrize("split", range(1, 60, 7))
def test_an_answer_is_read_when_it_is_whole(split: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nSet-Cookie: a=b\r\n\r\nhello"
    assert parse_answer(whole[:split]) is None
    answer = parse_answer(whole)
    assert answer is not None
    assert (answer.status, answer.body, answer.header("Set-cookie")) == (200, b"hello", "a=b")
    assert answer.headers("location") == []


def test_an_answer_without_a_length_or_with_more_than_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
    with pytest.raises(ValueError, match="more than one"):
        parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello")
    assert parse_answer(b"HTTP/1.1 204 No Content\r\n\r\n") == Answer(
        204, b"HTTP/1.1 204 No Content", b""
    )


def test_cookies_go_where_they_belong_until_they_are_taken_back() -> None:
    cookies = Cookies()
    cookies.take(_setting("a=1; Path=/", "b=2; path=/interaction/x; HttpOnly"))
    assert cookies.header("/token") == "Cookie: a=1\r\n"
    assert cookies.header("/interaction/x/login") == "Cookie: a=1; b=2\r\n"
    cookies.take(_setting("a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"))
    assert cookies.header("/token") == ""


def _setting(*cookies: str) -> Answer:
    lines = "".join(f"\r\nSet-Cookie: {cookie}" for cookie in cookies)
    return Answer(200, f"HTTP/1.1 200 OK{lines}".encode(), b"")


async def test_a_chain_that_is_refused_ends_and_is_counted() -> None:
    found = await drive([_failing_after(3), _failing_after(2)], warm=0, seconds=5)
    assert (found.requests, found.refused, found.lost) == (5, 2, 0)
    assert found.notes["failure"] == "not wanted"


async def test_only_the_steps_of_a_turn_are_timed_and_each_is_prepared() -> None:
    ready: list[int] = []

    async def prepare() -> float:
        ready.append(1)
        return 1000.0

    async def use() -> float:
        ready.pop()
        return 0.002

    found = await drive_in_turns([prepare, prepare], [use, use], warm=0, seconds=0.001, each=40)
    assert found.clean
    assert found.requests % 80 == 0
    assert (found.p50, found.p99) == (2.0, 2.0)
    assert not ready


async def test_a_connection_that_breaks_is_not_a_refusal() -> None:
    found = await drive([_failing_after(1, ConnectionLost("gone"))], warm=0, seconds=5)
    assert (found.requests, found.refused, found.lost) == (1, 0, 1)


def _failing_after(times: int, error: Exception | None = None) -> Callable[[], Awaitable[float]]:
    left = [times]

    async def step() -> float:
        if not left[0]:
            raise error or Refused("not wanted")
        left[0] -= 1
        return 0.001

    return step


def test_the_ratio_is_to_the_faster_peer_unless_one_is_named() -> None:
    row = row_of(cell(1.2), runs(1200, 1000, 900))
    assert (row.ratio, row.met) == ("1.20", True)
    row = row_of(cell(1.2), runs(1200, 1001, 900))
    assert (row.ratio, row.met) == ("1.20", False)
    row = row_of(cell(1.0, "the peer on Redis"), runs(900, 1000, 900))
    assert (row.ratio, row.met) == ("1.00", True)
    assert (row.memory, row.redis) == ("1,000", "900")


@pytest.mark.parametrize("of", ["ours", "peer, Redis"])
def test_a_run_that_went_wrong_fails_its_row_whoever_it_was(of: str) -> None:
    spoilt = [
        Run(run.cell, run.target, 0, run.rated, wrong="3 refused" if run.target == of else None)
        for run in runs(5000, 1, 1)
    ]
    row = row_of(cell(1.0), spoilt)
    assert row.met is None
    assert row.verdict == "**failed**"


def test_every_cell_of_the_comparison_has_its_target() -> None:
    wanted = {
        "discovery": 1.5,
        "JWKS": 1.2,
        "client credentials, ES256, limits off": 1.5,
        "client credentials, ES256, limits on": 1.2,
        "client credentials, RS256": 1.2,
        "introspection of a JWT": 1.0,
        "revocation of a fresh token": 1.0,
        "refresh with rotation": 1.0,
        "code flow with a session": 1.0,
    }
    assert {each.name: each.ratio for each in CELLS} == wanted


def test_rows_without_a_peer_have_bounds_that_count_themselves() -> None:
    assert at_least("a", "x", 0.9, 0.9, "of it").met
    assert not at_least("a", "x", 0.89, 0.9, "of it").met
    assert at_most("a", "x", 100.0, 100, "MB").met
    assert not at_most("a", "x", 100.1, 100, "MB").met


def test_the_table_says_what_was_not_met() -> None:
    rows = [Row("a", "1/s", "2", "3", "0.50", "≥ 1", met=False)]
    head, _, line = table(rows).splitlines()
    assert line == "| a | 1/s | 2 | 3 | 0.50 | ≥ 1 | **not met** |"
    assert head.count("|") == line.count("|")


def test_growth_is_the_slowest_median_over_the_fastest() -> None:
    found = [
        Grown("fast", {10: Rated(1, 1, 2.0, 9.0), 100: Rated(1, 1, 2.4, 3.0)}),
        Grown("slow", {10: Rated(1, 1, 5.0, 9.0), 100: Rated(1, 1, 2.0, 3.0)}),
    ]
    lines = growth_table(found, [10, 100]).splitlines()[2:]
    assert lines == [
        "| fast | 2.0, 9.0 ms | 2.4, 3.0 ms | 1.20 | met |",
        "| slow | 5.0, 9.0 ms | 2.0, 3.0 ms | 2.50 | **not met** |",
    ]
    row = worst_row(found)
    assert (row.ours, row.met) == ("slow: 2.50", False)
    assert worst_row([*found, Grown("wrong", None)]).met is None


def test_plans_are_read_from_the_log_each_once(tmp_path: Path) -> None:
    by_index = {
        "Node Type": "Bitmap Heap Scan",
        "Relation Name": "users",
        "Plans": [{"Node Type": "Bitmap Index Scan", "Index Name": "pk_users"}],
    }
    whole = {"Node Type": "Seq Scan", "Relation Name": "roles"}
    logged = [
        _logged("SELECT  1\n FROM users", {"Node Type": "Sort", "Plans": [by_index, whole]}),
        _logged("SELECT 1 FROM users", {"Node Type": "Sort", "Plans": [by_index, whole]}),
        _logged("SELECT 2", {"Node Type": "Result"}),
    ]
    log = tmp_path / "server.log"
    log.write_text("".join(["begins\n", *logged, "2026 LOG:  checkpoint starting\n"]))
    (plan,) = plans_in(log, len("begins\n"))
    assert plan.statement == "SELECT 1 FROM users"
    assert plan.reads == (("users", "pk_users"), ("roles", None))
    assert plan.whole_tables == {"roles"}


def _logged(statement: str, plan: dict[str, Any]) -> str:
    document = json.dumps({"Query Text": statement, "Plan": plan}, indent=2)
    lines = "".join(f"\t{line}\n" for line in document.splitlines())
    return f"2026-01-01 00:00:00.000 UTC [7] LOG:  duration: 0.034 ms  plan:\n{lines}"


def test_the_report_replaces_what_is_between_its_marks_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    document.write_text("before\n<!-- one: begin -->\nold\n<!-- one: end -->\nprofile\n")
    report.write(document, {"one": "new"})
    assert document.read_text() == (
        "before\n<!-- one: begin -->\nnew\n<!-- one: end -->\nprofile\n"
    )
    with pytest.raises(ValueError, match="two"):
        report.write(document, {"two": "new"})
