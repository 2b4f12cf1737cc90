"""Lays out the schemas that kubeconform reads, without a network.

``kubernetes_schemas.py PACKAGES CRDS DESTINATION``: PACKAGES holds the files of the package
kubernetes-validate, CRDS the source of the Prometheus operator. DESTINATION gets a folder for
each version of Kubernetes that the chart is checked against, and ``crds``. Unknown fields are
refused by all of them.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

VERSIONS: Final = ("1.27.0", "1.32.0", "1.37.0")
"""The oldest that the chart allows, one between, and the newest there is a schema of."""

_DEFINITIONS: Final = "/api/_definitions.json"
_CRDS: Final = ("podmonitors", "servicemonitors", "prometheusrules")


def main(packages: Path, crds: Path, destination: Path) -> None:
    source = packages / "kubernetes_validate" / "kubernetes-json-schema"
    for version in VERSIONS:
        _write_kinds(source / f"v{version}-local-strict", destination / version)
    (destination / "crds").mkdir()
    for name in _CRDS:
        path = crds / "jsonnet" / "prometheus-operator" / f"{name}-crd.json"
        _write_custom_resource(json.loads(path.read_text(encoding="utf-8")), destination / "crds")


def _write_kinds(source: Path, folder: Path) -> None:
    """Write a schema that needs no other for each kind of thing that can be applied.

    Those of the package refer to definitions at the root of a web server.
    """
    definitions = json.loads((source / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    local = {name: _localised(each) for name, each in definitions.items()}
    folder.mkdir(parents=True)
    for path in source.glob("*.json"):
        schema = _localised(json.loads(path.read_text(encoding="utf-8")))
        if {"apiVersion", "kind", "metadata"} <= schema.get("properties", {}).keys():
            schema["$defs"] = {name: local[name] for name in _reachable(schema, local)}
            (folder / path.name).write_text(json.dumps(schema), encoding="utf-8")


def _localised(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace(f'"{_DEFINITIONS}#', '"#'))


def _reachable(schema: Any, definitions: dict[str, Any]) -> set[str]:
    """Return the names of the definitions that ``schema`` leads to."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        names = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(waiting.pop()))) - found
        found |= names
        waiting += [definitions[name] for name in names]
    return found


def _write_custom_resource(definition: dict[str, Any], folder: Path) -> None:
    """Write the schema of each version of a CustomResourceDefinition."""
    kind = definition["spec"]["names"]["kind"].lower()
    group = definition["spec"]["group"].partition(".")[0]
    for version in definition["spec"]["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        path = folder / f"{kind}-{group}-{version['name']}.json"
        path.write_text(json.dumps(schema), encoding="utf-8")


def _strict(schema: Any) -> Any:
    """Return ``schema`` with unknown members refused, and OpenAPI's own words in JSON Schema's."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        # Metadata is Kubernetes' own, and a CustomResourceDefinition leaves it open.
        strict.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        strict["type"] = ["integer", "string"]
    return strict


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
