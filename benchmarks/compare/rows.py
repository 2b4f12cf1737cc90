"""The rows of the table: what was found, what was wanted, and whether it was met."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.compare.cell import Cell
from benchmarks.compare.rated import Rated, median_of
from benchmarks.compare.runs import Run, of, what_went_wrong

ON_REDIS, IN_MEMORY = "peer, Redis", "peer, memory"
NONE = "-"


@dataclass(frozen=True)
class Row:
    """A row as it is printed; ``met`` is None where the runs went wrong."""

    cell: str
    ours: str
    memory: str
    redis: str
    ratio: str
    wanted: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """Say whether what was wanted was met."""
        return {True: "met", False: "**not met**", None: "**failed**"}[self.met]


def row_of(cell: Cell, runs: Sequence[Run]) -> Row:
    """Return the row of a cell in which the peer does the same."""
    wanted = f"≥ {cell.ratio} of {cell.against}"
    if what_went_wrong(runs):
        return Row(cell.name, NONE, NONE, NONE, NONE, wanted, None)
    ours = median_of(of(runs, "ours"))
    memory, redis = (median_of(of(runs, name)) for name in (IN_MEMORY, ON_REDIS))
    base = redis.rate if cell.against == "the peer on Redis" else max(memory.rate, redis.rate)
    ratio = ours.rate / base
    return Row(
        cell.name,
        describe(ours),
        f"{memory.rate:,.0f}",
        f"{redis.rate:,.0f}",
        f"{ratio:.2f}",
        wanted,
        ratio >= cell.ratio,
    )


def describe(found: Rated) -> str:
    """Return rate and percentiles of a load in few words."""
    digits = 1 if found.rate < 100 else 0
    return f"{found.rate:,.{digits}f}/s, {_ms(found.p50)}, {_ms(found.p99)}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"


def at_least(cell: str, ours: str, value: float, wanted: float, of_what: str) -> Row:
    """Return a row without a peer in which ``value`` must reach ``wanted``."""
    text = f"≥ {wanted:g} {of_what}"
    return Row(cell, ours, NONE, NONE, f"{value:.2f}", text, value >= wanted)


def at_most(
    cell: str,
    ours: str,
    value: float,
    wanted: float,
    of_what: str,
    *,
    peers: tuple[str, str] = (NONE, NONE),
    ratio: str = NONE,
) -> Row:
    """Return a row in which ``value`` must not exceed ``wanted``."""
    return Row(cell, ours, *peers, ratio, f"≤ {wanted:g} {of_what}", value <= wanted)


def failed(cell: str, why: str) -> Row:
    """Return the row of a cell whose runs do not count."""
    return Row(cell, why, NONE, NONE, NONE, NONE, None)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    head = ("cell", "ours (rate, p50, p99)", "peer, memory", "peer, Redis", "ratio", "wanted", "")
    lines = [head, ("---", "---", "---:", "---:", "---:", "---", "---")]
    lines += [
        (row.cell, row.ours, row.memory, row.redis, row.ratio, row.wanted, row.verdict)
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
