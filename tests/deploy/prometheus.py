"""A real Prometheus as tests have it: started on a folder, and asked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.service.processes import until

PROMETHEUS = shutil.which("prometheus")


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str

    def get(self, path: str, **about: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=about, trust_env=False).json()
        assert answer["status"] == "success", (about, answer)
        return answer["data"]

    def scrapes(self) -> int:
        found = self.get("query", query='count_over_time(up{job="sumserve"}[1h])')["result"]
        return int(found[0]["value"][1]) if found else 0

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def judged(self) -> list[Any]:
        """All rules, once each has been."""

        def found() -> list[Any]:
            rules = [own for group in self.get("rules")["groups"] for own in group["rules"]]
            return rules if all(own["health"] != "unknown" for own in rules) else []

        rules: list[Any] = until(found, "rules are not judged")
        return rules


@contextmanager
def running(folder: Path, port: int) -> Iterator[Prometheus]:
    """Prometheus on that port with the configuration in a folder, until the block is left."""
    assert PROMETHEUS
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    command = [PROMETHEUS, *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(command)
    own = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until(own.answers, "Prometheus did not start")
        yield own
    finally:
        process.terminate()
        process.wait(30)
