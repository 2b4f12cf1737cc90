"""The chart, rendered by the real helm."""

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.dockerfile import REPOSITORY

TOOLS: Final = Path(__file__).parent / ".tools"
CHART: Final = REPOSITORY / "helm"
VALUES: Final = sorted((Path(__file__).parent / "values").glob("*.yaml"))

Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm, which asks no cluster and no network for these arguments."""
    return subprocess.run(
        [TOOLS / "bin" / "helm", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def render_text(values: Path, *arguments: str) -> str:
    """Return what would be applied, as YAML; RuntimeError with helm's words where it refuses."""
    finished = helm("template", "release", str(CHART), "--values", str(values), *arguments)
    if finished.returncode != 0:
        raise RuntimeError(finished.stderr)
    return finished.stdout


def render(values: Path, *arguments: str) -> list[Manifest]:
    """Return the manifests that would be applied."""
    return [each for each in yaml.safe_load_all(render_text(values, *arguments)) if each]


def pod_of(manifest: Manifest) -> Manifest | None:
    """Return the pod template of a workload, None for anything else."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Manifest | None = spec.get("template")
    return template


def values_named(name: str) -> Path:
    """Return the path of one of the values files."""
    return next(path for path in VALUES if path.stem == name)
