"""What replicas are counted by is on the server's page, and adds up as it should over pods."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.deploy.kubernetes.rendered import CHART, ask, needs_tools, only
from tests.deploy.monitoring import named, on_page

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="queries were not evaluated: there is no promtool; apt-get install prometheus",
)
pytestmark = [pytest.mark.deploy, needs_tools]
WAIT, BUSY = "sumserve_expected_wait_seconds", "sumserve_step_seconds_sum"
MINUTES = 10  # of samples, one every 15 s


def triggers() -> dict[str, dict[str, str]]:
    """KEDA's, by name."""
    spec = only("all", "ScaledObject")["spec"]
    return {one["name"]: one["metadata"] for one in spec["triggers"]}


@cache
def adapter_rules() -> list[Any]:
    """prometheus-adapter's, as shipped."""
    ((values,),) = ask({"do": "read", "file": str(CHART / "adapter.yaml")})
    return list(values["rules"]["custom"])


def asked_of_adapter() -> dict[str, str]:
    """Queries as prometheus-adapter sends them for both pods, by the metric's name."""
    filled = {}
    for rule in adapter_rules():
        query = rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].partition("{")[0])
        query = query.replace("<<.LabelMatchers>>", 'namespace="models",pod=~"a|b"')
        filled[rule["name"]["as"]] = query.replace("<<.GroupBy>>", "pod")
    return filled


def series(metric: str, pod: str, value: str, **labels: str) -> dict[str, str]:
    """One, of a pod of the release, unless labels say otherwise."""
    own = {"namespace": "models", "service": "mine-sumserve", "pod": pod} | labels
    inside = ",".join(f'{name}="{text}"' for name, text in own.items())
    return {"series": f"{metric}{{{inside}}}", "values": f"{value}x{MINUTES * 4}"}


TWO_PODS = [
    series(WAIT, "a", "0.125+0", worker="0"),
    series(WAIT, "a", "0.375+0", worker="1"),
    series(WAIT, "b", "0.5+0"),
    series(WAIT, "c", "9+0", namespace="others"),
    series(WAIT, "d", "9+0", service="others"),
    series(BUSY, "a", "0+7.5", worker="0", model="digits", version="1"),  # half of the time
    series(BUSY, "a", "0+3.75", worker="0", model="digits", version="2"),
    series(BUSY, "a", "0+3.75", worker="1", model="digits", version="1"),
    series(BUSY, "b", "0+3.75", model="digits", version="1"),
    series(BUSY, "c", "0+15", namespace="others", model="digits", version="1"),
]


def evaluate(folder: Path, query: str, expected: dict[str, float]) -> None:
    """promtool finds that the query gives these samples, by labels, with two pods of a release."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test: dict[str, Any] = {"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": samples}
    tests = [{"interval": "15s", "input_series": TWO_PODS, "promql_expr_test": [test]}]
    file = folder / "test.yml"
    file.write_text(json.dumps({"rule_files": [], "tests": tests}))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """Of a server with two workers, one of which has answered something at least."""
    with ServerProcess(SHIPPED, workers=2, grace_seconds=0) as server:
        url = f"{server.url}/v1/models/digit_sum/predict"
        assert httpx.post(url, json={"sequences": [[1, 2, 3]]}).status_code == 200
        yield httpx.get(f"{server.url}/metrics").text


def test_every_metric_that_is_asked_for_is_on_the_page(page: str) -> None:
    asked = [one["query"] for one in triggers().values()]
    asked += [rule["seriesQuery"] for rule in adapter_rules()]
    assert {WAIT, BUSY} == set().union(*map(named, asked))
    assert {WAIT, BUSY} <= on_page(page)


def test_both_autoscalers_want_the_same() -> None:
    metrics = only("hpa", "HorizontalPodAutoscaler")["spec"]["metrics"]
    targets = {m["pods"]["metric"]["name"]: m["pods"]["target"]["averageValue"] for m in metrics}
    own = triggers()
    assert targets == {
        WAIT: f"{own['queued-milliseconds']['threshold']}m",
        "sumserve_busy_ratio": f"{int(own['busy-percent']['threshold']) * 10}m",
    }
    assert set(targets) == set(asked_of_adapter())


def test_where_prometheus_knows_nothing_replicas_stay() -> None:
    assert {one["ignoreNullValues"] for one in triggers().values()} == {"false"}


@needs_promtool
def test_milliseconds_that_wait_are_those_of_all_pods_of_the_release(tmp_path: Path) -> None:
    query = triggers()["queued-milliseconds"]["query"]
    evaluate(tmp_path, query, {"{}": 750})
    assert query.startswith("1000 * sum")


@needs_promtool
def test_busy_pods_are_counted_in_percent_of_one(tmp_path: Path) -> None:
    query = triggers()["busy-percent"]["query"]
    evaluate(tmp_path, query, {"{}": 75})
    assert query.startswith("100 * sum")


@needs_promtool
@pytest.mark.parametrize(
    ("metric", "expected"),
    [(WAIT, {"a": 0.25, "b": 0.5}), ("sumserve_busy_ratio", {"a": 0.5, "b": 0.25})],
)
def test_the_adapter_gives_each_pod_the_mean_of_its_workers(
    metric: str, expected: dict[str, float], tmp_path: Path
) -> None:
    query = asked_of_adapter()[metric]
    assert "<<" not in query
    evaluate(tmp_path, query, {f'{{pod="{pod}"}}': value for pod, value in expected.items()})
