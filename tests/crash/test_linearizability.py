"""The checker finds what it is there to find: histories that no single provider could give."""

import pytest

from tests.crash.history import Family, Kind, Operation, Outcome
from tests.crash.linearizability import HistoryError, check_apart, check_family

INFINITY = float("inf")


def operation(
    kind: Kind,
    presented: str,
    asked: float,
    outcome: Outcome,
    refresh_token: str | None = None,
    *,
    takes: float = 0.5,
) -> Operation:
    """Return an operation that took half a second, or has no answer."""
    answered = INFINITY if outcome == "unknown" else asked + takes
    return Operation(kind, presented, asked, answered, outcome, refresh_token)


def redeemed(asked: float = 0.0) -> Operation:
    """Return how each family begins."""
    return operation("redeem", "code", asked, "yes", "r0")


GOOD = {
    "a life in order": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r1", 2, "yes", "r2"),
        operation("check", "a", 3, "yes"),
        operation("revoke", "r2", 4, "yes"),
        operation("check", "a", 6, "no"),
        operation("refresh", "r2", 7, "no"),
    ],
    "a lost answer, and the same successor again": [
        redeemed(),
        operation("refresh", "r0", 1, "unknown"),
        operation("refresh", "r0", 2, "yes", "r1"),
        operation("refresh", "r0", 3, "yes", "r1"),
        operation("refresh", "r1", 4, "yes", "r2"),
    ],
    "a redemption that was lost after its commit": [
        operation("redeem", "code", 0, "unknown"),
        operation("redeem", "code", 1, "no"),
        operation("redeem", "code", 2, "no"),
    ],
    "two that redeem at once": [redeemed(0), operation("redeem", "code", 0.1, "no")],
    "a successor that was used ends the window": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r1", 2, "yes", "r2"),
        operation("refresh", "r0", 3, "no"),
        operation("refresh", "r2", 4, "no"),
    ],
    "a check that is a moment behind": [
        redeemed(),
        operation("revoke", "r0", 1, "yes"),
        operation("check", "a", 2, "yes"),
        operation("check", "a", 3, "no"),
    ],
    "an exchange without an answer that happens late": [
        redeemed(),
        operation("refresh", "r0", 1, "unknown"),
        operation("revoke", "r0", 2, "unknown"),
        operation("check", "a", 3, "yes"),
        operation("check", "a", 5, "no"),
    ],
}

BAD = {
    "an exchange that was answered and forgotten": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r1", 2, "no"),
    ],
    "a revocation that was answered and forgotten": [
        redeemed(),
        operation("revoke", "r0", 1, "yes"),
        operation("refresh", "r0", 2, "yes", "r1"),
    ],
    "a revoked token that is accepted": [
        redeemed(),
        operation("revoke", "r0", 1, "yes"),
        operation("check", "a", 3, "yes"),
    ],
    "a token that dies by itself": [redeemed(), operation("check", "a", 1, "no")],
    "a code that was never good": [operation("redeem", "code", 0, "no")],
    "a replay that is let pass": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r1", 2, "yes", "r2"),
        operation("refresh", "r0", 3, "yes", "r1"),
    ],
    "a replay that ends nothing": [
        redeemed(),
        operation("redeem", "code", 1, "no"),
        operation("refresh", "r0", 2, "yes", "r1"),
    ],
    "a code that is redeemed twice": [
        redeemed(),
        operation("redeem", "code", 1, "yes", "r1"),
    ],
    "a family that forks": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r0", 2, "yes", "another"),
    ],
    "a token that comes from nowhere": [
        redeemed(),
        operation("refresh", "stranger", 1, "yes", "r1"),
    ],
    "a family that goes in a circle": [
        redeemed(),
        operation("refresh", "r0", 1, "yes", "r1"),
        operation("refresh", "r1", 2, "yes", "r0"),
    ],
    "a refusal before the replay that would explain it": [
        redeemed(),
        operation("refresh", "r0", 1, "no"),
        operation("redeem", "code", 2, "no"),
    ],
}


@pytest.mark.parametrize("operations", GOOD.values(), ids=GOOD.keys())
def test_what_one_provider_could_have_answered_is_right(operations: list[Operation]) -> None:
    check_family(Family(operations))


@pytest.mark.parametrize("operations", BAD.values(), ids=BAD.keys())
def test_what_no_provider_could_have_answered_is_found(operations: list[Operation]) -> None:
    with pytest.raises(HistoryError):
        check_family(Family(operations))


def test_a_token_belongs_to_one_family() -> None:
    with pytest.raises(HistoryError):
        check_apart([Family([redeemed()]), Family([redeemed()])])
