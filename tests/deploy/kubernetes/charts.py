"""Runs in an environment of its own, which has Helm's library and the schemas of Kubernetes.

Reads a JSON list of questions, {do: what, ...}, and writes one of answers. Knows nothing of what
the chart means.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

KUBERNETES = ("1.30.0", "1.36.0")  # the oldest that the chart allows, and a new one
NAMESPACE = "models"
CUSTOM = ("monitoring.coreos.com", "keda.sh", "serving.kserve.io")  # no schemas of these here

helm: Any = importlib.import_module("helm_python")
kubernetes: Any = importlib.import_module("kubernetes_validate")
yaml: Any = importlib.import_module("yaml")


def render(chart: str, values: list[dict[str, Any]], name: str) -> Any:
    """Objects of a release; values: files' and one's own, later ones win. Else Helm's complaint."""
    loaded = helm.Chart.load(chart)
    merged: dict[str, Any] = {}
    for own in values:
        merged = _over(merged, own)
    try:
        loaded.validate_schema(merged)
        files = loaded.render(merged, name=name, namespace=NAMESPACE)
    except helm.HelmError as error:
        return {"error": str(error)}
    texts = "\n---\n".join(files.values())
    return {"text": texts, "objects": [one for one in yaml.safe_load_all(texts) if one]}


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """As Helm lays one file of values over another."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def complaints(objects: list[Any]) -> list[str]:
    """What Kubernetes has against objects of its own kinds, unknown fields included."""
    found = []
    for one in objects:
        if one["apiVersion"].partition("/")[0] in CUSTOM:
            continue
        for version in KUBERNETES:
            try:
                kubernetes.validate(one, version, strict=True)
            except (kubernetes.ValidationError, kubernetes.InvalidSchemaError) as error:
                found.append(f"{version} {one['kind']} {one['metadata']['name']}: {error}")
    return found


def answer(asked: Any) -> Any:
    """To one question."""
    if asked["do"] == "render":
        values = [yaml.safe_load(Path(path).read_text()) for path in asked["files"]]
        return render(asked["chart"], [*values, asked["values"]], asked["name"])
    if asked["do"] == "lint":
        return helm.lint(asked["chart"], strict=True)
    if asked["do"] == "validate":
        return complaints(asked["objects"])
    if asked["do"] == "read":
        return [one for one in yaml.safe_load_all(Path(asked["file"]).read_text()) if one]
    raise ValueError(f"nothing that is done here: {asked['do']}")


if __name__ == "__main__":
    json.dump([answer(one) for one in json.load(sys.stdin)], sys.stdout)
