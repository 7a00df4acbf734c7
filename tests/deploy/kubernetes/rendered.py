"""The chart as tests see it: rendered for several sets of values, its objects by kind."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

import pytest

from tests.conftest import ROOT

CHART = ROOT / "deploy" / "chart"
KSERVE = ROOT / "deploy" / "kserve"
TOOLS = ROOT / "build" / "kubernetes" / "bin" / "python"
needs_tools = pytest.mark.skipif(
    not TOOLS.is_file(),
    reason="the chart was not rendered: there is no build/kubernetes; make test-clusters",
)

INIT = {"image": "bundles:1", "command": ["cp", "-r", "/bundles/.", "/models/"]}
ALL = {
    "ingress": {"enabled": True, "tlsSecret": "certificate"},
    "keysSecret": "keys",
    "models": {"init": INIT},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "keySecret": "key"},
    "autoscaling": {"kind": "keda"},
    "networkPolicy": {"egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]},
    "podAnnotations": {"team": "a"},
    "settings": {"max_request_tokens": 5_000_000, "otel_endpoint": "http://collector:4318"},
}
OFF = {
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
}
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "all": ALL,
    "hpa": {"autoscaling": {"kind": "hpa"}, "serviceMonitor": {"enabled": True}},
    "claim": {"models": {"existingClaim": "bundles"}, "image": {"digest": f"sha256:{'a' * 64}"}},
    "off": OFF,
    "workers": {"settings": {"workers": 2, "threads": 1}},
    "gpu": {},
}


def ask(*questions: dict[str, Any]) -> Any:
    """What charts.py answers, one for each."""
    command = [str(TOOLS), str(ROOT / "tests" / "deploy" / "kubernetes" / "charts.py")]
    done = subprocess.run(
        command, input=json.dumps(questions), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def question(values: dict[str, Any], *files: str, name: str = "mine") -> dict[str, Any]:
    """To render the chart for a release of a name with these values over those of files."""
    paths = [str(CHART / file) for file in files]
    return {"do": "render", "chart": str(CHART), "values": values, "files": paths, "name": name}


@cache
def releases() -> dict[str, dict[str, Any]]:
    """Every case as {text, objects}."""
    files = {"gpu": ["values-gpu.yaml"]}
    answers = ask(*(question(own, *files.get(case, [])) for case, own in CASES.items()))
    for case, one in zip(CASES, answers, strict=True):
        assert "error" not in one, f"{case}: {one}"
    return dict(zip(CASES, answers, strict=True))


def refused(values: dict[str, Any]) -> str:
    """What Helm says to values that it does not take."""
    (answer,) = ask(question(values))
    assert "error" in answer, "they were taken"
    return str(answer["error"])


def objects(case: str, kind: str) -> list[Any]:
    """Those of a kind, in a case."""
    return [one for one in releases()[case]["objects"] if one["kind"] == kind]


def only(case: str, kind: str) -> Any:
    """The only one of its kind, in a case."""
    (one,) = objects(case, kind)
    return one


def pod(case: str) -> Any:
    """The spec of the Deployment's pods."""
    return only(case, "Deployment")["spec"]["template"]["spec"]


def server(case: str) -> Any:
    """The container that serves."""
    return pod(case)["containers"][0]


def environment(case: str) -> dict[str, str]:
    """The variables that it gets."""
    return {one["name"]: one["value"] for one in server(case)["env"]}
