"""The simulation agrees with closed forms, and tells when the purge does not keep up."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.hash_queue import simulate_waits, workers_needed
from benchmarks.simulation import simulate
from benchmarks.traffic import DAY, DayCurve, Traffic

FAST_PURGE = 1_000_000.0
HOUR, MONTH = 3_600, 30 * DAY
# Everything begins evenly over the day, so that rows are rates times lives (Little's law).
FLAT = Traffic(peak_factor=1.0, revocations_per_day=0.0)


@pytest.mark.parametrize("peak_factor", [1.0, 2.5, 4.0, 10.0])
def test_a_day_has_its_mean_and_its_peak(peak_factor: float) -> None:
    curve = DayCurve(peak_factor)
    day = [curve.at(second) for second in range(30, DAY, 60)]
    assert sum(day) / len(day) == pytest.approx(1)
    assert curve.at(DAY / 2) == pytest.approx(peak_factor)
    assert max(day) <= curve.at(DAY / 2)


def test_rows_are_rates_times_lives() -> None:
    rows = simulate(FLAT, FAST_PURGE).rows
    a_day = FLAT.people * FLAT.sign_ins_per_day
    tokens_a_day = a_day * (1 + FLAT.refreshes_per_visit)
    life_days = (FLAT.refresh_token_idle_ttl + HOUR) / DAY
    assert rows["refresh_tokens"] == pytest.approx(tokens_a_day * life_days, rel=0.03)
    # A family lives until its last token is over: that is a visit longer, less half an interval.
    family_days = life_days + FLAT.refreshes_per_visit * FLAT.refresh_interval / DAY
    assert rows["token_families"] == pytest.approx(a_day * family_days, rel=0.03)


def test_what_a_family_needs_goes_at_the_weekly_look_after_its_end() -> None:
    # Visits that end at once: each family is over exactly two weeks and an hour after it began.
    rows = simulate(replace(FLAT, visit=1.0), FAST_PURGE).rows
    a_day = FLAT.people * FLAT.sign_ins_per_day
    # A session ends after eight hours, and is looked at an hour later and then each week.
    assert rows["sessions"] == pytest.approx(a_day * (14 + 9 / 24), rel=0.03)
    # A code is looked at an access token's life and an hour after it was made.
    assert rows["authorization_codes"] == pytest.approx(a_day * (14 + 65 / 60 / 24), rel=0.03)


def test_visits_and_listed_entries_at_once_are_rates_times_lengths() -> None:
    found = simulate(FLAT, FAST_PURGE, sample=12_000)
    assert found.visits == pytest.approx(FLAT.sign_ins * FLAT.visit, rel=0.15)
    assert found.listed == pytest.approx(FLAT.sign_ins * FLAT.revocation_ttl, rel=0.15)
    assert found.refreshes == pytest.approx(FLAT.sign_ins * FLAT.refreshes_per_visit, rel=0.15)
    # A row of the list stays an hour longer, and up to two runs of the purge.
    stored = FLAT.revocation_ttl + HOUR + 300
    assert found.rows["revocations"] == pytest.approx(FLAT.sign_ins * stored, rel=0.15)


def test_a_peak_of_refreshes_is_lower_than_that_of_sign_ins() -> None:
    peaked = replace(FLAT, peak_factor=4.0, visit=4 * HOUR)
    found = simulate(peaked, FAST_PURGE)
    mean = peaked.sign_ins * peaked.refreshes_per_visit
    assert 2 * mean < found.refreshes < 3.8 * mean


def test_a_revoked_family_goes_at_once() -> None:
    revoked = replace(FLAT, revocations_per_day=FLAT.sign_ins_per_day)
    rows = simulate(revoked, FAST_PURGE).rows
    lasting = simulate(FLAT, FAST_PURGE).rows
    assert rows["refresh_tokens"] < lasting["refresh_tokens"] / 50
    assert rows["revocations"] > 1.5 * lasting["revocations"]


def test_the_purge_keeps_up_until_it_can_not() -> None:
    a_day = FLAT.people * FLAT.sign_ins_per_day
    # Each visit's tokens, family and entry, and a session and a code, looked at three times.
    work = a_day * (1 + FLAT.refreshes_per_visit + 2 + 2 * 3)
    # Half of a minute in five.
    capacity = 1.0 * DAY / 10
    found = [simulate(FLAT, work / capacity * times) for times in (10, 1.5, 0.7)]
    assert [one.purge_share for one in found] == pytest.approx([0.1, 1 / 1.5, 1 / 0.7], rel=0.05)
    plenty, enough, too_little = found
    assert plenty.late == 0
    assert enough.late < a_day / 100
    assert too_little.late > a_day
    assert too_little.rows["refresh_tokens"] > 1.01 * plenty.rows["refresh_tokens"]


def test_a_purge_that_is_late_at_noon_is_done_by_night() -> None:
    peaked = replace(FLAT, peak_factor=4.0)
    needed = simulate(peaked, FAST_PURGE).purge_share * FAST_PURGE
    found = simulate(peaked, 2 * needed)
    assert found.purge_share == pytest.approx(0.5)
    assert found.late > 0
    assert found.rows["refresh_tokens"] == pytest.approx(
        simulate(peaked, FAST_PURGE).rows["refresh_tokens"], rel=0.03
    )


def test_people_scale_and_chance_is_seeded() -> None:
    one, ten = (simulate(Traffic(people=n), FAST_PURGE) for n in (100_000, 1_000_000))
    assert ten.rows == pytest.approx({name: 10 * count for name, count in one.rows.items()})
    assert simulate(Traffic(), FAST_PURGE, seed=2).rows != ten.rows


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_waits_for_one_worker_are_those_of_pollaczek_and_khinchine(load: float) -> None:
    waits = simulate_waits(load / 0.2, 0.2, 1, arrivals=400_000)
    assert waits.mean == pytest.approx(load * 0.2 / (2 * (1 - load)), rel=0.1)
    assert waits.busy == pytest.approx(load, rel=0.02)


def test_many_workers_share_what_comes_and_hardly_anybody_waits() -> None:
    waits = simulate_waits(100, 0.2, 40)
    assert waits.busy == pytest.approx(20, rel=0.02)
    assert waits.of_99_in_100 == 0
    assert waits.most_waiting < 10
    assert simulate_waits(100, 0.2, 19).most_waiting > 500


def test_the_workers_needed_are_enough_and_no_more() -> None:
    needed = [workers_needed(rate, 0.17) for rate in (1, 10, 100)]
    for rate, workers in zip((1, 10, 100), needed, strict=True):
        assert simulate_waits(rate, 0.17, workers).of_99_in_100 <= 0.1
        assert workers == 1 or simulate_waits(rate, 0.17, workers - 1).of_99_in_100 > 0.1
    # What is spare need not grow with the load.
    assert all(b / a < 10 for a, b in pairwise(needed))
    assert all(math.floor(rate * 0.17) < n for rate, n in zip((1, 10, 100), needed, strict=True))
