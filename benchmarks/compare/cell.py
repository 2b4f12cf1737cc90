"""What a cell of the comparison is."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmarks.compare.rated import Rated
from benchmarks.compare.target import Target


@dataclass(frozen=True)
class Amount:
    """How much load, for how many seconds."""

    connections: int = 16
    warm: float = 1
    seconds: float = 5


class Wrong(Exception):
    """After the load a provider did not do what the cell is about."""


Load = Callable[[Target, Amount], Coroutine[Any, Any, Rated]]


@dataclass(frozen=True)
class Cell:
    """What is measured. ``load`` raises Wrong when the answers are not the wanted ones.

    ``ratio`` is what is wanted of our rate, as a part of ``against``'s; None: nothing is.
    """

    name: str
    load: Load
    ratio: float
    against: str = "the faster peer"
    variant: str = "as in production"
