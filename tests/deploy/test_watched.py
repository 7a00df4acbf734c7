"""A real Prometheus watches two real replicas and the shipped HAProxy, as in compose."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess, free_port
from tests.conftest import SHIPPED
from tests.deploy.haproxy import balancing
from tests.deploy.monitoring import FOLDER, expressions, filled
from tests.deploy.prometheus import PROMETHEUS, Prometheus, running
from tests.service.processes import until

BALANCER = re.compile(r"\bhaproxy_[a-z_]+\b")
REPLICAS = {"sumserve-1:8080": "REPLICA_1", "sumserve-2:8080": "REPLICA_2"}

needs_both = pytest.mark.skipif(
    PROMETHEUS is None or shutil.which("haproxy") is None,
    reason="nothing was watched: prometheus and haproxy are needed; apt-get install them",
)


@dataclass(frozen=True, slots=True)
class Watched:
    prometheus: Prometheus
    replicas: list[ServerProcess]
    page: str  # the balancer's metrics

    def fires(self, alert: str) -> bool:
        (own,) = [rule for rule in self.prometheus.judged() if rule["name"] == alert]
        return bool(own["state"] == "firing")


def configure(folder: Path, addresses: dict[str, str]) -> None:
    """What ships, for these addresses, and in a hurry."""
    text = (FOLDER / "prometheus-compose.yml").read_text()
    changes = addresses | {"_interval: 15s": "_interval: 1s", "_timeout: 10s": "_timeout: 1s"}
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "prometheus.yml").write_text(text)
    rules = (FOLDER / "alerts.yml").read_text()
    assert "for: 1m" in rules
    (folder / "alerts.yml").write_text(rules.replace("for: 1m\n", "for: 0s\n"))


def answered(url: str, count: int) -> bool:
    """Whether each of so many predictions is."""
    path, body = f"{url}/v1/models/digit_sum/predict", {"sequences": [[1, 2, 3]]}
    return all(httpx.post(path, json=body).status_code == 200 for _ in range(count))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    port, stats, own = free_port(), free_port(), free_port()
    with (
        ServerProcess(SHIPPED, grace_seconds=0) as one,
        ServerProcess(SHIPPED, grace_seconds=0) as other,
        balancing([one.port, other.port], port, stats_port=stats),
    ):
        addresses = dict(
            zip(REPLICAS, [f"127.0.0.1:{own.port}" for own in (one, other)], strict=True)
        )
        configure(folder, addresses | {"haproxy:8404": f"127.0.0.1:{stats}"})
        with running(folder, own) as prometheus:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
            while prometheus.scrapes() < 6:
                assert time.monotonic() < deadline, "nothing is scraped"
                assert answered(url, 10)
            page = httpx.get(f"http://127.0.0.1:{stats}/metrics").text
            yield Watched(prometheus, [one, other], page)


@pytest.mark.deploy
@needs_both
def test_both_replicas_and_the_balancer_are_scraped(watched: Watched) -> None:
    targets = watched.prometheus.get("targets")["activeTargets"]
    assert sorted(own["labels"]["job"] for own in targets) == ["haproxy", "sumserve", "sumserve"]
    assert {(own["health"], own["lastError"]) for own in targets} == {("up", "")}


@pytest.mark.deploy
@needs_both
def test_every_metric_of_the_balancer_is_on_its_page(watched: Watched) -> None:
    text = (FOLDER / "alerts.yml").read_text() + str(list(expressions()))
    asked = set(BALANCER.findall(text))
    assert len(asked) >= 6
    assert asked <= set(re.findall(r"^(haproxy_\w+)\{", watched.page, re.M))


@pytest.mark.deploy
@needs_both
def test_the_dashboard_s_panels_of_the_balancer_have_data(watched: Watched) -> None:
    asked = [own for _, own in expressions() if BALANCER.search(own)]
    found = [
        watched.prometheus.get("query", query=filled(own, interval="5s"))["result"] for own in asked
    ]
    assert len(asked) == 4
    assert all(found)


@pytest.mark.deploy
@needs_both
def test_a_replica_that_hangs_is_an_alert_of_both_and_no_other(watched: Watched) -> None:
    quiet = {own["name"]: own["state"] for own in watched.prometheus.judged()}
    assert set(quiet.values()) == {"inactive"}
    hung = watched.replicas[0].process
    hung.send_signal(signal.SIGSTOP)
    try:
        for alert in ("BalancerReplicaOut", "SumserveDown"):
            until(partial(watched.fires, alert), f"{alert} does not fire")
        firing = [own for own in watched.prometheus.judged() if own["state"] == "firing"]
    finally:
        hung.send_signal(signal.SIGCONT)
    until(lambda: not watched.fires("BalancerReplicaOut"), "it does not come back")
    assert {own["name"] for own in firing} == {"BalancerReplicaOut", "SumserveDown"}
