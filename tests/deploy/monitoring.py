"""deploy/monitoring as tests see it: what the dashboard asks, and the metrics that are named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = FOLDER / "grafana" / "sumserve.json"
ONLY_ON_GPUS = {"sumserve_gpu_memory_bytes"}
NAME = re.compile(r"\b(?:sumserve|process)_[a-z_]+\b")


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def panels() -> list[Any]:
    """Those that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Title and expression of everything that the dashboard asks."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def filled(expression: str, job: str = "sumserve", interval: str = "1m") -> str:
    """An expression as Grafana would send it: all servers and models."""
    values = {"$__rate_interval": interval, "$job": job, "$instance": ".*", "$model": ".*"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def named(text: str) -> set[str]:
    """The metrics in expressions, and in what is written about them."""
    return set(NAME.findall(text))


def on_page(page: str) -> set[str]:
    """Families and samples of a page in Prometheus' format."""
    families = re.findall(r"^# TYPE (\S+) ", page, re.M)
    return {*families, *re.findall(r"^(\w+)[{ ]", page, re.M)}


def with_key(configuration: str) -> str:
    """prometheus.yml for a server that has keys: the lines put in that say so."""
    lines = re.compile(r"^    # (authorization:|  \w+: .*)$", re.M)
    found, count = lines.subn(r"    \1", configuration)
    assert count == 3, configuration
    return found


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.yml"))
