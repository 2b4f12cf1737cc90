"""The report: what was found, between the marks of a document, with raw data beside it."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.compare.course import Course
from benchmarks.compare.ours import VARIANTS
from benchmarks.compare.stage import Cores
from benchmarks.sizing import insert


def settings(course: Course, cores: Cores) -> dict[str, str]:
    """Return how it was measured."""
    amount = course.amount
    variants = [f"{name}: {', '.join(map(_pair, of.items()))}" for name, of in VARIANTS.items()]
    return {
        "loads": f"{amount.connections} connections, {course.repeats} times {amount.seconds:g} s"
        f" after {amount.warm:g} s to warm up; medians. Beside the peer each process was loaded for"
        f" {course.fresh:g} s before",
        "on cores": f"{cores.server} serves, {cores.load} makes the load, PostgreSQL and Redis on"
        f" {', '.join(map(str, cores.stores))}",
        "authsvc runs": "as the image starts it: one worker, `AUTHSVC_ENV=production`,"
        " `AUTHSVC_ARGON2_WORKERS=1`; jobs, metrics, audit and JSON log on; each"
        " `AUTHSVC_RATE_LIMIT_…` counted and out of reach",
        "variants": "; ".join(variant for variant in variants if not variant.endswith(": ")),
        "PostgreSQL runs": "with `fsync`, `synchronous_commit` and `full_page_writes` on;"
        " `shared_buffers` 512 MB",
        "Redis runs": "without a disk, for ours and for the peer",
    }


def pairs_table(pairs: Mapping[str, str]) -> str:
    """Return names and what they stand for as a table in Markdown."""
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in pairs.items())])


def write(document: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its marks; ValueError where the document has none."""
    text = document.read_text(encoding="utf-8")
    current = insert(text, {name: f"{table}\n" for name, table in tables.items()})
    document.write_text(current, encoding="utf-8")


def _pair(variable: tuple[str, str]) -> str:
    return f"`{'='.join(variable)}`"
