"""The alert rules, read and run by Prometheus' own tool."""

import subprocess
from pathlib import Path

import pytest
import yaml

_FOLDER = Path(__file__).parents[2] / "monitoring"

pytestmark = pytest.mark.monitoring


def _run(*arguments: str) -> str:
    finished = subprocess.run(
        ["promtool", *arguments], cwd=_FOLDER, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in _run("check", "rules", "alerts.yaml")


def test_the_alerts_fire_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in _run("test", "rules", "alerts_test.yaml")


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    groups = yaml.safe_load((_FOLDER / "alerts.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((_FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {
        check["alertname"]
        for test in tests
        for check in test["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert fired == alerts
