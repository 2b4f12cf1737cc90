"""What a set of roles amounts to, and what of it a token may carry."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.access.role_graph import Holding, RoleGraph
from authsvc.storage.roles import RoleRow

GRAPH = RoleGraph(
    [
        RoleRow("r1", "reader", ("orders:read", "stock:read"), ()),
        RoleRow("r2", "writer", ("orders:write",), ("r1",)),
        RoleRow("r3", "auditor", ("audit:read",), ()),
        RoleRow("r4", "chief", (), ("r2", "r3")),
        RoleRow("r5", "nobody", (), ()),
    ]
)
ORDERS, STOCK, UNDECLARED = (
    "https://orders.example",
    "https://stock.example",
    "https://other.example",
)
DECLARED = {
    ORDERS: frozenset({"orders"}),
    STOCK: frozenset({"stock", "audit"}),
    "https://empty.example": frozenset[str](),
}
ALL = ("audit:read", "orders:read", "orders:write", "stock:read")


@pytest.mark.parametrize(
    ("held", "roles", "permissions"),
    [
        ([], (), ()),
        (["r1"], ("reader",), ("orders:read", "stock:read")),
        (["r2"], ("reader", "writer"), ("orders:read", "orders:write", "stock:read")),
        (["r4"], ("auditor", "chief", "reader", "writer"), ALL),
        (["r1", "r4", "r1"], ("auditor", "chief", "reader", "writer"), ALL),
        (["r5"], ("nobody",), ()),
        (["gone"], (), ()),
        (["gone", "r3"], ("auditor",), ("audit:read",)),
    ],
)
def test_a_role_amounts_to_itself_and_all_that_it_inherits(
    held: Sequence[str], roles: tuple[str, ...], permissions: tuple[str, ...]
) -> None:
    assert GRAPH.holding(held) == Holding(roles, permissions)


def test_a_chain_of_any_depth_is_followed_to_its_end() -> None:
    depth = 5_000
    graph = RoleGraph(
        [
            RoleRow(str(number), f"role-{number}", (f"p:{number}",), (str(number + 1),))
            for number in range(depth)
        ]
        + [RoleRow(str(depth), "last", ("p:last",), ())]
    )

    held = graph.holding(["0"])

    assert len(held.roles) == depth + 1
    assert "p:last" in held.permissions


def test_a_circle_in_the_rows_does_not_hang() -> None:
    graph = RoleGraph([RoleRow("a", "a", ("p:a",), ("b",)), RoleRow("b", "b", ("p:b",), ("a",))])

    assert graph.holding(["a"]).permissions == ("p:a", "p:b")


NARROWED = {
    "nothing asked for": ((), (), ALL),
    "scopes that name no permission": (("openid", "profile"), (), ALL),
    "a scope that is a permission": (("openid", "orders:read"), (), ("orders:read",)),
    "two of them": (("orders:read", "audit:read"), (), ("audit:read", "orders:read")),
    "a permission nobody has": (("orders:delete",), (), ALL),
    "a permission that others have": (("audit:read",), (), ("audit:read",)),
    "a declared resource": ((), (ORDERS,), ("orders:read", "orders:write")),
    "with two namespaces": ((), (STOCK,), ("audit:read", "stock:read")),
    "two declared resources": ((), (ORDERS, STOCK), ALL),
    "one without any namespace": ((), ("https://empty.example",), ()),
    "one that is not declared": ((), (UNDECLARED,), ALL),
    "declared and not": ((), (ORDERS, UNDECLARED), ("orders:read", "orders:write")),
    "resource and scope": (("orders:read", "stock:read"), (ORDERS,), ("orders:read",)),
    "resource and a scope outside it": (("stock:read",), (ORDERS,), ()),
    "a resource that begins alike": ((), (f"{ORDERS}/x",), ALL),
}


@pytest.mark.parametrize(("scope", "audience", "expected"), NARROWED.values(), ids=NARROWED.keys())
def test_a_token_is_narrowed_by_its_scope_and_its_audience(
    scope: Sequence[str], audience: Sequence[str], expected: tuple[str, ...]
) -> None:
    assert GRAPH.narrow(ALL, scope=scope, audience=audience, resources=DECLARED) == expected


def test_a_scope_gives_no_permission_that_is_not_held() -> None:
    narrowed = GRAPH.narrow(
        ("stock:read",), scope=("orders:write", "stock:read"), audience=(), resources=DECLARED
    )

    assert narrowed == ("stock:read",)


_names = st.sampled_from([*ALL, "openid", "orders:delete", "x"])
_audiences = st.sampled_from([*DECLARED, UNDECLARED])


@given(held=st.sets(_names), scope=st.sets(_names), audience=st.sets(_audiences))
def test_narrowing_never_adds_and_asking_for_less_never_gives_more(
    held: set[str], scope: set[str], audience: set[str]
) -> None:
    def narrow(wanted: set[str]) -> set[str]:
        return set(GRAPH.narrow(held, scope=wanted, audience=audience, resources=DECLARED))

    narrowed = narrow(scope)

    assert narrowed <= held
    for left_out in scope & set(ALL):
        remaining = scope - {left_out}
        if remaining & set(ALL):
            assert narrow(remaining) <= narrowed
