"""The alert rules and the dashboard ask for what there is, and lead to what is written."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from tests.provider import Provider

_ROOT = Path(__file__).parents[2]
_RULES = [
    rule
    for group in yaml.safe_load((_ROOT / "monitoring/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
_DASHBOARD = json.loads((_ROOT / "monitoring/dashboard.json").read_text())
_RECORDED = {rule["record"] for rule in _RULES if "record" in rule}
_SELECTOR = re.compile(r"\b(authsvc[a-z0-9_:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_OF_THE_TARGET = {"job", "instance"}


def _panels(of: Any) -> Iterator[dict[str, Any]]:
    for panel in of.get("panels", ()):
        yield panel
        yield from _panels(panel)


_EXPRESSIONS = [
    *(rule["expr"] for rule in _RULES),
    *(target["expr"] for panel in _panels(_DASHBOARD) for target in panel.get("targets", ())),
]


def _labels_by_name() -> dict[str, set[str]]:
    """Return the labels of each series that a scrape can show."""
    found: dict[str, set[str]] = {}
    for metric in list(REGISTRY._collector_to_names):
        if not isinstance(metric, MetricWrapperBase):
            continue
        name, labels = metric._name, set(metric._labelnames)
        if isinstance(metric, Counter):
            found[f"{name}_total"] = labels
        elif isinstance(metric, Histogram):
            found |= {f"{name}_count": labels, f"{name}_sum": labels}
            found[f"{name}_bucket"] = labels | {"le"}
        elif isinstance(metric, Gauge):
            found[name] = labels
    return found


def _used() -> dict[str, set[str]]:
    """Return the labels that each name is asked by."""
    used: dict[str, set[str]] = {}
    for expression in _EXPRESSIONS:
        for name, matchers in _SELECTOR.findall(expression):
            if name not in _RECORDED:
                used.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return used


@pytest.mark.parametrize("name", sorted(_used()))
def test_a_metric_that_is_asked_for_exists_with_its_labels(name: str) -> None:
    labels = _labels_by_name()
    assert name in labels
    assert _used()[name] <= labels[name] | _OF_THE_TARGET


def test_no_metric_has_a_label_that_prometheus_gives_to_what_it_scrapes() -> None:
    for name, labels in _labels_by_name().items():
        assert not labels & _OF_THE_TARGET, name


def test_what_is_grouped_by_are_labels_of_what_is_asked_for() -> None:
    labels = _labels_by_name()
    for expression in _EXPRESSIONS:
        known = _OF_THE_TARGET.union(
            *(labels.get(name, set()) for name, _ in _SELECTOR.findall(expression))
        )
        for grouping in _GROUPING.findall(expression):
            wanted = {label.strip() for label in grouping.split(",") if label.strip()}
            assert wanted <= known, expression


def test_recorded_series_that_are_asked_for_are_recorded() -> None:
    asked = {name for text in _EXPRESSIONS for name, _ in _SELECTOR.findall(text) if ":" in name}
    assert asked <= _RECORDED
    assert asked >= _RECORDED


def test_each_alert_leads_to_a_section_of_the_operations_manual() -> None:
    text = (_ROOT / "docs/operations.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    }
    for rule in _RULES:
        if "alert" in rule:
            page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            assert page == "docs/operations.md"
            assert anchor in headings, anchor
            assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_metric_has_a_line_in_the_table_of_the_operations_manual() -> None:
    text = (_ROOT / "docs/operations.md").read_text()
    shown = {re.sub(r"_(count|sum|bucket)$", "", name) for name in _labels_by_name()}
    missing = {name for name in shown if name.startswith("authsvc_") and f"`{name}" not in text}
    assert not missing


def test_every_gauge_says_how_it_is_put_together_for_several_workers() -> None:
    gauges = [metric for metric in REGISTRY._collector_to_names if isinstance(metric, Gauge)]
    assert gauges
    for gauge in gauges:
        assert gauge._multiprocess_mode.startswith("live"), gauge._name


async def test_a_scrape_shows_every_metric_by_name(sqlite_provider: Provider) -> None:
    text = (await sqlite_provider.http.get("/metrics")).text
    for name in _labels_by_name():
        family = re.sub(r"_(count|sum|bucket)$", "", name)
        if family.startswith("authsvc_"):
            assert f"# TYPE {family} " in text, family


def test_the_dashboard_has_panels_with_titles_units_and_a_place() -> None:
    panels = [panel for panel in _panels(_DASHBOARD) if panel["type"] != "row"]
    assert len({panel["id"] for panel in _panels(_DASHBOARD)}) == len(list(_panels(_DASHBOARD)))
    for panel in panels:
        assert panel["title"]
        assert panel["targets"]
        assert panel["fieldConfig"]["defaults"]["unit"]
