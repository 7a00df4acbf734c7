"""The dashboard and the alerts ask for metrics that there are, in words that Prometheus knows."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.conftest import ROOT, SHIPPED
from tests.deploy.monitoring import (
    FOLDER,
    ONLY_ON_GPUS,
    dashboard,
    expressions,
    files,
    filled,
    named,
    on_page,
    panels,
    with_key,
)

PREDICT = {"sequences": [[1, 2, 3], []]}
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="rules were not tested: there is no promtool; apt-get install prometheus",
)


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """Of two workers that look at their inputs, once both have answered something."""
    with ServerProcess(SHIPPED, workers=2, drift_tokens=256, grace_seconds=0) as server:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for _ in range(10):
                url = f"{server.url}/v1/models/digit_sum/predict"
                assert httpx.post(url, json=PREDICT).status_code == 200
            text = httpx.get(f"{server.url}/metrics").text
            if len(re.findall(r"sumserve_input_values_total\{worker=", text)) >= 2:
                break
        yield text


@pytest.mark.parametrize("file", files(), ids=lambda path: path.name)
def test_every_metric_in_a_file_is_on_a_server_s_page(file: Path, page: str) -> None:
    assert named(file.read_text()) - ONLY_ON_GPUS <= on_page(page)


def test_every_metric_of_the_dashboard_is_on_a_server_s_page(page: str) -> None:
    asked = named(str(dashboard()))
    assert len(asked) > 30
    assert asked - ONLY_ON_GPUS <= on_page(page)


def test_every_metric_of_the_browser_s_page_is_on_a_server_s_page(page: str) -> None:
    scripts = (ROOT / "service" / "page").glob("*.js")
    asked = named("\n".join(script.read_text() for script in scripts))
    assert len(asked) >= 10
    assert asked <= on_page(page)


def test_every_metric_is_explained_in_the_documentation(page: str) -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    families = {name for name in on_page(page) if name.startswith("sumserve_")}
    shown = re.sub(r"_(created|bucket|sum|count)$", "", "\n".join(families), flags=re.M).split("\n")
    counters = {name.removesuffix("_total") for name in shown}
    missing = {name for name in counters if f"`{name}" not in text}
    assert not missing


def test_the_dashboard_shows_what_it_is_for() -> None:
    titles = " ".join(panel["title"] for panel in panels()).lower()
    wanted = "requests errors refused answer queue steps learned padding memory workers spread"
    assert not [word for word in wanted.split() if word not in titles]


def test_the_dashboard_can_be_provisioned() -> None:
    own = dashboard()
    assert own["uid"] == "sumserve"
    assert own.get("id") is None
    names = [variable["name"] for variable in own["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "model"]
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
    ids = [panel["id"] for panel in own["panels"]]
    assert len(ids) == len(set(ids))


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_has_a_summary_a_runbook_and_a_test() -> None:
    rules, tests = ((FOLDER / name).read_text() for name in ("alerts.yml", "alerts_test.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) >= 10
    for what in ("summary: ", "runbook: ", "severity: "):
        assert rules.count(what) >= len(alerts)
    fires = set(re.findall(r"alertname: (\w+)\n +eval_time: .*\n +exp_alerts", tests))
    assert fires == set(alerts)


def promtool(*args: str | Path, text: str | None = None) -> None:
    command = ["promtool", *map(str, args)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", FOLDER / "alerts.yml")
    assert list(expressions())


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", FOLDER / "alerts_test.yml")
    assert (FOLDER / "alerts_test.yml").exists()


@needs_promtool
def test_prometheus_finds_nothing_to_mend_in_a_server_s_page(page: str) -> None:
    own = re.sub(r"^(# (HELP|TYPE) )?\w+_created\b.*\n", "", page, flags=re.M)  # the client's own
    promtool("check", "metrics", text=own)
    assert "sumserve_build_info" in own


@needs_promtool
@pytest.mark.parametrize("keys", [False, True])
def test_prometheus_takes_the_configuration(tmp_path: Path, keys: bool) -> None:
    shutil.copytree(FOLDER, tmp_path / "monitoring")
    path = tmp_path / "monitoring" / "prometheus.yml"
    if keys:
        path.write_text(with_key(path.read_text()))
        (tmp_path / "monitoring" / "sumserve.key").write_text("secret")
    promtool("check", "config", path)
    assert filled("rate(x[$__rate_interval])") == "rate(x[1m])"


def test_without_keys_nothing_of_the_configuration_asks_for_one() -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    used = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert "authorization" in text
    assert not re.search("authorization|credentials", "\n".join(used))
