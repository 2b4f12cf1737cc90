"""Proves that a recorded history is one that a single, never failing provider could have given.

A family is a small sequential machine. Its history is right when each operation can be placed
at one instant between question and answer, so that the machine, asked in that order, answers
what was answered (Herlihy and Wing, linearizability). An operation without an answer may be
placed at any instant after its question, or nowhere: the process may have died before or after
the commit. The search is that of Wing and Gong with the memory of Lowe.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.crash.history import Family, Operation

STALENESS = 1.0
"""Seconds by which a check may lag behind a revocation on another replica."""


class State(NamedTuple):
    """``spent``: how many refresh tokens were exchanged, -1 before the code was redeemed."""

    spent: int = -1
    dead: bool = False


class HistoryError(AssertionError):
    """The history is not one of a single provider; the message says of which operations."""


def check_family(family: Family) -> None:
    """Raise HistoryError unless the family's history is linearizable."""
    depths = _find_depths(family.operations)
    operations = sorted(family.operations, key=_begin)
    if not _can_be_ordered(operations, depths):
        lines = "\n".join(_describe(operation, depths) for operation in operations)
        raise HistoryError(f"no order explains what was answered:\n{lines}")


def check_apart(families: Sequence[Family]) -> None:
    """Raise HistoryError when two families were given the same token."""
    owner: dict[str, Family] = {}
    for family in families:
        for operation in family.operations:
            for token in (operation.refresh_token, operation.access_token):
                if token is not None and owner.setdefault(token, family) is not family:
                    raise HistoryError("two families were given one token")


def _find_depths(operations: Sequence[Operation]) -> Mapping[str, int]:
    """Return how many exchanges lie before each refresh token; raise when the family forks."""
    roots = {o.refresh_token for o in operations if o.kind == "redeem" and o.refresh_token}
    if len(roots) > 1:
        raise HistoryError("the code was redeemed twice")
    successors: dict[str, str] = {}
    for operation in operations:
        if operation.kind == "refresh" and operation.refresh_token is not None:
            known = successors.setdefault(operation.presented, operation.refresh_token)
            if known != operation.refresh_token:
                raise HistoryError("a refresh token has two successors")
    depths: dict[str, int] = {}
    token = next(iter(roots), None)
    while token is not None and token not in depths:
        depths[token] = len(depths)
        token = successors.pop(token, None)
    if successors or token is not None:
        raise HistoryError("a refresh token came from nowhere, or comes again")
    return depths


def _can_be_ordered(operations: Sequence[Operation], depths: Mapping[str, int]) -> bool:
    """Search for an order, deepest first; ``operations`` are sorted by their beginning."""
    answered = sum(1 << i for i, o in enumerate(operations) if o.outcome != "unknown")
    start = (0, State())
    seen, waiting = {start}, [start]
    while waiting:
        placed, state = waiting.pop()
        if placed & answered == answered:
            return True
        soonest = min(o.answered for i, o in enumerate(operations) if not placed >> i & 1)
        for i, operation in enumerate(operations):
            if placed >> i & 1:
                continue
            if _begin(operation) > soonest:
                break
            following = _step(state, operation, depths)
            if following is not None and (found := (placed | 1 << i, following)) not in seen:
                seen.add(found)
                waiting.append(found)
    return False


def _step(state: State, operation: Operation, depths: Mapping[str, int]) -> State | None:
    """Return the state after the operation; None when it would have been answered otherwise."""
    following, outcome = state, "yes"
    match operation.kind:
        case "redeem" if state.spent < 0:
            following = State(0, dead=False)
        case "redeem":
            following, outcome = state._replace(dead=True), "no"
        case "revoke":
            following = state._replace(dead=True)
        case "check":
            outcome = "no" if state.dead else "yes"
        case "refresh":
            following, outcome = _refresh(state, depths[operation.presented])
    return following if operation.outcome in {"unknown", outcome} else None


def _refresh(state: State, depth: int) -> tuple[State, str]:
    """A token is exchanged once; its successor is given again until that was used itself."""
    if state.dead:
        return state, "no"
    if depth == state.spent:
        return State(state.spent + 1, dead=False), "yes"
    if depth == state.spent - 1:
        return state, "yes"
    return state._replace(dead=True), "no"


def _begin(operation: Operation) -> float:
    stale = operation.kind == "check" and operation.outcome == "yes"
    return operation.asked - (STALENESS if stale else 0)


def _describe(operation: Operation, depths: Mapping[str, int]) -> str:
    depth = depths.get(operation.presented, "")
    return (
        f"{operation.asked:.4f} to {operation.answered:.4f} "
        f"{operation.kind} {depth} {operation.outcome}"
    )
