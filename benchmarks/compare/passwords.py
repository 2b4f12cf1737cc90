"""The rows in which Argon2 is the measure: logins, and tokens beside them."""

import statistics
from dataclasses import replace
from functools import partial

from benchmarks.compare.cell import Cell
from benchmarks.compare.course import Course
from benchmarks.compare.logins import bare_argon2_rate, password_login, tokens_beside_logins
from benchmarks.compare.processes import wait_until_idle
from benchmarks.compare.rated import median_of
from benchmarks.compare.rows import Row, at_least, at_most, describe, failed
from benchmarks.compare.runs import Run, what_went_wrong
from benchmarks.compare.single import service_token
from benchmarks.compare.stage import Stage

LOGIN = Cell("password login", password_login, 0.9, "the bare Argon2 rate")
CALM = Cell("tokens without a flood of logins", partial(service_token, algorithm="ES256"), 3)
FLOODED = Cell("token p99 while logins flood", tokens_beside_logins, 3)


def login_row(stage: Stage, course: Course) -> Row:
    """Check passwords without anything else and sign in, in turn, on the same core."""
    bare: list[float] = []
    runs: list[Run] = []
    # Longer than other loads: a login takes as long as all that wait before it.
    amount = course.amount
    slower = replace(amount, warm=max(2.0, amount.warm), seconds=2 * amount.seconds)
    longer = course.with_amount(slower)
    with stage.ours.serve([stage.cores.server]) as target:
        for repeat in range(course.repeats):
            wait_until_idle(course.patience)
            bare.append(bare_argon2_rate(stage.cores.server, amount.seconds))
            course.note(bare_argon2_a_second=round(bare[-1], 2))
            runs.append(longer.run(LOGIN, target, repeat))
    if wrong := what_went_wrong(runs):
        return failed(LOGIN.name, wrong)
    ours, floor = median_of([run.rated for run in runs]), statistics.median(bare)
    return at_least(
        LOGIN.name,
        describe(ours),
        ours.rate / floor,
        LOGIN.ratio,
        f"of Argon2 alone, {floor:.1f}/s",
    )


def flood_row(stage: Stage, course: Course) -> Row:
    """Get tokens without and with a flood of logins, in turn."""
    runs: dict[str, list[Run]] = {CALM.name: [], FLOODED.name: []}
    with stage.ours.serve([stage.cores.server]) as target:
        for repeat in range(course.repeats):
            for cell in (CALM, FLOODED):
                runs[cell.name].append(course.run(cell, target, repeat))
    if wrong := what_went_wrong(run for of in runs.values() for run in of):
        return failed(FLOODED.name, wrong)
    calm, flooded = (median_of([run.rated for run in of]) for of in runs.values())
    times = flooded.p99 / calm.p99
    return at_most(
        FLOODED.name,
        describe(flooded),
        times,
        FLOODED.ratio,
        f"times {calm.p99:.1f} ms, that without",
        ratio=f"{times:.2f}",
    )
