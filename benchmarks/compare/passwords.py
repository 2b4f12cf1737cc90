"""The rows in which Argon2 is the measure: logins, and tokens beside them."""

import statistics
from functools import partial

from benchmarks.compare.cell import Amount, Cell
from benchmarks.compare.logins import bare_argon2_rate, password_login, tokens_beside_logins
from benchmarks.compare.processes import wait_until_idle
from benchmarks.compare.rated import median_of
from benchmarks.compare.rows import Row, at_least, at_most, describe, failed
from benchmarks.compare.runs import Recorder, Run, run_once
from benchmarks.compare.single import service_token
from benchmarks.compare.stage import Stage

LOGIN = Cell("password login", password_login, 0.9, "the bare Argon2 rate")
CALM = Cell("tokens without a flood of logins", partial(service_token, algorithm="ES256"), 3)
FLOODED = Cell("token p99 while logins flood", tokens_beside_logins, 3)


def login_row(
    stage: Stage, amount: Amount, repeats: int, recorder: Recorder, patience: float
) -> Row:
    """Check passwords without anything else and sign in, in turn, on the same core."""
    bare: list[float] = []
    runs: list[Run] = []
    # Longer than other loads: a login takes as long as all that wait before it.
    longer = Amount(amount.connections, max(2.0, amount.warm), 2 * amount.seconds)
    with stage.ours.serve([stage.cores.server]) as target:
        for repeat in range(repeats):
            wait_until_idle(patience)
            bare.append(bare_argon2_rate(stage.cores.server, amount.seconds))
            recorder.keep_other(bare_argon2_a_second=round(bare[-1], 2))
            runs.append(run_once(LOGIN, target, repeat, longer))
            recorder.keep(runs[-1])
    if wrong := next((run.wrong for run in runs if run.wrong), None):
        return failed(LOGIN.name, wrong)
    ours, floor = median_of([run.rated for run in runs]), statistics.median(bare)
    return at_least(
        LOGIN.name,
        describe(ours),
        ours.rate / floor,
        LOGIN.ratio,
        f"of Argon2 alone, {floor:.1f}/s",
    )


def flood_row(
    stage: Stage, amount: Amount, repeats: int, recorder: Recorder, patience: float
) -> Row:
    """Get tokens without and with a flood of logins, in turn."""
    runs: dict[str, list[Run]] = {CALM.name: [], FLOODED.name: []}
    with stage.ours.serve([stage.cores.server]) as target:
        for repeat in range(repeats):
            for cell in (CALM, FLOODED):
                wait_until_idle(patience)
                run = run_once(cell, target, repeat, amount)
                recorder.keep(run)
                runs[cell.name].append(run)
    if wrong := next((run.wrong for of in runs.values() for run in of if run.wrong), None):
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
