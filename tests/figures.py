"""Figures that tests measure, shown at the end of the run: they are part of what CI says."""

from collections.abc import Callable
from typing import Any

import pytest

_NAME = "figure"

Show = Callable[[str], None]


@pytest.fixture
def show_figure(record_property: Callable[[str, Any], None]) -> Show:
    """Keep a line for the end of the run, also where the test runs in another process."""
    return lambda line: record_property(_NAME, line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the lines in the order of the tests."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    lines = {
        (report.nodeid, number): value
        for report in reports
        if getattr(report, "when", None) == "call"
        for number, (name, value) in enumerate(report.user_properties)
        if name == _NAME
    }
    if lines:
        terminalreporter.section("figures")
    for _, line in sorted(lines.items()):
        terminalreporter.write_line(line)
