"""The list of events is that of the events which the service records."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import authsvc
from authsvc.webhooks.events import EVENTS, is_pattern, is_wanted

_RECORDING = ("record", "_record", "_changed", "_held")
_AUTHSVC = Path(authsvc.__file__).parent


def _recorded() -> Iterator[str]:
    """Yield the events that the source names where it records one."""
    for path in _AUTHSVC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            name = called.id if isinstance(called, ast.Name) else called
            if name not in _RECORDING:
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and "." in str(argument.value):
                    yield str(argument.value)


def test_every_event_that_is_recorded_is_listed_and_no_other() -> None:
    assert set(_recorded()) == EVENTS.keys()
    assert [*EVENTS] == sorted(EVENTS)


@pytest.mark.parametrize("pattern", ["*", "user.*", "user.created", "login.failed", "user_code.*"])
def test_what_means_some_event_is_a_pattern(pattern: str) -> None:
    assert is_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["", ".*", "user", "user.", "user*", "us.*", "*.created", "user.craeted", "User.*", "**", "?"],
)
def test_what_means_none_is_not(pattern: str) -> None:
    assert not is_pattern(pattern)


def test_a_kind_is_not_another_that_begins_alike() -> None:
    assert is_wanted("user.created", ["user.*"])
    assert not is_wanted("user_code.wrong", ["user.*"])
    assert is_wanted("user_code.wrong", ["login.*", "*"])
    assert not is_wanted("user.created", ["user.updated", "login.*"])
    assert not is_wanted("user.created", [])
