"""What needs the repository's history is collected where it is there; .ci/run demands it."""

from tests.migrations.previous_release import NEXT, find_commit

collect_ignore = [] if find_commit() else ["test_previous_release.py"]


def pytest_report_header() -> str | None:
    """Say that something is not tested."""
    if collect_ignore:
        return f"the previous release is not tested: the history does not reach before {NEXT}"
    return None
