"""Two workers on two cores against one."""

from dataclasses import replace
from functools import partial

from benchmarks.compare.cell import Cell
from benchmarks.compare.course import Course
from benchmarks.compare.processes import on_cores
from benchmarks.compare.rated import median_of
from benchmarks.compare.rows import Row, at_least, describe, failed
from benchmarks.compare.runs import what_went_wrong
from benchmarks.compare.single import service_token
from benchmarks.compare.stage import Stage

_CONNECTIONS = 64
"""So many that each worker gets about half of them: the kernel deals them out."""

ONE = Cell("tokens, one worker", partial(service_token, algorithm="ES256"), 1.8)
TWO = Cell("tokens, two workers on two cores", partial(service_token, algorithm="ES256"), 1.8)


def workers_row(stage: Stage, course: Course) -> Row:
    """Load one worker on one core, and two on two, in turn.

    On a machine with two cores the load runs on those of the workers.
    """
    cores = stage.cores
    many = course.with_amount(replace(course.amount, connections=_CONNECTIONS))
    second = next((core for core in cores.stores if core != cores.load), cores.load)
    runs = []
    with (
        stage.ours.serve([cores.server]) as one,
        stage.ours.serve([cores.server, second], workers=2) as two,
    ):
        for repeat in range(course.repeats):
            for cell, target in ((ONE, one), (TWO, two)):
                shared = target is two and second == cores.load
                with on_cores([cores.load, cores.server] if shared else [cores.load]):
                    runs.append(many.run(cell, target, repeat))
    if wrong := what_went_wrong(runs):
        return failed(TWO.name, wrong)
    single, double = (
        median_of([run.rated for run in runs if run.cell == cell.name]) for cell in (ONE, TWO)
    )
    return at_least(
        TWO.name,
        describe(double),
        double.rate / single.rate,
        TWO.ratio,
        f"times one worker, {single.rate:,.0f}/s",
    )
