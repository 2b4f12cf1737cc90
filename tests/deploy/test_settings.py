"""What image, compose file and chart set and call exists, and none of them exposes too much."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from authsvc.config import PREFIX, Settings
from tests.conftest import Backend, OpenProvider
from tests.deploy.chart import VALUES, pod_of, render, values_named
from tests.deploy.dockerfile import DOCKERFILE, REPOSITORY, parse_dockerfile
from tests.deploy.exposure import EVERY_PATH, PRIVATE, paths_of

pytestmark = pytest.mark.deploy

_KNOWN = {
    f"{PREFIX}{name.upper()}{suffix}" for name in Settings.model_fields for suffix in ("", "_FILE")
}


def _containers() -> Iterator[dict[str, Any]]:
    for values in VALUES:
        for manifest in render(values):
            if pod := pod_of(manifest):
                yield from pod["spec"]["containers"]


def _services() -> list[dict[str, Any]]:
    document = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
    return [each for each in document["services"].values() if each["image"].startswith("authsvc:")]


def _ours(names: Iterator[str] | list[str]) -> set[str]:
    return {name for name in names if name.startswith(PREFIX)}


def test_every_variable_of_the_chart_is_a_setting() -> None:
    names = _ours([each["name"] for container in _containers() for each in container["env"]])
    for values in VALUES:
        for manifest in render(values):
            if manifest["kind"] == "ConfigMap":
                names |= _ours(list(manifest["data"]))
    assert len(names) > 5
    assert names <= _KNOWN


def test_every_variable_of_the_compose_file_is_a_setting() -> None:
    names = _ours([name for service in _services() for name in service["environment"]])
    assert len(names) > 5
    assert names <= _KNOWN


def test_every_variable_of_the_image_is_a_setting() -> None:
    last = parse_dockerfile(DOCKERFILE.read_text(encoding="utf-8"))[-1]
    names = _ours(list(last.variables({"PATH": ""})))
    assert names == {"AUTHSVC_ENV"}
    assert names <= _KNOWN


def test_every_command_that_they_run_exists() -> None:
    image = parse_dockerfile(DOCKERFILE.read_text(encoding="utf-8"))[-1]
    commands = {tuple(image.last("CMD").words)}
    commands |= {tuple(container["args"]) for container in _containers()}
    commands |= {tuple(each["command"]) for each in _services() if "command" in each}
    named = {command[:2] for command in commands}
    assert {("db", "upgrade"), ("jobs", "run"), ("keys", "rotate")} <= named
    for command in commands:
        finished = subprocess.run(
            [sys.executable, "-m", "authsvc", *command, "--help"], capture_output=True, check=False
        )
        assert finished.returncode == 0, (command, finished.stderr)


async def test_the_ingress_leads_to_every_public_path_and_to_no_other(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    base = "/realms/main"
    running = await open_providers(
        sqlite_backend, issuer=f"https://auth.example.com{base}", **EVERY_PATH
    )
    paths = paths_of(running.app.routes)
    private = {"/healthz", "/readyz", "/metrics"}
    admin = {base + path for path in PRIVATE - private}
    assert private | admin <= paths
    everything = values_named("everything")
    reached = {path for path in paths if _leads_to(_rules(everything), path)}
    assert reached == paths - private
    hidden = _rules(everything, "--set", "ingress.exposeAdminApi=false")
    assert {path for path in paths if _leads_to(hidden, path)} == paths - private - admin


def _rules(*arguments: Any) -> list[dict[str, Any]]:
    (ingress,) = [each for each in render(*arguments) if each["kind"] == "Ingress"]
    (rule,) = ingress["spec"]["rules"]
    paths: list[dict[str, Any]] = rule["http"]["paths"]
    return paths


def _leads_to(rules: list[dict[str, Any]], path: str) -> bool:
    """Match as Kubernetes does: a prefix is one of whole elements."""
    return any(
        path == rule["path"]
        or (rule["pathType"] == "Prefix" and path.startswith(f"{rule['path'].rstrip('/')}/"))
        for rule in rules
    )
