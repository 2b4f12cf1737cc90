"""What clients asked of the replicas, when, and what they were answered."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["redeem", "refresh", "revoke", "check"]
Outcome = Literal["yes", "no", "unknown"]
"""``yes``: tokens, a revocation, an active token. ``no``: refused, or an inactive token.
``unknown``: no answer, or a 503. Then it may have happened, or may happen yet."""


@dataclass(eq=False)
class Operation:
    """One request. ``answered`` is infinite where no answer came; both are monotonic seconds."""

    kind: Kind
    presented: str
    asked: float = field(default_factory=time.monotonic)
    answered: float = float("inf")
    outcome: Outcome = "unknown"
    refresh_token: str | None = None
    access_token: str | None = None


@dataclass
class Family:
    """All that was asked about one code and what came of it."""

    operations: list[Operation] = field(default_factory=list)

    @contextmanager
    def asking(self, kind: Kind, presented: str) -> Iterator[Operation]:
        """Note an operation; who asks fills in the outcome within the block."""
        operation = Operation(kind, presented)
        self.operations.append(operation)
        yield operation
        if operation.outcome != "unknown":
            operation.answered = time.monotonic()
