"""A real Prometheus scrapes a real server under a little load, with the files that ship, and
answers all that the dashboard asks.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess, free_port
from service.keys import new_key
from tests.conftest import SHIPPED
from tests.deploy.monitoring import FOLDER, ONLY_ON_GPUS, expressions, filled, named, with_key
from tests.deploy.prometheus import PROMETHEUS, Prometheus, running

SCRAPES = 8  # a second apart
EMPTY = {"Memory of GPUs", "Padding", "Refused, by what was full", "Tokens abandoned, per second"}
BALANCERS = {  # which has no balancer in front
    "Replicas in rotation",
    "Answers of the balancer",
    "Tried again, and on another replica",
}
PREDICT = {"digit_sum": [[1, 2, 3], []], "polynomial": [[[0.1, 0.2, 0.3, 0.4]] * 5]}

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None,
    reason="nothing was scraped: there is no prometheus; apt-get install prometheus",
)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Once there has been load for some scrapes."""
    folder = tmp_path_factory.mktemp("prometheus")
    key, hashed = new_key()
    (folder / "keys.toml").write_text(f'[prometheus]\nsha256 = "{hashed}"\n')
    settings = {"keys": folder / "keys.toml", "workers": 2, "drift_tokens": 256, "grace_seconds": 0}
    with ServerProcess(SHIPPED, **settings) as server:
        configure(folder, key, server.port)
        port = free_port()
        with running(folder, port) as own:
            load(server.url, key, own)
            yield own


def configure(folder: Path, key: str, port: int) -> None:
    """What ships, for that server, which has keys, and in a hurry."""
    shutil.copy(FOLDER / "alerts.yml", folder)
    (folder / "sumserve.key").write_text(key)
    text = with_key((FOLDER / "prometheus.yml").read_text())
    changes = {"127.0.0.1:8080": f"127.0.0.1:{port}", "_interval: 15s": "_interval: 1s"}
    changes["scrape_timeout: 10s"] = "scrape_timeout: 1s"
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "prometheus.yml").write_text(text)


def load(url: str, key: str, prometheus: Prometheus) -> None:
    """Some requests, good and bad, until there have been some scrapes."""
    deadline = time.monotonic() + 60
    while prometheus.scrapes() < SCRAPES:
        assert time.monotonic() < deadline, "nothing is scraped"
        for name, sequences in PREDICT.items():
            path = f"{url}/v1/models/{name}/predict"
            headers = {"Authorization": f"Bearer {key}"}
            for body in ({"sequences": sequences}, {"sequences": 3}):
                httpx.post(path, json=body, headers=headers, trust_env=False)
        time.sleep(0.05)


def test_the_server_is_scraped_with_its_key(scraped: Prometheus) -> None:
    (target,) = scraped.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_every_expression_of_the_dashboard_has_an_answer_and_most_have_data(
    scraped: Prometheus,
) -> None:
    empty = []
    for title, expression in expressions():
        found = scraped.get("query", query=filled(expression, interval="5s"))["result"]
        if not found:
            empty.append(title)
    asked = list(expressions())
    assert len(asked) > 40
    assert set(empty) - BALANCERS <= EMPTY
    assert any(ONLY_ON_GPUS & named(expression) for _, expression in asked)


def test_alerts_are_judged_and_none_fires_or_is_about_to(scraped: Prometheus) -> None:
    rules = scraped.judged()
    assert {own["health"] for own in rules} == {"ok"}
    assert {own["name"]: own["state"] for own in rules if own["state"] != "inactive"} == {}
